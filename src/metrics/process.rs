//! Resource usage of this process, from `/proc/self`.

use procfs::process::LimitValue;

/// The values of the `process_*` metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// User and system CPU time, in seconds.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub open_fds: Option<usize>,
    /// Soft limit of open file descriptors; none if unlimited.
    pub max_fds: Option<u64>,
    /// Virtual memory, in bytes.
    pub virtual_memory_bytes: u64,
    /// Resident memory, in bytes.
    pub resident_memory_bytes: u64,
    /// Start time, in Unix seconds.
    pub start_time_seconds: Option<f64>,
    /// Number of threads.
    pub threads: i64,
}

impl Process {
    /// Reads `/proc/self`; none if it cannot be read. Blocks briefly.
    pub fn read() -> Option<Self> {
        let process = procfs::process::Process::myself().ok()?;
        let stat = process.stat().ok()?;
        let ticks = procfs::ticks_per_second() as f64;
        let max_fds = process.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
            LimitValue::Value(value) => Some(value),
            LimitValue::Unlimited => None,
        });
        Some(Self {
            cpu_seconds: (stat.utime as f64 + stat.stime as f64) / ticks,
            open_fds: process.fd_count().ok(),
            max_fds,
            virtual_memory_bytes: stat.vsize,
            resident_memory_bytes: stat.rss.saturating_mul(procfs::page_size()),
            start_time_seconds: procfs::boot_time_secs().ok().map(|boot| boot as f64 + stat.starttime as f64 / ticks),
            threads: stat.num_threads,
        })
    }
}
