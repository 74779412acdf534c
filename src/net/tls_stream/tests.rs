//! TLS against the server side of `tokio-rustls`.

mod crafted;

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::FutureExt;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream as ServerStream;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);
const HOST: &str = "zoom.example";

pub(super) type Versions = &'static [&'static SupportedProtocolVersion];

pub(super) static V1_3: [&SupportedProtocolVersion; 1] = [&TLS13];
static V1_2: [&SupportedProtocolVersion; 1] = [&TLS12];

/// The configurations of both sides; the client trusts the server's certificate.
pub(super) fn configs(versions: Versions) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    configs_with(versions, rustls::crypto::ring::default_provider())
}

fn configs_with(
    versions: Versions,
    provider: CryptoProvider,
) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    static KEY: OnceLock<CertifiedKey<rcgen::KeyPair>> = OnceLock::new();
    let key = KEY.get_or_init(|| generate_simple_self_signed([HOST.to_owned()]).unwrap());
    let certificate = key.cert.der().clone();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let provider = Arc::new(provider);
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .unwrap();
    client.enable_secret_extraction = true;
    server.enable_secret_extraction = true;
    (Arc::new(client), Arc::new(server))
}

pub(super) fn name() -> ServerName<'static> {
    ServerName::try_from(HOST).unwrap()
}

/// Both ends of a connection over a pipe that holds this many bytes; the server's tickets must fit, because nobody reads
/// them before its handshake is over.
async fn pair(
    versions: Versions,
    pipe_bytes: usize,
) -> (TlsStream<DuplexStream>, ServerStream<DuplexStream>) {
    let (client, server) = configs(versions);
    pair_of(client, server, pipe_bytes).await
}

async fn pair_of(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    pipe_bytes: usize,
) -> (TlsStream<DuplexStream>, ServerStream<DuplexStream>) {
    let (near, far) = duplex(pipe_bytes);
    let (client, server) = tokio::join!(
        TlsStream::connect(client, name(), near),
        TlsAcceptor::from(server).accept(far)
    );
    (client.unwrap(), server.unwrap())
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
async fn every_cipher_is_read_and_written() {
    for suite in rustls::crypto::ring::ALL_CIPHER_SUITES {
        let mut provider = rustls::crypto::ring::default_provider();
        provider.cipher_suites = vec![*suite];
        let versions: Versions = if suite.tls13().is_some() { &V1_3 } else { &V1_2 };
        // The certificate has an ECDSA key.
        if matches!(suite.suite(), CipherSuite::Unknown(_)) || is_rsa(suite.suite()) {
            continue;
        }
        let (client, server) = configs_with(versions, provider);
        let (mut client, mut server) = pair_of(client, server, 100_000).await;
        for round in 0..3_u8 {
            server.write_all(&[round; 20_000]).await.unwrap();
            server.flush().await.unwrap();
            let mut whole = vec![0; 20_000];
            client.read_exact(&mut whole).await.unwrap();
            assert_eq!(whole, [round; 20_000], "{:?}", suite.suite());
            client.write_all(&whole).await.unwrap();
            client.flush().await.unwrap();
            server.read_exact(&mut whole).await.unwrap();
            assert_eq!(whole, [round; 20_000], "{:?}", suite.suite());
        }
    }
}

fn is_rsa(suite: CipherSuite) -> bool {
    suite.as_str().is_some_and(|name| name.contains("RSA") && !name.contains("ECDSA"))
}

#[tokio::test]
async fn the_next_connection_resumes_the_session_with_the_tickets_of_the_one_before() {
    for versions in [&V1_3, &V1_2] {
        let (client, server) = configs(versions);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let pair = pair_of(Arc::clone(&client), Arc::clone(&server), 100_000).await;
            let (mut client, mut server) = pair;
            assert_eq!(server.get_ref().1.handshake_kind(), Some(expected));
            server.write_all(b"data behind the tickets").await.unwrap();
            server.flush().await.unwrap();
            client.read_exact(&mut [0; 23]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn new_keys_come_before_the_old_ones_have_encrypted_too_many_records() {
    let (mut client, mut server) = pair(&V1_3, 100_000).await;
    client.session.max_records = 10;
    for record in 0..50_u8 {
        client.write_all(&[record]).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), record);
        assert!(client.session.writes.sequence() < 10);
    }
    let (mut client, _server) = pair(&V1_2, 100_000).await;
    client.session.max_records = 10;
    let mut wrote = 0;
    while client.write_all(&[1]).await.is_ok() {
        wrote += 1;
    }
    assert_eq!(wrote, 8, "the handshake has taken one, and TLS 1.2 has no new keys");
}

/// The first flight of a server that sends data and ends TLS before it has heard that the handshake is over.
async fn eager_flight(server: Arc<ServerConfig>, far: &mut DuplexStream) -> Vec<u8> {
    let mut tls = rustls::ServerConnection::new(server).unwrap();
    let mut hello = vec![0; 10_000];
    let bytes = far.read(&mut hello).await.unwrap();
    tls.read_tls(&mut &hello[..bytes]).unwrap();
    tls.process_new_packets().unwrap();
    std::io::Write::write_all(&mut tls.writer(), b"eager").unwrap();
    tls.send_close_notify();
    let mut flight = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut flight).unwrap();
    }
    flight
}

#[tokio::test]
async fn data_right_behind_the_handshake_is_read_wherever_it_is_split() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    for round in 0..100 {
        let (client, server) = configs(&V1_3);
        let mut server = ServerConfig::clone(&server);
        server.send_half_rtt_data = true;
        let (near, mut far) = duplex(100_000);
        let serve = async {
            let flight = eager_flight(Arc::new(server), &mut far).await;
            let ends = flight.len().saturating_sub(round);
            let cut = if round < 60 { ends } else { rng.random_range(0..flight.len()) };
            far.write_all(&flight[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            far.write_all(&flight[cut..]).await.unwrap();
        };
        let (client, ()) = tokio::join!(TlsStream::connect(client, name(), near), serve);
        let mut whole = Vec::new();
        let mut client = client.unwrap();
        let read = client.read_to_end(&mut whole).map(Result::unwrap);
        timeout(TIMEOUT, read).await.expect("the end comes");
        assert_eq!(whole, b"eager");
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
async fn bytes_that_are_not_tls_are_an_error() {
    let (mut client, server) = pair(&V1_3, 100_000).await;
    let mut raw = server.into_inner().0;
    raw.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let mut came = [0; 5];
    assert_eq!(client.read(&mut came).await.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_with_an_alert() {
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
async fn a_server_that_ends_the_connection_in_the_handshake_is_an_error() {
    let (client, _) = configs(&V1_3);
    let (near, mut far) = duplex(100_000);
    far.shutdown().await.unwrap();
    let end = TlsStream::connect(client, name(), near).await.err().unwrap();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
}
