//! Reads of a store with many sessions and a long transcript, one after the other over one connection.

use std::time::Instant;

use super::client::Client;
use super::server::{self, Server, get};
use super::table::Row;
use super::zoom::Problem;
use super::{Args, seed};

const WARM_UP: usize = 3;

pub(crate) async fn run(args: &Args) -> Result<(), Problem> {
    let folder = tempfile::tempdir()?;
    let long = seed::fill(&server::location(args, folder.path())?).await?;
    let server = Server::start(args, folder.path()).await?;
    let sessions = "/api/v1/sdk/sessions";
    let of_long = format!("{sessions}/{long}");
    let reads = [
        ("sessions, live", format!("{sessions}?status=live"), 500, 0),
        ("sessions, live and connecting", format!("{sessions}?status=live,connecting"), 500, 0),
        ("sessions, newest 50", format!("{sessions}?limit=50"), 500, 0),
        ("sessions, oldest 50", format!("{sessions}?limit=50&before={}", seed::EARLY_ID), 500, 0),
        ("timeline of the long session", format!("{of_long}/timeline"), 500, 0),
        ("its transcript as json", format!("{of_long}/transcript"), 20, seed::LINES),
        ("as jsonl", format!("{of_long}/transcript?format=jsonl"), 20, seed::LINES),
        ("as vtt", format!("{of_long}/transcript?format=vtt"), 20, seed::LINES),
    ];
    for (what, path, count, lines) in reads {
        measure(&server, what, &get(&path), count, lines).await?.print();
    }
    Ok(())
}

async fn measure(
    server: &Server,
    what: &str,
    request: &[u8],
    count: usize,
    lines: usize,
) -> Result<Row, Problem> {
    let mut client = Client::new(server.address);
    for _ in 0..WARM_UP {
        client.exchange(request).await?;
    }
    let (began, cpu_us) = (Instant::now(), server.cpu_us());
    let mut answers = Vec::with_capacity(count);
    for _ in 0..count {
        answers.push(client.exchange(request).await?);
    }
    let (took, cpu_us) = (began.elapsed(), server.cpu_us() - cpu_us);
    Ok(Row { what: what.to_owned(), answers, took, cpu_us, lines })
}
