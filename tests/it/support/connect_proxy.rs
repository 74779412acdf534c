//! An HTTP proxy that opens `CONNECT` tunnels. It connects every requested host to this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How the proxy answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    Open,
    /// Requires this `user:password`, else answers 407.
    Credentials(&'static str),
    /// Always answers with this status.
    Refuse(u16),
    /// Reads requests and never answers.
    Silent,
}

pub(crate) struct ConnectProxy {
    pub address: SocketAddr,
    manner: Manner,
    /// Every `host:port` to which a tunnel was opened.
    opened: Arc<Mutex<Vec<String>>>,
    serving: JoinSet<()>,
}

impl ConnectProxy {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, manner).await
    }

    /// At this address of the machine.
    pub(crate) async fn start_at(host: Ipv4Addr, manner: Manner) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, serving) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
        let mut proxy = Self { address, manner, opened, serving };
        proxy.serving.spawn(serve(listener, manner, Arc::clone(&proxy.opened)));
        proxy
    }

    /// Ends every tunnel and refuses new ones.
    pub(crate) async fn shut(&mut self) {
        self.serving.shutdown().await;
    }

    /// Opens tunnels again, at the same address.
    pub(crate) async fn reopen(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving.spawn(serve(listener, self.manner, Arc::clone(&self.opened)));
    }

    pub(crate) fn opened(&self) -> Vec<String> {
        self.opened.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, manner: Manner, opened: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(answer(client, manner, Arc::clone(&opened)));
    }
}

async fn answer(mut client: TcpStream, manner: Manner, opened: Arc<Mutex<Vec<String>>>) {
    let Some(head) = read_head(&mut client).await else { return };
    let mut line = head.lines().next().unwrap().split(' ');
    let (method, host) = (line.next().unwrap(), line.next().unwrap().to_owned());
    let status = match manner {
        Manner::Silent => std::future::pending().await,
        _ if method != "CONNECT" => 405,
        Manner::Refuse(status) => status,
        Manner::Credentials(pair) if !has(&head, pair) => 407,
        Manner::Open | Manner::Credentials(_) => 200,
    };
    let answer = format!("HTTP/1.1 {status} so\r\nVia: 1.1 test\r\n\r\n");
    if client.write_all(answer.as_bytes()).await.is_err() || status != 200 {
        return;
    }
    let port: u16 = host.rsplit(':').next().unwrap().parse().unwrap();
    opened.lock().unwrap().push(host);
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

fn has(head: &str, pair: &str) -> bool {
    let wanted = format!("proxy-authorization: basic {}", STANDARD.encode(pair));
    head.lines().any(|line| line.eq_ignore_ascii_case(&wanted))
}

async fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
