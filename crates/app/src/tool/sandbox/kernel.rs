//! Landlock and seccomp: both bind the thread that asks for them, and every process that it starts.

use std::collections::BTreeMap;
use std::io;
use std::process::{Child, Command};
use std::thread;

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use super::Applied;

/// What programs expect to be able to write to wherever they are.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// The oldest kernel's landlock that is worth the name, and the newest that is asked for.
const LEAST: ABI = ABI::V1;
const MOST: ABI = ABI::V6;
/// What root has and a command in a sandbox must not: with these it looks into processes outside and
/// changes the system itself.
const POWERS: [CapabilitySet; 7] = [
    CapabilitySet::SYS_PTRACE,
    CapabilitySet::PERFMON,
    CapabilitySet::SYS_ADMIN,
    CapabilitySet::BPF,
    CapabilitySet::SYS_MODULE,
    CapabilitySet::SYS_RAWIO,
    CapabilitySet::SYS_BOOT,
];
/// In the numbering of x86-64 for 32-bit pointers.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Whether it could be put in force.
pub(super) fn can_landlock(applied: &Applied) -> Result<(), String> {
    ruleset(applied)?;
    if !applied.network {
        no_sockets()?;
    }
    Ok(())
}

/// Starts a command from a thread of its own, which is bound first.
pub(super) fn landlocked(
    applied: &Applied,
    command: &mut Command,
) -> Result<io::Result<Child>, String> {
    let bound = || {
        let status = ruleset(applied)?.restrict_self().map_err(|error| error.to_string())?;
        if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
            return Err("landlock: this kernel does not enforce it".to_owned());
        }
        for power in POWERS {
            match remove_capability_from_bounding_set(power) {
                // Who may not give it up does not have it, or it is newer than this kernel.
                Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(format!("capabilities: {error}")),
            }
        }
        if !applied.network {
            apply_filter(&no_sockets()?).map_err(|error| format!("seccomp: {error}"))?;
        }
        Ok(command.spawn())
    };
    thread::scope(|scope| scope.spawn(bound).join())
        .unwrap_or_else(|_| Err("the thread that starts commands broke".to_owned()))
}

/// Every way to write is refused but below two directories; what newer kernels add is taken along.
fn ruleset(applied: &Applied) -> Result<RulesetCreated, String> {
    let made = || {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_write(LEAST))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_write(MOST))?
            .scope(Scope::from_all(MOST))?
            .create()?;
        let writable = [applied.directory.as_str(), applied.temporary.as_str()];
        let writable = writable.into_iter().chain(DEVICES);
        ruleset.add_rules(path_beneath_rules(writable, AccessFs::from_write(MOST)))
    };
    made().map_err(|error: landlock::RulesetError| error.to_string())
}

/// No new sockets of any kind, local ones included: behind those may be who can do anything. Nor
/// io_uring, which makes sockets by another way. Pairs of connected sockets are pipes and stay.
fn no_sockets() -> Result<BpfProgram, String> {
    #[cfg(target_arch = "x86_64")]
    let calls = [41, 41 | X32, 425, 425 | X32];
    #[cfg(not(target_arch = "x86_64"))]
    let calls = [198, 425];
    let rules: BTreeMap<i64, Vec<_>> = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let refused = SeccompAction::Errno(rustix::io::Errno::ACCESS.raw_os_error() as u32);
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch);
    filter.and_then(BpfProgram::try_from).map_err(|error| format!("seccomp: {error}"))
}
