//! How much memory there is for this process, and how much it has used.

use std::fs;
use std::path::Path;

mod cgroup;
mod proc;

/// Memory that can be had without pushing anything out that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    pub bytes: u64,
    /// What set the limit: `MemAvailable`, or the file of a cgroup.
    pub source: String,
}

/// The smallest of `MemAvailable` and of what each memory cgroup above this process still has;
/// page cache counts as free. `None` where the system does not tell.
pub fn available() -> Option<Available> {
    available_from(&|path| fs::read_to_string(path).ok())
}

fn available_from(read: &dyn Fn(&Path) -> Option<String>) -> Option<Available> {
    let machine = read(Path::new("/proc/meminfo"))
        .and_then(|text| proc::bytes_of(&text, "MemAvailable"))
        .map(|bytes| Available { bytes, source: "MemAvailable".to_owned() });
    machine.into_iter().chain(cgroup::available(read)).min_by_key(|available| available.bytes)
}

/// The most memory that this process ever had resident. `None` where the system does not tell.
pub fn peak_rss_bytes() -> Option<u64> {
    proc::bytes_of(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// Makes [`peak_rss_bytes`] begin anew from what is resident now, where the system lets it.
pub fn forget_peak() {
    // Linux takes 5 for just this; elsewhere there is no such file, and the old peak stays.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The size of a page of memory.
#[cfg(unix)]
pub fn page_bytes() -> usize {
    rustix::param::page_size()
}

/// The size of a page of memory: what Windows has on every processor.
#[cfg(not(unix))]
pub fn page_bytes() -> usize {
    4096
}

#[cfg(test)]
mod tests;
