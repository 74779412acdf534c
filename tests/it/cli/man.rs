//! The manual pages: one for each command, from the command line or as files.

use std::collections::BTreeSet;
use std::fs;

use clap::{Command, CommandFactory};
use rtmsd::cli::Cli;

use super::kit::Client;

/// The names of the pages of a command and of those below it, as `man` knows them.
fn names(command: &Command, above: &str, names: &mut BTreeSet<String>) {
    let name = format!("{above}{}", command.get_name());
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        self::names(below, &format!("{name}-"), names);
    }
    names.insert(format!("{name}.1"));
}

#[tokio::test]
async fn every_command_has_a_page_that_packages_can_install() {
    let client = Client::with(&[]);
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    client.text(&["man", "--dir", pages.to_str().unwrap()]).await;
    let files = fs::read_dir(&pages).unwrap().map(|file| file.unwrap().file_name());
    let written: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
    let mut expected = BTreeSet::new();
    // Built: some commands are made when they are used.
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    names(&program, "", &mut expected);
    assert_eq!(written, expected);
    assert!(written.contains("rtmsd-sessions-tail.1") && !written.contains("rtmsd-man.1"));
    for name in &written {
        let page = fs::read_to_string(pages.join(name)).unwrap();
        let title =
            format!(".TH {} 1  \"rtmsd {}\"", &name[..name.len() - 2], env!("CARGO_PKG_VERSION"));
        assert!(page.contains(&title), "{name}: {page}");
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
}

#[tokio::test]
async fn the_page_of_one_command_is_printed() {
    let client = Client::with(&[]);
    let folder = tempfile::tempdir().unwrap();
    client.text(&["man", "--dir", folder.path().to_str().unwrap()]).await;
    for (words, file) in
        [(&["man"][..], "rtmsd.1"), (&["man", "sessions", "list"], "rtmsd-sessions-list.1")]
    {
        let page = fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(client.text(words).await, page.trim_end(), "{words:?}");
    }
    let ended = client.run(&["man", "sessions", "fly"]).await;
    assert_eq!((ended.code(), &*ended.out), (2, ""), "{ended:?}");
    assert!(ended.err.contains("no such command"), "{ended:?}");
}
