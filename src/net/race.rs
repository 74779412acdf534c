//! Happy Eyeballs (RFC 8305): starts connection attempts to a host's addresses in a staggered sequence and takes the
//! first that succeeds.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

/// The delay before the next address is tried in parallel (RFC 8305 section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The most addresses of a host that one race tries. Bounds the sockets that one dial opens.
const MAX_ATTEMPTS: usize = 8;

/// Returns the first address for which `attempt` succeeds, and drops the other attempts. When an attempt fails, the
/// next one starts at once. If all fail, returns the last error.
pub(super) async fn race_addresses<T, F: Future<Output = io::Result<T>>>(
    addresses: &[SocketAddr],
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<(SocketAddr, T)> {
    let mut waiting = interleave_families(addresses).into_iter().take(MAX_ATTEMPTS);
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to connect to");
    loop {
        if let Some(address) = waiting.next() {
            let attempt = attempt(address);
            attempts.push(async move { (address, attempt.await) });
        }
        tokio::select! {
            // Cancel-safe: `next` takes nothing out of the set until an attempt has ended.
            ended = attempts.next() => match ended {
                Some((address, Ok(connected))) => return Ok((address, connected)),
                Some((_, Err(error))) => failure = error,
                // The set is empty only when no address is left: a new attempt was added above.
                None => return Err(failure),
            },
            () = sleep(ATTEMPT_DELAY), if waiting.len() > 0 => {}
        }
    }
}

/// Alternates the address families, starting with the family of the first address (RFC 8305 section 4). A family
/// without connectivity then costs one delay instead of one per address.
fn interleave_families(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_first_kind = |address: &&SocketAddr| address.is_ipv6() == addresses[0].is_ipv6();
    let (first, other): (Vec<&SocketAddr>, Vec<&SocketAddr>) =
        addresses.iter().partition(is_first_kind);
    let longer = first.len().max(other.len());
    (0..longer).flat_map(|i| [first.get(i), other.get(i)]).flatten().map(|it| **it).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    fn addresses(text: &str) -> Vec<SocketAddr> {
        text.split_whitespace().map(|address| address.parse().unwrap()).collect()
    }

    /// Runs a race in which port 1 never answers, port 2 refuses and port 3 connects. Returns the result, when each
    /// attempt started, and when the race ended.
    async fn run(text: &str) -> (io::Result<SocketAddr>, Vec<(String, u128)>, u128) {
        let begin = Instant::now();
        let begun = Mutex::new(Vec::new());
        let attempt = |address: SocketAddr| {
            begun.lock().unwrap().push((address.to_string(), begin.elapsed().as_millis()));
            async move {
                match address.port() {
                    1 => std::future::pending().await,
                    2 => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
                    _ => Ok(()),
                }
            }
        };
        let done = race_addresses(&addresses(text), attempt).await.map(|(address, ())| address);
        let took = begin.elapsed().as_millis();
        (done, begun.into_inner().unwrap(), took)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_delays_the_next_by_a_quarter_second() {
        let (done, begun, took) = run("[::1]:1 [::2]:1 10.0.0.1:3").await;
        assert_eq!(done.unwrap(), "10.0.0.1:3".parse().unwrap());
        assert_eq!(begun, [("[::1]:1".into(), 0), ("10.0.0.1:3".into(), 250)]);
        assert_eq!(took, 250);
        let (_, begun, took) = run("10.0.0.1:1 10.0.0.2:1 10.0.0.3:3").await;
        assert_eq!((begun.len(), took), (3, 500));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_delays_nothing() {
        let (done, _, took) = run("[::1]:2 10.0.0.1:3").await;
        assert!(done.is_ok());
        assert_eq!(took, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_address_that_connects_is_the_only_one_dialled() {
        let (_, begun, _) = run("[::1]:3 10.0.0.1:3").await;
        assert_eq!(begun.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_race_ends_when_every_attempt_has_failed() {
        let (done, begun, took) = run("[::1]:2 10.0.0.1:2").await;
        assert_eq!(done.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!((begun.len(), took), (2, 0));
        let (done, _, _) = run("").await;
        assert_eq!(done.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn address_families_alternate_starting_with_the_first() {
        let found = interleave_families(&addresses("[::1]:1 [::2]:1 [::3]:1 10.0.0.1:1"));
        assert_eq!(found, addresses("[::1]:1 10.0.0.1:1 [::2]:1 [::3]:1"));
        assert!(interleave_families(&[]).is_empty());
    }
}
