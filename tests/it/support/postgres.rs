//! A private Postgres cluster for this test process, and a database for each test.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rtmsd::secret::Secret;
use rtmsd::store::{Location, Store};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

const HOW_TO_INSTALL: &str = "the tests need Postgres (initdb and pg_ctl, in /usr/lib/postgresql/*/bin or in PATH): \
     apt-get install postgresql";

struct Cluster {
    socket_folder: PathBuf,
    /// Its standard input closes with this process, however that ends: the cluster stops then.
    _guard: Child,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// The folder of the socket `.s.PGSQL.5432`; the first caller starts the cluster.
pub(crate) fn socket_folder() -> &'static Path {
    &CLUSTER.get_or_init(start).socket_folder
}

/// The name of a database with the daemon's schema.
static MIGRATED: OnceCell<String> = OnceCell::const_new();
/// The template of empty databases.
pub(crate) const EMPTY: &str = "template1";

/// Makes a database with the daemon's schema and without rows, and returns its URL. Copying one is faster than
/// migrating an empty one.
pub(crate) async fn fresh_database() -> String {
    copy_of(MIGRATED.get_or_init(migrated).await).await
}

async fn migrated() -> String {
    let url = copy_of(EMPTY).await;
    let location = Location::Postgres(Secret::new(url.clone()));
    Store::open(&location).await.expect("the schema can be made").close().await;
    let (name, _) = url.trim_start_matches("postgres:///").split_once('?').expect("a query");
    name.to_owned()
}

/// Copies a database and returns the URL of the copy.
pub(crate) async fn copy_of(template: &str) -> String {
    let name = format!("t{}", uuid::Uuid::now_v7().simple());
    let mut connection =
        PgConnection::connect(&url("postgres")).await.expect("the cluster answers");
    let statement = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {template}"));
    connection.execute(statement).await.expect("a database can be made");
    url(&name)
}

fn url(database: &str) -> String {
    format!("postgres:///{database}?user=postgres&host={}", socket_folder().display())
}

fn start() -> Cluster {
    let programs = programs().expect(HOW_TO_INSTALL);
    let mut guard = unprivileged_shell()
        .args(["-c", include_str!("postgres.sh"), "sh"])
        .arg(programs)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Ctrl-C is for the tests; the cluster follows when they are gone, and cleans up.
        .process_group(0)
        .spawn()
        .expect("a shell can be started");
    let mut line = String::new();
    let output = guard.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("the shell's output is text");
    assert!(line.starts_with('/'), "no Postgres cluster ({}): {HOW_TO_INSTALL}", line.trim_end());
    Cluster { socket_folder: line.trim_end().into(), _guard: guard }
}

/// Postgres refuses to run as root: in that case the user `postgres` of Debian's package runs it.
pub(crate) fn unprivileged_shell() -> Command {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !is_root {
        return Command::new("sh");
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--", "sh"]);
    command
}

/// The folder that has the programs; of several versions the newest.
pub(crate) fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    folders.into_iter().find(|folder| {
        ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).exists())
    })
}
