//! Resolves host names with the system's resolver (hosts file, nsswitch) on separate threads. A hanging lookup delays
//! neither file operations in the runtime's blocking pool nor the exit of the process.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};

/// A resolver's limits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a caller waits for an answer.
    pub timeout: Duration,
    /// How long an answer is cached.
    pub ttl: Duration,
    /// How many lookups run at once. The system's resolver blocks, so each lookup has a thread.
    pub threads: usize,
    /// How many names are cached.
    pub names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            ttl: Duration::from_secs(30),
            threads: 8,
            names: 256,
        }
    }
}

/// Why a name could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    #[error("the host name lookup failed: {0}")]
    Failed(String),
    #[error("the host name has no address")]
    NoAddress,
    #[error("the host name lookup timed out")]
    TimedOut,
}

type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;
type Answer = Result<Arc<[SocketAddr]>, ResolveError>;

/// A caching resolver. Concurrent callers of the same name share one lookup. Failures are not cached. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    lookup: Arc<Lookup>,
    limits: Limits,
    threads: Arc<Semaphore>,
    names: Mutex<HashMap<String, Known>>,
}

/// A cached or pending lookup.
#[derive(Clone)]
struct Known {
    since: Instant,
    answer: Shared<BoxFuture<'static, Answer>>,
}

impl Resolver {
    /// A resolver that uses the system's `getaddrinfo`.
    pub fn system() -> Self {
        Self::new(|host| Ok((host, 0).to_socket_addrs()?.collect()), Limits::default())
    }

    /// A resolver that uses `lookup`, which may block. The ports of the addresses it returns are ignored.
    pub fn new(
        lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
        limits: Limits,
    ) -> Self {
        Self::with(Arc::new(lookup), limits)
    }

    fn with(lookup: Arc<Lookup>, limits: Limits) -> Self {
        let threads = Arc::new(Semaphore::new(limits.threads));
        Self(Arc::new(Inner { lookup, limits, threads, names: Mutex::default() }))
    }

    /// A resolver with the same lookup function and its own threads and cache.
    pub(super) fn separate(&self) -> Self {
        Self::with(Arc::clone(&self.0.lookup), self.0.limits)
    }

    /// The addresses of a host, at least one, in the system's order. A literal address resolves to itself.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let known = self.known(host);
        let answer = known.answer.clone().await.inspect_err(|_| self.forget(host, &known))?;
        let with_port = |address: &SocketAddr| {
            let mut address = *address;
            address.set_port(port);
            address
        };
        Ok(answer.iter().map(with_port).collect())
    }

    /// The running or cached lookup of this name, else a new one.
    fn known(&self, host: &str) -> Known {
        let Inner { limits, .. } = &*self.0;
        let mut names = self.names();
        if let Some(known) = names.get(host).filter(|known| known.is_fresh(limits)) {
            return known.clone();
        }
        // First what has expired; the oldest only if all are still fresh.
        if names.len() >= limits.names {
            names.retain(|_, known| known.is_fresh(limits));
        }
        if names.len() >= limits.names {
            let oldest = names.iter().min_by_key(|(_, known)| known.since);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|name| names.remove(&name));
        }
        let answer = look_up(Arc::clone(&self.0), host.to_owned()).boxed().shared();
        let known = Known { since: Instant::now(), answer };
        names.insert(host.to_owned(), known.clone());
        known
    }

    fn forget(&self, host: &str, failed: &Known) {
        let mut names = self.names();
        // Only this lookup: another caller may have started a new one.
        if names.get(host).is_some_and(|known| known.answer.ptr_eq(&failed.answer)) {
            names.remove(host);
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.names.lock().expect("no panic while the lock is held")
    }
}

impl Known {
    /// Whether the entry can still be used. A pending lookup expires after the timeout, because its callers may all
    /// have gone.
    fn is_fresh(&self, limits: &Limits) -> bool {
        let is_answered = self.answer.peek().is_some();
        self.since.elapsed() < if is_answered { limits.ttl } else { limits.timeout }
    }
}

async fn look_up(resolver: Arc<Inner>, host: String) -> Answer {
    let found = timeout(resolver.limits.timeout, on_a_thread(&resolver, host));
    let found = found.await.map_err(|_| ResolveError::TimedOut)?;
    let found = found.map_err(|error| ResolveError::Failed(error.to_string()))?;
    if found.is_empty() { Err(ResolveError::NoAddress) } else { Ok(found.into()) }
}

/// Runs the lookup on its own thread, which ends with the lookup even if the caller stops waiting.
async fn on_a_thread(resolver: &Inner, host: String) -> io::Result<Vec<SocketAddr>> {
    let threads = Arc::clone(&resolver.threads);
    let permit = threads.acquire_owned().await.expect("the semaphore is never closed");
    let lookup = Arc::clone(&resolver.lookup);
    let (sender, found) = oneshot::channel();
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let found = lookup(&host);
        // Released by the thread and not by the caller: a lookup that hangs keeps its place after the caller's
        // timeout.
        drop(permit);
        // An error means that the caller has stopped waiting.
        let _ = sender.send(found);
    })?;
    found.await.unwrap_or_else(|_| Err(io::Error::other("the lookup panicked")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::future::join_all;

    use super::*;

    fn one() -> Vec<SocketAddr> {
        vec!["192.0.2.1:0".parse().unwrap()]
    }

    /// A resolver that resolves every name and counts the lookups.
    fn counting(limits: Limits) -> (Resolver, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let lookup = move |_: &str| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(one())
        };
        (Resolver::new(lookup, limits), count)
    }

    /// A resolver for which the lookup of `hangs` lasts until the sender is dropped.
    fn hanging(limits: Limits) -> (Resolver, mpsc::Sender<()>) {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let lookup = move |host: &str| {
            if host.starts_with("hangs") {
                let _ = released.lock().unwrap().recv();
            }
            Ok(one())
        };
        (Resolver::new(lookup, limits), release)
    }

    #[tokio::test]
    async fn the_system_resolves_localhost_and_a_literal_address_is_not_looked_up() {
        let found = Resolver::system().addresses("localhost", 80).await.unwrap();
        assert!(found.iter().all(|found| found.ip().is_loopback() && found.port() == 80));
        let (resolver, count) = counting(Limits::default());
        let found = resolver.addresses("::1", 7).await.unwrap();
        assert_eq!(found, ["[::1]:7".parse().unwrap()]);
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn concurrent_and_later_callers_share_one_lookup() {
        let (resolver, count) = counting(Limits::default());
        let callers = (0..100).map(|port| resolver.addresses("a.example", port));
        for (port, found) in join_all(callers).await.into_iter().enumerate() {
            assert_eq!(usize::from(found.unwrap()[0].port()), port);
        }
        resolver.addresses("a.example", 1).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 1);
        resolver.addresses("b.example", 1).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_answer_expires_and_the_cache_is_bounded() {
        let limits = Limits { ttl: Duration::from_millis(50), names: 2, ..Limits::default() };
        let (resolver, count) = counting(limits);
        for host in ["a", "b", "c", "d"] {
            resolver.addresses(host, 1).await.unwrap();
            assert!(resolver.names().len() <= 2);
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        resolver.addresses("d", 1).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 5);
    }

    #[tokio::test]
    async fn a_failure_is_not_cached() {
        let count = AtomicUsize::new(0);
        let lookup = move |_: &str| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Err(io::Error::other("no such name")),
            1 => Ok(Vec::new()),
            _ => Ok(one()),
        };
        let resolver = Resolver::new(lookup, Limits::default());
        let failed = resolver.addresses("a", 1).await;
        assert_eq!(failed, Err(ResolveError::Failed("no such name".into())));
        assert_eq!(resolver.addresses("a", 1).await, Err(ResolveError::NoAddress));
        assert!(resolver.addresses("a", 1).await.is_ok());
    }

    #[tokio::test]
    async fn a_hanging_lookup_times_out_and_takes_one_thread() {
        let limits =
            Limits { timeout: Duration::from_millis(100), threads: 2, ..Limits::default() };
        let (resolver, release) = hanging(limits);
        let callers = (0..10).map(|_| resolver.addresses("hangs", 1));
        for found in join_all(callers).await {
            assert_eq!(found, Err(ResolveError::TimedOut));
        }
        assert!(resolver.addresses("well", 1).await.is_ok());
        drop(release);
    }

    #[tokio::test]
    async fn names_that_hang_take_no_more_threads_than_allowed_and_none_of_a_separate_resolver() {
        let limits =
            Limits { timeout: Duration::from_millis(100), threads: 2, ..Limits::default() };
        let (resolver, release) = hanging(limits);
        let hosts = ["hangs-a", "hangs-b", "hangs-c", "well"];
        let callers = hosts.map(|host| resolver.addresses(host, 1));
        for found in join_all(callers).await {
            assert_eq!(found, Err(ResolveError::TimedOut));
        }
        assert!(resolver.separate().addresses("well", 1).await.is_ok());
        drop(release);
    }

    /// File operations run in the blocking pool, which a hanging lookup must not occupy.
    #[test]
    fn a_hanging_look_up_does_not_hold_up_file_work() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().max_blocking_threads(1).build().unwrap();
        let (resolver, release) = hanging(Limits::default());
        runtime.block_on(async {
            let hanging = tokio::spawn(async move { resolver.addresses("hangs", 1).await });
            tokio::task::yield_now().await;
            let work = tokio::task::spawn_blocking(|| 42);
            assert_eq!(timeout(Duration::from_secs(2), work).await.unwrap().unwrap(), 42);
            hanging.abort();
        });
        drop(release);
    }
}
