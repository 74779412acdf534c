//! TLS against the server side of `tokio-rustls`.

use std::sync::OnceLock;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream as ServerStream;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);
const HOST: &str = "zoom.example";

type Versions = &'static [&'static SupportedProtocolVersion];

static V1_3: [&SupportedProtocolVersion; 1] = [&TLS13];
static V1_2: [&SupportedProtocolVersion; 1] = [&TLS12];

/// The configurations of both sides, with the first certificate; the client trusts it.
fn configs(versions: Versions) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    static KEY: OnceLock<CertifiedKey<rcgen::KeyPair>> = OnceLock::new();
    let key = KEY.get_or_init(|| generate_simple_self_signed([HOST.to_owned()]).unwrap());
    let certificate = key.cert.der().clone();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .unwrap();
    (Arc::new(client), Arc::new(server))
}

fn name() -> ServerName<'static> {
    ServerName::try_from(HOST).unwrap()
}

/// Both ends of a connection over a pipe that holds this many bytes; the server's tickets must fit, because nobody reads
/// them before its handshake is over.
async fn pair(
    versions: Versions,
    pipe_bytes: usize,
) -> (TlsStream<DuplexStream>, ServerStream<DuplexStream>) {
    let (client, server) = configs(versions);
    let (near, far) = duplex(pipe_bytes);
    let (client, server) = tokio::join!(
        TlsStream::connect(client, name(), near),
        TlsAcceptor::from(server).accept(far)
    );
    (client.unwrap(), server.unwrap())
}

#[test]
fn a_message_of_the_handshake_takes_no_more_memory_than_it_needs() {
    let (client, _) = configs(&V1_3);
    let mut connection = TlsStream::new(client, name(), tokio::io::empty()).unwrap();
    connection.process(&mut [], &mut ReadBuf::new(&mut []), Outgoing::Nothing).unwrap();
    let (bytes, capacity) = (connection.unsent.len(), connection.unsent.capacity());
    assert!(bytes > 100, "a ClientHello: {bytes}");
    assert_eq!(capacity, bytes);
}

/// Sends `data` in pieces of random lengths, with a flush now and then, and ends this side.
async fn send_all(mut to: impl AsyncWrite + Unpin, data: &[u8], mut rng: SmallRng) {
    let mut rest = data;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rng.random_range(1..=rest.len().min(50_000)));
        to.write_all(piece).await.unwrap();
        if rng.random_bool(0.5) {
            to.flush().await.unwrap();
        }
        rest = later;
    }
    to.shutdown().await.unwrap();
}

/// Reads to the end with buffers of random lengths.
async fn read_all(mut from: impl AsyncRead + Unpin, mut rng: SmallRng) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let mut piece = vec![0; rng.random_range(1..40_000)];
        match from.read(&mut piece).await.unwrap() {
            0 => return whole,
            read => whole.extend_from_slice(&piece[..read]),
        }
    }
}

#[tokio::test]
async fn what_is_sent_arrives_whole_in_both_directions_however_it_is_cut() {
    for (versions, pipe_bytes) in [(&V1_3, 3_000), (&V1_3, 100_000), (&V1_2, 3_000)] {
        let seed = rand::random();
        println!("seed {seed}, pipe of {pipe_bytes} bytes");
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut data = || -> Vec<u8> {
            let length = rng.random_range(1..300_000);
            (0..length).map(|_| rng.random()).collect()
        };
        let (up, down) = (data(), data());
        let (client, server) = pair(versions, pipe_bytes).await;
        let (client_reads, client_writes) = tokio::io::split(client);
        let (server_reads, server_writes) = tokio::io::split(server);
        let seeded = |n| SmallRng::seed_from_u64(seed + n);
        let both = async {
            tokio::join!(
                send_all(client_writes, &up, seeded(1)),
                send_all(server_writes, &down, seeded(2)),
                read_all(server_reads, seeded(3)),
                read_all(client_reads, seeded(4)),
            )
        };
        let ((), (), came_up, came_down) = timeout(TIMEOUT, both).await.expect("it arrives");
        assert!(came_up == up && came_down == down);
    }
}

#[tokio::test]
async fn an_idle_connection_has_no_buffers() {
    let (mut client, mut server) = pair(&V1_3, 100_000).await;
    server.write_all(&[7; 60_000]).await.unwrap();
    let mut whole = vec![0; 60_000];
    client.read_exact(&mut whole).await.unwrap();
    client.write_all(&[7; 20_000]).await.unwrap();
    client.flush().await.unwrap();
    let kept = [&client.received, &client.decrypted, &client.unsent].map(Vec::capacity);
    assert_eq!(kept, [0; 3]);
}

#[tokio::test]
async fn a_connection_inside_another_is_read() {
    let (client, server) = pair(&V1_3, 100_000).await;
    let (inner_client, inner_server) = configs(&V1_2);
    let (client, server) = tokio::join!(
        TlsStream::connect(inner_client, name(), client),
        TlsAcceptor::from(inner_server).accept(server)
    );
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    server.write_all(&[7; 40_000]).await.unwrap();
    server.flush().await.unwrap();
    let mut whole = vec![0; 40_000];
    client.read_exact(&mut whole).await.unwrap();
    assert_eq!(whole, [7; 40_000]);
}

#[tokio::test]
async fn new_keys_of_the_server_are_answered() {
    let (mut client, mut server) = pair(&V1_3, 100_000).await;
    for round in 0..3_u8 {
        server.get_mut().1.refresh_traffic_keys().unwrap();
        server.write_all(&[round; 100]).await.unwrap();
        server.flush().await.unwrap();
        let mut came = [0; 100];
        client.read_exact(&mut came).await.unwrap();
        assert_eq!(came, [round; 100]);
        client.write_all(&[round]).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), round);
    }
}

#[tokio::test]
async fn the_end_of_the_connection_without_the_end_of_tls_is_an_error() {
    let (mut client, mut server) = pair(&V1_3, 100_000).await;
    server.write_all(b"whole").await.unwrap();
    server.flush().await.unwrap();
    drop(server.into_inner().0);
    let mut came = [0; 5];
    client.read_exact(&mut came).await.unwrap();
    assert_eq!(client.read(&mut came).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn bytes_that_are_no_tls_are_an_error() {
    let (mut client, server) = pair(&V1_3, 100_000).await;
    let mut raw = server.into_inner().0;
    raw.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let mut came = [0; 5];
    assert_eq!(client.read(&mut came).await.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_and_the_server_hears_why() {
    let (_, server) = configs(&V1_3);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let stranger = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&V1_3)
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let (near, far) = duplex(100_000);
    let (client, server) = tokio::join!(
        TlsStream::connect(Arc::new(stranger), name(), near),
        TlsAcceptor::from(server).accept(far)
    );
    assert!(client.err().unwrap().to_string().contains("UnknownIssuer"));
    assert!(server.err().unwrap().to_string().contains("fatal alert: UnknownCA"));
}

#[tokio::test]
async fn more_than_a_record_that_does_not_become_whole_is_an_error() {
    let (mut client, _server) = pair(&V1_3, 100_000).await;
    client.received = vec![0x17; 48 * 1024];
    assert_eq!(client.read(&mut [0; 5]).await.unwrap_err().kind(), ErrorKind::InvalidData);
}
