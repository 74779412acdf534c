//! Two daemons on one database, which get Zoom's webhooks through one address, as behind a load balancer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::balancer::Balancer;
use super::faults::Faults;
use super::node::Node;
use super::postgres;
use super::round::{Figures, Round};
use super::zoom::Problem;

const START_LIMIT: Duration = Duration::from_secs(60);
/// How far apart the clocks are; Zoom's and the database's are right.
const CLOCKS_S: [i32; 2] = [30, -30];

pub(crate) struct Pair {
    index: u64,
    pub streams: u32,
    faults: Faults,
    pub nodes: [Node; 2],
    pub database: PgConnection,
    pub folder: TempDir,
    pub webhook_url: String,
    _balancer: JoinSet<()>,
}

impl Pair {
    /// One daemon's clock is right. The other's is 30 s ahead or behind.
    pub(crate) async fn start(index: u64, seed: u64, streams: u32) -> Result<Self, Problem> {
        let folder = tempfile::tempdir()?;
        let url = postgres::fresh_database().await;
        let clock_s = CLOCKS_S[usize::from(seed % 2 == 1)];
        let first = Node::start(&folder.path().join("first"), &url, 0).await?;
        until_ready(&first).await?;
        let second = Node::start(&folder.path().join("second"), &url, clock_s).await?;
        until_ready(&second).await?;
        let nodes = [first, second];
        let targets = [0, 1].map(|n: usize| (nodes[n].address, Arc::clone(&nodes[n].is_well)));
        let balancer = Balancer::bind().await?;
        let (webhook_url, balancer) = (balancer.webhook_url()?, balancer.start(targets));
        let database = PgConnection::connect(&url).await?;
        let faults = Faults::new(seed);
        Ok(Self {
            index,
            streams,
            faults,
            nodes,
            database,
            folder,
            webhook_url,
            _balancer: balancer,
        })
    }

    /// Plays rounds until the time is over. A breach does not end it.
    pub(crate) async fn run(mut self, until: Instant) -> Result<Figures, Problem> {
        let mut figures = Figures::default();
        for number in 1.. {
            let faults = self.faults.round();
            let name = format!("pair {}, round {number}", self.index);
            figures.rounds += 1;
            for fault in faults.iter().flatten().flat_map(|fault| fault.names()) {
                *figures.faults.entry(fault).or_default() += 1;
            }
            let before = figures.breaches.len();
            match Round::open(&mut self).await {
                Ok(round) => round.play(&mut self, &faults, &mut figures).await?,
                Err(problem) => figures.breaches.push(problem.to_string()),
            }
            for breach in &mut figures.breaches[before..] {
                *breach = format!("{name}, {faults:?}: {breach}");
                eprintln!("{breach}");
            }
            if Instant::now() >= until {
                break;
            }
        }
        if !figures.breaches.is_empty() {
            eprintln!(
                "pair {}: the daemons' logs are in {}",
                self.index,
                self.folder.keep().display()
            );
        }
        Ok(figures)
    }
}

async fn until_ready(node: &Node) -> Result<(), Problem> {
    let ready = async {
        while !node.is_ready().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(START_LIMIT, ready).await.map_err(|_| "a daemon is not ready".into())
}
