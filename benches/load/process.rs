//! What the kernel counts of another process.

use std::fs;

/// How long the threads of a process have been on a processor, in microseconds. The kernel's exact figure: user and
/// system time in /proc/…/stat are samples of its timer, and wrong for a process that sleeps by timers. Without threads
/// that have ended.
pub(crate) fn cpu_us(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    // A thread may end meanwhile.
    let times =
        threads.flatten().flat_map(|thread| fs::read_to_string(thread.path().join("schedstat")));
    let on_cpu_ns = |text: String| text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
    times.filter_map(on_cpu_ns).sum::<u64>() / 1000
}

pub(crate) fn resident_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number of kB")
}
