//! `rtmsd backup` and `rtmsd restore`: copies of the embedded store.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::private::keep_files_private;
use super::{print_error, print_page};
use crate::seal::key_file;
use crate::store::{self, BackupError, Copied, Location, Restored};

/// The name of a store that another one has replaced, behind its own.
const ASIDE: &str = ".before-restore-%Y%m%dT%H%M%SZ";

#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The file of the backup
    file: PathBuf,
}

/// Copies the embedded store while a daemon may use it, and prints what else a backup needs.
pub(super) async fn back_up(
    args: FileArgs,
    location: Location,
    stop: CancellationToken,
) -> ExitCode {
    let Location::Sqlite(path) = &location else {
        let dump = "pg_dump --format=custom --file=FILE \"$DATABASE_URL\"";
        return refuse_postgres(&format!("back it up with: {dump}"));
    };
    keep_files_private();
    let done = stop.run_until_cancelled(store::back_up(path, &args.file)).await;
    finish(done, |Copied { bytes, schema }| {
        let file = args.file.display();
        let missing = missing(path);
        format!("backed up the store to {file} ({bytes} bytes, schema {schema})\n{missing}")
    })
}

/// Puts a backup in the place of the embedded store. Fails while a daemon uses it.
pub(super) async fn restore(
    args: FileArgs,
    location: Location,
    now: Timestamp,
    stop: CancellationToken,
) -> ExitCode {
    let Location::Sqlite(path) = &location else {
        let restore = "pg_restore --clean --if-exists --dbname=\"$DATABASE_URL\" FILE";
        return refuse_postgres(&format!("stop every daemon, and restore it with: {restore}"));
    };
    keep_files_private();
    let suffix = now.strftime(ASIDE).to_string();
    let done = stop.run_until_cancelled(store::restore(path, &args.file, &suffix)).await;
    finish(done, |Restored { copied, aside }| {
        let (path, schema) = (path.display(), copied.schema);
        let aside = aside.map_or_else(String::new, |aside| {
            format!("the store that was there before is now {}\n", aside.display())
        });
        format!(
            "restored {path} ({} bytes, schema {schema})\n{aside}\
            start the daemon: streams that Zoom still has go on, with the number after the last one in the backup\n",
            copied.bytes
        )
    })
}

fn finish<T>(done: Option<Result<T, BackupError>>, text: impl FnOnce(T) -> String) -> ExitCode {
    match done {
        Some(Ok(done)) => print_page(text(done)),
        Some(Err(error)) => print_error(1, &error.to_string()),
        None => print_error(1, "stopped; nothing was changed, and no file is left"),
    }
}

fn refuse_postgres(advice: &str) -> ExitCode {
    print_error(1, &format!("the store is in Postgres (DATABASE_URL): {advice}"))
}

/// What a restored daemon needs and the backup of its store does not have.
fn missing(store: &Path) -> String {
    let folder = store.parent().unwrap_or(Path::new("."));
    let key = folder.join(key_file::TOKEN_KEY);
    let key = match key.exists() {
        true => format!("the key {}, unless TOKEN_ENCRYPTION_KEYS is set", key.display()),
        false => "the value of TOKEN_ENCRYPTION_KEYS".to_owned(),
    };
    format!(
        "A restored daemon also needs, and the backup does not have:
  {key}
    (keep it apart from the backup: without it, users must install the app again)
  the other settings, and {} if API_TOKENS is not set
  recordings: what is in RECORDINGS_URL, and in {}
",
        key_file::API_TOKEN,
        folder.join("spool").display()
    )
}
