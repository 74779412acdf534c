//! A capture that is kept: the log that it makes stays the same. A fixed bug adds a file beside it.

use std::path::{Path, PathBuf};

use crate::support::process::Process;

/// What the command prints for a capture.
const PRINTED: &str = "log.jsonl";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/daemon/capture/files")
}

/// With `UPDATE_CAPTURES=1` in the environment the expected logs are written anew.
#[tokio::test]
async fn every_kept_capture_makes_the_log_that_is_kept_beside_it() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let captures: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "gz")).collect();
    assert!(!captures.is_empty());
    for capture in captures {
        let args = ["replay", capture.to_str().unwrap(), "--check"];
        let ended = Process::spawn(&args, &[], &folder()).ended().await;
        assert_eq!(ended.code(), 0, "{ended:?}");
        let expected = capture.with_extension("").with_extension(PRINTED);
        if std::env::var_os("UPDATE_CAPTURES").is_some() {
            std::fs::write(&expected, ended.out + "\n").unwrap();
            continue;
        }
        let kept = std::fs::read_to_string(&expected).unwrap();
        let lines = ended.out.lines().zip(kept.lines()).enumerate();
        for (number, (printed, kept)) in lines {
            assert_eq!(printed, kept, "{}:{}", expected.display(), number + 1);
        }
        assert_eq!(ended.out.lines().count(), kept.lines().count(), "{}", expected.display());
    }
}
