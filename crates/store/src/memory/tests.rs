//! Texts of other machines, read as this one reads its own.

use std::collections::HashMap;

use super::*;

const GIB: u64 = 1 << 30;

/// A machine that consists of a few files.
fn available_with(files: &[(&str, &str)]) -> Option<Available> {
    let files: HashMap<&Path, &str> =
        files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
    available_from(&|path| files.get(path).map(|text| (*text).to_owned()))
}

fn of(bytes: u64, source: &str) -> Option<Available> {
    Some(Available { bytes, source: source.to_owned() })
}

#[test]
fn proc_lines_are_found_and_counted() {
    let text =
        "MemTotal:       24604256 kB\nMemAvailable:   24148324 kB\nHugePages_Total:       0\n";
    for (name, bytes) in [
        ("MemTotal", Some(24_604_256 * 1024)),
        ("MemAvailable", Some(24_148_324 * 1024)),
        ("Mem", None),
        ("HugePages_Total", None),
        ("SwapFree", None),
    ] {
        assert_eq!(proc::bytes_of(text, name), bytes, "{name}");
    }
    for bad in [
        "A: -1 kB",
        "A: x kB",
        "A: kB",
        "A 1 kB",
        "A: 1 MB",
        "A: 99999999999999999999 kB",
        "A: 18446744073709551615 kB",
    ] {
        assert_eq!(proc::bytes_of(bad, "A"), None, "{bad}");
    }
}

#[test]
fn without_files_nothing_is_known() {
    assert_eq!(available_with(&[]), None, "no Linux");
    assert_eq!(available_with(&[("/proc/meminfo", "MemTotal: 5 kB\n")]), None, "no such line");
    let old = [("/proc/meminfo", "MemAvailable: 5 kB\n"), ("/proc/self/cgroup", "")];
    assert_eq!(available_with(&old), of(5 * 1024, "MemAvailable"));
}

const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemAvailable: 8388608 kB\n");
const V2_MOUNT: (&str, &str) = (
    "/proc/self/mountinfo",
    "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
     30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
);

#[test]
fn every_group_above_a_process_counts() {
    let mut files = vec![
        MEMINFO,
        V2_MOUNT,
        ("/proc/self/cgroup", "0::/user.slice/app.scope\n"),
        ("/sys/fs/cgroup/user.slice/app.scope/memory.max", "max\n"),
        ("/sys/fs/cgroup/user.slice/app.scope/memory.current", "1000\n"),
        ("/sys/fs/cgroup/user.slice/memory.max", "4294967296\n"),
        ("/sys/fs/cgroup/user.slice/memory.current", "3221225472\n"),
        // 1 GiB of 3 can be reclaimed; slab and shmem cannot.
        (
            "/sys/fs/cgroup/user.slice/memory.stat",
            "anon 2147483648\nfile 1073741999\ninactive_file 1073741000\nactive_file 824\nshmem 175\n",
        ),
    ];
    let source = "/sys/fs/cgroup/user.slice/memory.max";
    assert_eq!(available_with(&files), of(2 * GIB, source), "4 less 3 with 1 of cache");

    files.push(("/sys/fs/cgroup/user.slice/app.scope/memory.high", "1001000\n"));
    let source = "/sys/fs/cgroup/user.slice/app.scope/memory.high";
    assert_eq!(available_with(&files), of(1_000_000, source), "the group itself is tighter");

    // A group that is over its limit has nothing, not a huge number.
    files.push(("/sys/fs/cgroup/memory.max", "5\n"));
    files.push(("/sys/fs/cgroup/memory.current", "9\n"));
    assert_eq!(available_with(&files), of(0, "/sys/fs/cgroup/memory.max"), "the top counts");
}

#[test]
fn generous_groups_leave_the_machine_as_the_limit() {
    let files = [
        MEMINFO,
        V2_MOUNT,
        ("/proc/self/cgroup", "0::/a\n"),
        ("/sys/fs/cgroup/a/memory.max", "99999999999999\n"),
        ("/sys/fs/cgroup/a/memory.current", "5\n"),
    ];
    assert_eq!(available_with(&files), of(8 * GIB, "MemAvailable"));
}

#[test]
fn version_1_has_other_names() {
    let files = [
        MEMINFO,
        ("/proc/self/cgroup", "11:cpu,cpuacct:/b\n4:memory:/job/b\n0::/\n"),
        (
            "/proc/self/mountinfo",
            "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
             32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        ),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "5000000\n"),
        ("/sys/fs/cgroup/memory/job/b/memory.limit_in_bytes", "7000\n"),
        ("/sys/fs/cgroup/memory/job/b/memory.usage_in_bytes", "6000\n"),
        (
            "/sys/fs/cgroup/memory/job/b/memory.stat",
            "cache 4000\ninactive_file 1\nactive_file 1\ntotal_inactive_file 100\ntotal_active_file 20\n",
        ),
    ];
    let source = "/sys/fs/cgroup/memory/job/b/memory.limit_in_bytes";
    assert_eq!(available_with(&files), of(7000 - (6000 - 120), source));
}

#[test]
fn mounts_that_begin_inside_of_the_tree_are_understood() {
    // What the group is called; which folder below /cg, the mount of /docker/abc, holds it.
    #[rustfmt::skip]
    let cases = [
        ("/docker/abc", ""),
        ("/docker/abc/inner", "/inner"),
        ("/docker/abcdef", ""), // another one, that cannot be seen
        ("/../other", ""),
        ("/docker/abc/../x", ""),
    ];
    for (group, folder) in cases {
        let group = format!("0::{group}\n");
        let limit = format!("/c g{folder}/memory.max");
        let usage = format!("/c g{folder}/memory.current");
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", group.as_str()),
            ("/proc/self/mountinfo", "30 25 0:26 /docker/abc /c\\040g rw - cgroup2 none rw\n"),
            (limit.as_str(), "4000\n"),
            (usage.as_str(), "1000\n"),
        ];
        assert_eq!(available_with(&files), of(3000, &limit), "{group}");
    }
}

#[test]
fn broken_texts_are_passed_over() {
    for (file, text) in [
        ("/proc/self/cgroup", "0:\n:\n\n0::\n"),
        ("/proc/self/mountinfo", "- - -\n30 - cgroup2\n30 25 0:26 - cgroup2 none rw\n"),
        ("/proc/self/mountinfo", "30 25 0:26 / /c\\04 rw - cgroup2 none rw\n\\\n"),
        ("/sys/fs/cgroup/a/memory.max", "many\n"),
        ("/sys/fs/cgroup/a/memory.current", "\n"),
    ] {
        let good = [
            MEMINFO,
            V2_MOUNT,
            ("/proc/self/cgroup", "0::/a\n"),
            ("/sys/fs/cgroup/a/memory.max", "4000\n"),
            ("/sys/fs/cgroup/a/memory.current", "1000\n"),
        ];
        assert_eq!(available_with(&good).unwrap().bytes, 3000, "the good one");
        let mut bad: Vec<_> = good.into_iter().filter(|(path, _)| *path != file).collect();
        bad.push((file, text));
        assert_eq!(available_with(&bad), of(8 * GIB, "MemAvailable"), "{file}: {text}");
    }
}

#[test]
fn this_machine_answers_as_far_as_it_can() {
    assert!(page_bytes().is_power_of_two(), "{}", page_bytes());
    let (available, peak) = (available(), peak_rss_bytes());
    let told = cfg!(target_os = "linux");
    assert_eq!((available.is_some(), peak.is_some()), (told, told), "{available:?}, {peak:?}");
    if let (Some(available), Some(peak)) = (available, peak) {
        assert!(available.bytes > 0, "{available:?}");
        let touched = vec![1_u8; 64 << 20];
        let after = peak_rss_bytes().expect("it was there");
        assert!(after >= touched.iter().map(|&byte| u64::from(byte)).sum(), "64 MiB were resident");
        assert!(after >= peak, "a peak does not fall");
    }
}
