//! Records that a well-behaved server does not send. What they do to a connection is what they do to one of
//! `tokio-rustls`.

use std::io::Read;

use rustls::{AlertDescription, ContentType, ServerConnection};
use tokio_rustls::TlsConnector;

use super::super::records::{HEADER_BYTES, Header, RecordKeys};
use super::*;

/// Alerts: level and description.
const CLOSE_NOTIFY: [u8; 2] = [1, 0];
const USER_CANCELED: [u8; 2] = [1, 90];
const NO_RENEGOTIATION: [u8; 2] = [1, 100];
const INTERNAL_ERROR: [u8; 2] = [2, 80];
/// Messages of the handshake.
const HELLO_REQUEST: [u8; 4] = [0; 4];
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 1];

/// The server's side of a connection, record by record.
struct CraftedServer {
    raw: DuplexStream,
    reads: RecordKeys,
    writes: RecordKeys,
}

impl CraftedServer {
    fn new((raw, tls): (DuplexStream, ServerConnection)) -> Self {
        let suite = tls.negotiated_cipher_suite().unwrap();
        let secrets = tls.dangerous_extract_secrets().unwrap();
        let reads = RecordKeys::new(suite, secrets.rx).unwrap();
        Self { raw, reads, writes: RecordKeys::new(suite, secrets.tx).unwrap() }
    }

    fn record(&mut self, (content_type, content): &Record) -> Vec<u8> {
        let mut record = Vec::new();
        self.writes.encrypt(*content_type, content, &mut record).unwrap();
        record
    }

    async fn send(&mut self, records: &[Record]) {
        for record in records {
            let record = self.record(record);
            self.raw.write_all(&record).await.unwrap();
        }
    }

    /// The next record of the client.
    async fn receive(&mut self) -> Record {
        let mut record = vec![0; HEADER_BYTES];
        self.raw.read_exact(&mut record).await.unwrap();
        let header = Header::read(&record).unwrap().unwrap();
        let mut payload = vec![0; header.payload_bytes];
        self.raw.read_exact(&mut payload).await.unwrap();
        let (content_type, content) = self.reads.decrypt(&header, &mut payload).unwrap();
        (content_type, content.to_vec())
    }
}

type Record = (ContentType, Vec<u8>);

fn data(content: &[u8]) -> Record {
    (ContentType::ApplicationData, content.to_vec())
}

fn alert(content: [u8; 2]) -> Record {
    (ContentType::Alert, content.to_vec())
}

fn message(content: &[u8]) -> Record {
    (ContentType::Handshake, content.to_vec())
}

/// A ticket that is valid for a day.
fn ticket() -> Vec<u8> {
    let body: &[&[u8]] = &[&86_400_u32.to_be_bytes(), &[9; 4], &[1, 7], &[0, 3, 1, 2, 3], &[0, 0]];
    let body = body.concat();
    [&[4, 0, 0, u8::try_from(body.len()).unwrap()], &*body].concat()
}

async fn crafted(versions: Versions) -> (TlsStream<DuplexStream>, CraftedServer) {
    let (client, server) = pair(versions, 1_000_000).await;
    (client, CraftedServer::new(server.into_inner()))
}

/// What a client reads until the end, and the kind of an error that ends it.
type Outcome = (Vec<u8>, Option<ErrorKind>);

async fn outcome(mut client: impl AsyncRead + Unpin) -> Outcome {
    let mut whole = Vec::new();
    let end = timeout(TIMEOUT, client.read_to_end(&mut whole)).await.expect("the end comes");
    (whole, end.err().map(|error| error.kind()))
}

/// What the records do to a connection, and then the end of the TCP connection.
async fn outcome_of(versions: Versions, records: &[Record]) -> Outcome {
    let (client, mut server) = crafted(versions).await;
    server.send(records).await;
    server.raw.shutdown().await.unwrap();
    outcome(client).await
}

/// The same with rustls, which gets one record after the other: of several, it would drop the data before an error.
async fn outcome_with_rustls(versions: Versions, records: &[Record]) -> Outcome {
    let (client, server) = configs(versions);
    let (near, far) = duplex(1_000_000);
    let (client, server) = tokio::join!(
        TlsConnector::from(client).connect(name(), near),
        TlsAcceptor::from(server).accept(far)
    );
    let mut server = CraftedServer::new(server.unwrap().into_inner());
    server.send(records).await;
    server.raw.shutdown().await.unwrap();
    let (mut raw, mut tls) = client.unwrap().into_inner();
    let (mut sent, mut whole) = (Vec::new(), Vec::new());
    raw.read_to_end(&mut sent).await.unwrap();
    let mut rest = &sent[..];
    while let [_, _, _, high, low, ..] = *rest {
        let payload_bytes = usize::from(u16::from_be_bytes([high, low]));
        let (mut record, later) = rest.split_at(HEADER_BYTES + payload_bytes);
        // In pieces, because rustls reads at most 4 kB at first.
        while !record.is_empty() {
            tls.read_tls(&mut record).unwrap();
        }
        let Ok(state) = tls.process_new_packets() else {
            return (whole, Some(ErrorKind::InvalidData));
        };
        // `WouldBlock`, because more may come.
        let _ = tls.reader().read_to_end(&mut whole);
        if state.peer_has_closed() {
            return (whole, None);
        }
        rest = later;
    }
    (whole, Some(ErrorKind::UnexpectedEof))
}

async fn assert_like_rustls(versions: Versions, records: &[Record]) -> Outcome {
    let ours = outcome_of(versions, records).await;
    assert_eq!(ours, outcome_with_rustls(versions, records).await, "{records:?}");
    ours
}

/// The next byte, which must come soon or never.
async fn byte(client: &mut TlsStream<DuplexStream>) -> io::Result<u8> {
    timeout(TIMEOUT, client.read_u8()).await.expect("a byte or the end comes")
}

#[tokio::test]
async fn the_end_of_tls_is_the_end_of_the_data_whatever_comes_behind_it() {
    for versions in [&V1_3, &V1_2] {
        let records = [data(b"all"), alert(CLOSE_NOTIFY), data(b"late"), alert(INTERNAL_ERROR)];
        assert_eq!(assert_like_rustls(versions, &records).await, (b"all".to_vec(), None));
    }
}

#[tokio::test]
async fn an_alert_that_ends_the_session_is_reported() {
    let (mut client, mut server) = crafted(&V1_3).await;
    server.send(&[alert(INTERNAL_ERROR)]).await;
    let error = byte(&mut client).await.unwrap_err();
    assert!(error.to_string().contains("InternalError"), "{error}");
    let later = byte(&mut client).await.unwrap_err();
    assert_eq!(later.kind(), ErrorKind::InvalidData, "no end without an error");
    assert_eq!(client.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_few_warnings_are_ignored() {
    for (versions, warning) in [(&V1_3, USER_CANCELED), (&V1_2, USER_CANCELED), (&V1_2, [1, 41])] {
        let four: Vec<_> = (0..4).flat_map(|_| [alert(warning), data(b"x")]).collect();
        let end = [alert(CLOSE_NOTIFY)];
        let all = assert_like_rustls(versions, &[&*four, &end].concat()).await;
        assert_eq!(all, (b"xxxx".to_vec(), None));
        let five = [&*four, &[alert(warning), data(b"x")], &end].concat();
        let cut = assert_like_rustls(versions, &five).await;
        assert_eq!(cut, (b"xxxx".to_vec(), Some(ErrorKind::InvalidData)));
    }
    let other = assert_like_rustls(&V1_3, &[alert([1, 41]), data(b"x")]).await;
    assert_eq!(other.1, Some(ErrorKind::InvalidData), "TLS 1.3 has no other warnings");
}

#[tokio::test]
async fn another_handshake_is_refused_once() {
    let (mut client, mut server) = crafted(&V1_2).await;
    server.send(&[message(&HELLO_REQUEST), data(b"x")]).await;
    assert_eq!(byte(&mut client).await.unwrap(), b'x');
    assert_eq!(server.receive().await, alert(NO_RENEGOTIATION));
    server.send(&[message(&HELLO_REQUEST)]).await;
    assert_eq!(byte(&mut client).await.unwrap_err().kind(), ErrorKind::InvalidData);
    assert_like_rustls(&V1_2, &[message(&HELLO_REQUEST), message(&HELLO_REQUEST)]).await;
    assert_like_rustls(&V1_3, &[message(&HELLO_REQUEST), data(b"x")]).await;
}

#[tokio::test]
async fn a_message_in_several_records_is_read_and_nothing_may_come_between_them() {
    let ticket = ticket();
    let (start, rest) = ticket.split_at(9);
    let records = [message(start), message(rest), data(b"x"), alert(CLOSE_NOTIFY)];
    assert_eq!(assert_like_rustls(&V1_3, &records).await, (b"x".to_vec(), None));
    let (mut client, mut server) = crafted(&V1_3).await;
    server.send(&[message(start), data(b"x"), message(rest)]).await;
    assert_eq!(byte(&mut client).await.unwrap_err().kind(), ErrorKind::InvalidData);
    let alert_sent = [2, AlertDescription::UnexpectedMessage.into()];
    assert_eq!(server.receive().await, alert(alert_sent));
    let long = [message(&[4, 1, 0, 0]), message(&[7; 1000])];
    assert_eq!(assert_like_rustls(&V1_3, &long).await.1, Some(ErrorKind::InvalidData));
}

#[tokio::test]
async fn new_keys_that_are_not_the_last_of_their_record_or_too_many_are_an_error() {
    for bad in [
        [&KEY_UPDATE[..], &ticket()].concat(),
        [&KEY_UPDATE[..], &[4]].concat(),
        vec![24, 0, 0, 1, 2],
        vec![24, 0, 0, 0],
        vec![24, 0, 0, 2, 0, 0],
    ] {
        let (mut client, mut server) = crafted(&V1_3).await;
        server.send(&[message(&bad)]).await;
        assert_eq!(byte(&mut client).await.unwrap_err().kind(), ErrorKind::InvalidData, "{bad:?}");
    }
    let (mut client, mut server) = pair(&V1_3, 1_000_000).await;
    for _ in 0..33 {
        server.get_mut().1.refresh_traffic_keys().unwrap();
        server.flush().await.unwrap();
    }
    let error = byte(&mut client).await.unwrap_err();
    assert!(error.to_string().contains("TooManyKeyUpdateRequests"), "{error}");
}

#[tokio::test]
async fn records_without_content_are_bounded() {
    for versions in [&V1_3, &V1_2] {
        let many = [&vec![data(b""); 32][..], &[data(b"x")]].concat();
        let twice = [&*many, &many, &[alert(CLOSE_NOTIFY)]].concat();
        assert_eq!(assert_like_rustls(versions, &twice).await, (b"xx".to_vec(), None));
        let too_many = [&[data(b"")], &*many].concat();
        assert_eq!(assert_like_rustls(versions, &too_many).await.1, Some(ErrorKind::InvalidData));
    }
}

#[tokio::test]
async fn a_record_that_was_changed_repeated_or_left_out_is_an_error() {
    for versions in [&V1_3, &V1_2] {
        for fault in ["changed", "repeated", "left out", "not encrypted"] {
            let (mut client, mut server) = crafted(versions).await;
            let mut records = [b"a", b"b"].map(|content| server.record(&data(content)));
            match fault {
                "changed" => records[1][HEADER_BYTES + 3] ^= 1,
                "repeated" => records[1] = records[0].clone(),
                "left out" => records[1] = server.record(&data(b"c")),
                _ => records[1] = [&[23, 3, 3, 0, 40][..], &[b'b'; 40]].concat(),
            }
            server.raw.write_all(&records.concat()).await.unwrap();
            assert_eq!(byte(&mut client).await.unwrap(), b'a');
            let error = byte(&mut client).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{fault}");
            let alert_sent = [2, AlertDescription::BadRecordMac.into()];
            assert_eq!(server.receive().await, alert(alert_sent), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_record_that_is_too_long_or_of_an_unknown_type_is_an_error_before_it_is_whole() {
    for (versions, header, alert_sent) in [
        (&V1_3, [23, 3, 3, 0xff, 0xff], AlertDescription::RecordOverflow),
        (&V1_2, [23, 3, 3, 0x48, 1], AlertDescription::RecordOverflow),
        (&V1_3, [99, 3, 3, 0, 1], AlertDescription::DecodeError),
        (&V1_3, [23, 2, 3, 0, 1], AlertDescription::DecodeError),
    ] {
        let (mut client, mut server) = crafted(versions).await;
        server.raw.write_all(&header).await.unwrap();
        assert_eq!(byte(&mut client).await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(server.receive().await, alert([2, alert_sent.into()]), "{header:?}");
    }
}

#[tokio::test]
async fn a_record_has_at_most_16_kb_of_content_and_padding() {
    let content = |bytes| vec![b'x'; bytes];
    for versions in [&V1_3, &V1_2] {
        for (bytes, end) in [(16_384, None), (16_385, Some(ErrorKind::InvalidData))] {
            let records = [data(&content(bytes)), alert(CLOSE_NOTIFY)];
            assert_eq!(assert_like_rustls(versions, &records).await.1, end, "{bytes}");
        }
    }
    // With TLS 1.3, the type is behind the content, and zeros behind the type: this content is of type 23.
    let padded = |zeros| [&content(100)[..], &[23], &vec![0; zeros]].concat();
    for (zeros, end) in [(16_283, None), (16_284, Some(ErrorKind::InvalidData))] {
        let records = [(ContentType::from(0), padded(zeros)), alert(CLOSE_NOTIFY)];
        let (whole, came) = assert_like_rustls(&V1_3, &records).await;
        assert_eq!((whole.len(), came), (if end.is_none() { 100 } else { 0 }, end));
    }
    let zeros = [(ContentType::from(0), vec![0; 10]), alert(CLOSE_NOTIFY)];
    let none = assert_like_rustls(&V1_3, &zeros).await;
    assert_eq!(none.1, Some(ErrorKind::InvalidData), "a record without a type");
}

#[tokio::test]
async fn answers_to_a_server_that_does_not_read_are_bounded() {
    let (mut client, mut server) = pair(&V1_3, 3_000).await;
    let flood = async {
        // Ends when the client does.
        loop {
            server.get_mut().1.refresh_traffic_keys().unwrap();
            if server.write_all(b"x").await.is_err() || server.flush().await.is_err() {
                return;
            }
        }
    };
    let read = async {
        loop {
            if let Err(error) = byte(&mut client).await {
                return (error, client.unsent.len());
            }
        }
    };
    let (error, unsent) = tokio::select! {
        read = read => read,
        () = flood => panic!("the server was refused"),
    };
    assert!(error.to_string().contains("TooManyKeyUpdateRequests"), "{error}");
    assert!((32 * 1024..33 * 1024).contains(&unsent), "{unsent}");
}

#[tokio::test]
async fn an_unencrypted_alert_is_an_error_and_not_the_end_of_the_data() {
    let (mut client, mut server) = crafted(&V1_3).await;
    server.raw.write_all(&[21, 3, 3, 0, 2, 1, 0]).await.unwrap();
    let error = byte(&mut client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "no end of the data: anybody can send it");
}

/// A record of any kind, valid or not, except new keys.
fn any_record(rng: &mut SmallRng) -> Record {
    let ticket = ticket();
    match rng.random_range(0..12) {
        0..5 => data(&vec![b'd'; rng.random_range(0..40)]),
        5 => message(&ticket),
        6 => message(&[&ticket[..], &ticket[..rng.random_range(0..ticket.len())]].concat()),
        7 => message(&ticket[..rng.random_range(0..ticket.len())]),
        8 => alert(USER_CANCELED),
        9 => alert([rng.random_range(0..4), rng.random()]),
        10 => message(&[rng.random_range(0..8), 0, 0, rng.random_range(0..3), 0, 0]),
        _ => (ContentType::from(rng.random_range(19..26)), vec![rng.random(); 3]),
    }
}

#[tokio::test]
async fn random_records_have_the_same_outcome_as_with_rustls() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    for _ in 0..150 {
        let versions: Versions = if rng.random() { &V1_3 } else { &V1_2 };
        let count = rng.random_range(1..12);
        let records: Vec<_> = (0..count).map(|_| any_record(&mut rng)).collect();
        assert_like_rustls(versions, &records).await;
    }
}

#[tokio::test]
async fn any_bytes_are_read_without_a_panic() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    for _ in 0..100 {
        let (client, mut server) = crafted(&V1_3).await;
        let mut bytes = server.record(&data(b"x"));
        let length = rng.random_range(0..100);
        bytes.extend((0..length).map(|_| rng.random_range(0..24_u8)));
        server.raw.write_all(&bytes).await.unwrap();
        server.raw.shutdown().await.unwrap();
        let (whole, end) = outcome(client).await;
        assert_eq!(whole, b"x");
        assert!(end.is_some());
    }
}
