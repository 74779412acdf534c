//! What the system knows of this process.

use super::Gathered;

/// Reads the metrics of this process. Those that the system does not report are absent.
pub fn read_process(gathered: &Gathered) {
    if let Ok((soft, _)) = rlimit::Resource::NOFILE.get() {
        gathered.process_max_fds.set([], soft as f64);
    }
    #[cfg(target_os = "linux")]
    read_proc(gathered);
}

#[cfg(target_os = "linux")]
fn read_proc(gathered: &Gathered) {
    let Ok(process) = procfs::process::Process::myself() else { return };
    if let Ok(count) = process.fd_count() {
        gathered.process_open_fds.set_count([], count);
    }
    let Ok(stat) = process.stat() else { return };
    let ticks = procfs::ticks_per_second() as f64;
    gathered.process_cpu.add_value([], (stat.utime + stat.stime) as f64 / ticks);
    gathered.process_threads.set([], stat.num_threads as f64);
    gathered.process_virtual_memory.set([], stat.vsize as f64);
    gathered.process_resident_memory.set([], (stat.rss * procfs::page_size()) as f64);
    if let Ok(boot_s) = procfs::boot_time_secs() {
        gathered.process_start_time.set([], boot_s as f64 + stat.starttime as f64 / ticks);
    }
}
