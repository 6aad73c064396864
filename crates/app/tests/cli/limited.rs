//! A model several times larger than the memory it may use, inside a memory cgroup that kills whoever takes more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use model::synth::{self, Like, Order};
use model::tiny::Spec;
use serde_json::Value;

use crate::program::{cache, command, finish};

const MIB: u64 = 1 << 20;
/// About a quarter of the model.
const LIMIT_BYTES: u64 = 112 * MIB;
/// What a plan may be above what was used: this, or 3 %.
const SLACK_BYTES: u64 = 64 * MIB;

/// A memory cgroup of our own, removed in the end.
struct Group {
    dir: PathBuf,
    /// The file that counts the most that was ever used, page cache included.
    peak: &'static str,
    /// The file that takes processes.
    members: &'static str,
}

impl Group {
    /// With a limit, by whichever version is mounted; else why there is none.
    fn new(name: &str, limit_bytes: u64) -> Result<Group, String> {
        let name = format!("flash-moe-{name}-{}", std::process::id());
        let (v1, v2) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let (group, limit) = if v1.is_dir() {
            let (peak, members) = ("memory.max_usage_in_bytes", "tasks");
            (Group { dir: v1.join(name), peak, members }, "memory.limit_in_bytes")
        } else {
            let (peak, members) = ("memory.peak", "cgroup.procs");
            (Group { dir: v2.join(name), peak, members }, "memory.max")
        };
        let failed = |error| format!("{}: {error}", group.dir.display());
        fs::create_dir(&group.dir).map_err(failed)?;
        fs::write(group.dir.join(limit), limit_bytes.to_string()).map_err(failed)?;
        Ok(group)
    }

    /// The command, which enters the group before it becomes the binary.
    fn enter(&self, arguments: &[&str]) -> Command {
        let inner = command(&cache());
        let mut shell = Command::new("sh");
        let members = self.dir.join(self.members);
        shell.arg("-c").arg("echo $$ > \"$0\" && exec \"$@\"").arg(members);
        shell.arg(inner.get_program()).args(arguments);
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }

    fn peak_bytes(&self) -> Option<u64> {
        fs::read_to_string(self.dir.join(self.peak)).ok()?.trim().parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended; a group that stays behind is small.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// 450 MB of experts, 10 MB of everything else.
fn write_model(dir: &Path) {
    let spec = Spec {
        hidden_size: 512,
        layers: 8,
        heads: 4,
        head_dim: 64,
        linear_key_heads: 4,
        linear_value_heads: 8,
        linear_key_dim: 64,
        linear_value_dim: 64,
        experts: 128,
        experts_per_token: 8,
        moe_intermediate_size: 512,
        shared_intermediate_size: 512,
        vocab_size: 2048,
        ..Like::Qwen35B.spec()
    };
    let order = Order { name: "a test".to_owned(), spec, ..Order::like(Like::Qwen35B) };
    let cancel = AtomicBool::new(false);
    synth::write(dir, &order, &|_, _| (), &cancel).expect("it is written");
}

#[test]
fn a_model_larger_than_the_limit_keeps_within_it() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let model = folder.path().join("model").display().to_string();
    let group = match Group::new("limited", LIMIT_BYTES) {
        Ok(group) => group,
        Err(why) => return eprintln!("SKIP no memory cgroup can be made here: {why}"),
    };
    write_model(Path::new(&model));
    let prompt = "mu are day help ".repeat(40);
    let limit = LIMIT_BYTES.to_string();
    let flags = ["run", "-m", &model, "--raw", "--temp", "0", "--ignore-eos", "--stats", "json"];
    let rest = ["-n", "12", "--ctx", "512", &prompt];
    let free = finish(command(&cache()).args([&flags[..], &rest].concat())).succeeded();
    for io in ["auto", "uring", "direct", "buffered", "mmap"] {
        let limited = [&flags[..], &["--memory", &limit, "--io", io], &rest].concat();
        let done = finish(&mut group.enter(&limited)).succeeded();
        assert_eq!(done.stdout, free.stdout, "--io {io}: the same answer with a quarter of it");
        let stats = done.stats();
        let bytes = |name: &str| stats[name].as_u64().unwrap_or_else(|| panic!("{name}: {stats}"));
        let (rss, plan, budget) =
            (bytes("peak_rss_bytes"), bytes("plan_bytes"), bytes("budget_bytes"));
        assert_eq!(budget, LIMIT_BYTES, "--io {io}");
        assert!(rss <= budget, "--io {io}: {rss} of {budget} bytes");
        assert!(plan <= rss + SLACK_BYTES.max(plan * 3 / 100), "--io {io}: {plan} planned, {rss}");
        let peak = group.peak_bytes().expect("the group counts");
        assert!(peak <= LIMIT_BYTES, "--io {io}: {peak} bytes with page cache");
        assert!(stats["decode"]["hit_rate"].as_f64() < Some(0.9), "--io {io}: it was streamed");
    }
}

#[test]
fn the_default_budget_is_a_share_of_the_limit() {
    let group = match Group::new("default", LIMIT_BYTES) {
        Ok(group) => group,
        Err(why) => return eprintln!("SKIP no memory cgroup can be made here: {why}"),
    };
    let done = finish(&mut group.enter(&["plan", "--json"])).succeeded();
    let plan: Value = done.json();
    let budget = plan["budget_bytes"].as_u64().expect("a budget");
    assert!(budget <= LIMIT_BYTES * 70 / 100, "{budget} bytes of a limit of {LIMIT_BYTES}");
    assert!(budget > LIMIT_BYTES / 2, "{budget} bytes of a limit of {LIMIT_BYTES}");
}
