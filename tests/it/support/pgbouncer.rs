//! A private PgBouncer in front of the tests' Postgres cluster. It serves every database and rotates a few server
//! connections, so that state left on a connection by one transaction meets the next transaction of another client.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use super::postgres;

const HOW_TO_INSTALL: &str = "the tests need PgBouncer: apt-get install pgbouncer";

pub(crate) struct PgBouncer {
    port: u16,
    /// The shell that runs PgBouncer. It stops when its standard input closes: on drop, or when this process ends.
    _guard: Child,
}

/// The PgBouncer in transaction mode, shared by all tests.
pub(crate) fn in_transaction_mode() -> &'static PgBouncer {
    static SHARED: OnceLock<PgBouncer> = OnceLock::new();
    SHARED.get_or_init(|| PgBouncer::start("transaction"))
}

impl PgBouncer {
    /// Starts a PgBouncer. `mode` is session, transaction or statement.
    pub(crate) fn start(mode: &str) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut guard = postgres::unprivileged_shell()
            .args(["-c", include_str!("pgbouncer.sh"), "sh"])
            .arg(program().expect(HOW_TO_INSTALL))
            .arg(postgres::socket_folder())
            .args([port.to_string().as_str(), mode])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C must reach only the tests.
            .process_group(0)
            .spawn()
            .expect("a shell can be started");
        let mut line = String::new();
        let output = guard.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the shell's output is text");
        assert_eq!(line.trim_end(), "ready", "no PgBouncer: {HOW_TO_INSTALL}");
        Self { port, _guard: guard }
    }

    /// The URL of the same database through PgBouncer.
    pub(crate) fn url(&self, database_url: &str) -> String {
        let (path, _) = database_url.split_once('?').unwrap();
        let name = path.rsplit('/').next().unwrap();
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| Path::exists(program))
}
