//! The proxy in front of a daemon: programs keep its address while the daemon behind it is replaced.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rtmsd::simulator::TlsFiles;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Passes every connection on to the daemon that it leads to now.
pub(super) struct Front {
    address: SocketAddr,
    daemon: Arc<Mutex<Option<SocketAddr>>>,
    serving: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Front {
    /// With a certificate for `localhost`; the authority that signed it is in `ca.pem` of the folder.
    pub(super) async fn open_tls(folder: &Path) -> Self {
        let files = TlsFiles::ensure(folder, "localhost").unwrap();
        let certificates: Vec<_> =
            CertificateDer::pem_reader_iter(BufReader::new(File::open(&files.cert).unwrap()))
                .map(Result::unwrap)
                .collect();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let daemon: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let target = Arc::clone(&daemon);
        let serving = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (tls, target) = (tls.clone(), *target.lock().unwrap());
                tokio::spawn(async move {
                    let Some(target) = target else { return };
                    if let Ok(stream) = tls.accept(tcp).await {
                        pass(stream, target).await;
                    }
                });
            }
        });
        Self { address, daemon, serving }
    }

    /// `RELAY_PUBLIC_URL`.
    pub(super) fn url(&self) -> String {
        format!("wss://localhost:{}", self.address.port())
    }

    pub(super) fn lead_to(&self, daemon: SocketAddr) {
        *self.daemon.lock().unwrap() = Some(daemon);
    }
}

/// Passes bytes until either side breaks off, and then drops the other: without a farewell in TLS, after which Zoom's own
/// client would not connect again.
async fn pass(program: impl AsyncRead + AsyncWrite + Unpin, target: SocketAddr) {
    let Ok(daemon) = TcpStream::connect(target).await else { return };
    let (mut from_program, mut to_program) = split(program);
    let (mut from_daemon, mut to_daemon) = daemon.into_split();
    tokio::select! {
        _ = copy(&mut from_program, &mut to_daemon) => {}
        _ = pass_on(&mut from_daemon, &mut to_program) => {}
    }
}

/// Like `copy`, which would shut the writer down in order.
async fn pass_on(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
    }
}
