//! What a message costs in instructions, allocations and system calls, counted by callgrind: unlike a time, nearly the
//! same on every machine, so that a change that costs more is found. The figures are checked in.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::sleep;

use crate::Args;
use crate::receiver::Receiver;
use crate::round::{Running, SETTLE, sent};

/// Few enough for callgrind, which makes the daemon about fifty times as slow.
const STREAMS: u32 = 12;
const WINDOW: Duration = Duration::from_secs(10);
const FIGURES: &str = "benches/load/cost.txt";
/// What is counted, and how far a figure may be above the one that is checked in. How often a thread is woken, and so how
/// many system calls it makes, also depends on what else the machine does.
const COUNTED: [(&str, f64); 3] =
    [("instructions", 0.05), ("allocations", 0.05), ("system calls", 0.15)];

/// Counts, prints, and compares with the figures that are checked in. Returns whether none is above its limit.
pub(crate) async fn run(args: &Args) -> bool {
    let folder = tempfile::tempdir().expect("a folder for the run");
    let out = folder.path().join("callgrind.out");
    let counted = count(args, folder.path(), &out).await;
    let known = fs::read_to_string(figures_path()).unwrap_or_default();
    let known: Vec<f64> =
        known.lines().filter_map(|line| line.split('\t').nth(1)?.parse().ok()).collect();
    let mut is_good = true;
    for (index, ((name, tolerance), figure)) in COUNTED.iter().zip(counted).enumerate() {
        let Some(known) = known.get(index) else {
            println!("{name} a message\t{figure:.1}");
            continue;
        };
        let change = figure / known - 1.0;
        println!("{name} a message\t{figure:.1}\t{:+.1} % of {known:.1}", change * 100.0);
        is_good &= change <= *tolerance;
    }
    if args.keep_cost {
        let lines: Vec<String> = COUNTED
            .iter()
            .zip(counted)
            .map(|((name, _), figure)| format!("{name}\t{figure:.2}\n"))
            .collect();
        fs::write(figures_path(), lines.concat()).expect("the figures can be written");
    } else if !is_good {
        println!(
            "A message costs more than {FIGURES} says. Find out why, or keep the figures with --keep-cost."
        );
    }
    is_good || args.keep_cost
}

fn figures_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(FIGURES)
}

async fn count(args: &Args, folder: &Path, out: &Path) -> [f64; 3] {
    let args = Args { streams: STREAMS, seconds: WINDOW.as_secs() as u32, ..args.clone() };
    let receiver = Receiver::Daemon(under_callgrind(folder, out));
    let running = Running::start(&args, &receiver).await;
    let Running { mut process, pid, zoom, live, _folder, .. } = running;
    let pid = pid.to_string();
    assert_eq!(live, STREAMS as usize, "all streams are live");
    sleep(SETTLE).await;
    instrument("on", &pid).await;
    let before = sent(&zoom.report());
    sleep(WINDOW).await;
    let messages = (sent(&zoom.report()) - before) as f64;
    instrument("off", &pid).await;
    // Callgrind writes its file when the daemon ends.
    let signalled = Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(signalled.is_ok_and(|status| status.success()), "the daemon takes the signal");
    process.wait().await.expect("the daemon ends");
    let profile = fs::read_to_string(out).expect("callgrind wrote its file");
    let [instructions, system_calls] = totals(&profile);
    [instructions, allocations(&profile), system_calls].map(|count| count as f64 / messages)
}

/// A script that becomes the daemon under callgrind.
fn under_callgrind(folder: &Path, out: &Path) -> PathBuf {
    let script = folder.join("rtmsd");
    let text = format!(
        "#!/bin/sh\nexec valgrind -q --tool=callgrind --instr-atstart=no --collect-systime=usec \
         --callgrind-out-file='{}' '{}' \"$@\"\n",
        out.display(),
        env!("CARGO_BIN_EXE_rtmsd")
    );
    fs::write(&script, text).expect("the script can be written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("it is ours");
    script
}

async fn instrument(state: &str, pid: &str) {
    let status = Command::new("callgrind_control").args(["-i", state, pid]).status().await;
    assert!(
        status.is_ok_and(|status| status.success()),
        "callgrind_control works: apt-get install valgrind"
    );
}

/// Instructions and system calls of the whole profile: its events are `Ir sysCount sysTime`.
fn totals(profile: &str) -> [u64; 2] {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals: ")).expect("totals");
    let mut counts = line.split(' ').map(|count| count.parse().expect("a number"));
    let mut next = || counts.next().expect("a count");
    [next(), next()]
}

/// The calls of the allocator's functions. A name is written once, as `(7) malloc`, and then as `(7)`.
fn allocations(profile: &str) -> u64 {
    let (mut ids, mut is_allocator, mut calls) = (HashSet::new(), false, 0);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            let (id, name) = name.split_once(' ').unwrap_or((name, ""));
            if ["malloc", "calloc", "realloc"].contains(&name) {
                ids.insert(id);
            }
            is_allocator = line.starts_with('c') && ids.contains(id);
        } else if let Some(count) = line.strip_prefix("calls=").filter(|_| is_allocator) {
            let count = count.split(' ').next().unwrap_or_default();
            calls += count.parse::<u64>().expect("a number of calls");
        }
    }
    calls
}
