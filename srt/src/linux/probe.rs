//! What this kernel and this host can do.
//!
//! Cheap questions only: nothing is forked for a run. A host may still refuse namespaces that no question showed to be refused; then the fork fails, and
//! [`explain_refusal`] says why.

use std::path::Path;

use rustix::io::Errno;

use super::sys::{has_mount_setattr, landlock_abi, prctl};
use crate::Fault;
use crate::plan::{Answer, Refusal, Support};

/// Asks the running system.
pub fn probe() -> Support {
    Support {
        user_namespaces: user_namespaces(),
        landlock_abi: landlock_abi(),
        landlock_errata: landlock::Erratum::current().bits(),
        seccomp: if Path::new("/proc/sys/kernel/seccomp").exists() {
            Answer::Yes
        } else {
            Answer::Unknown("/proc/sys/kernel/seccomp is missing".to_owned())
        },
        user_notification: user_notification(),
        new_mount_api: has_mount_setattr(),
        ebpf: Answer::Unknown("it was not tried".to_owned()),
        monitor: None,
        seatbelt: None,
    }
}

/// May this process load programs that see every denied call? For those who want them: it makes a small map to find out.
pub fn probe_ebpf() -> Answer {
    let no = |cause: String, remedy: &str| Answer::No(Refusal { cause, remedy: remedy.to_owned() });
    let has = |capability| ::caps::has_cap(None, ::caps::CapSet::Effective, capability).unwrap_or(false);
    if !(has(::caps::Capability::CAP_BPF) && has(::caps::Capability::CAP_PERFMON)) {
        return no("CAP_BPF and CAP_PERFMON are not ours".to_owned(), "root, these capabilities, or the service `srt monitor`");
    }
    if !Path::new(super::ebpf::KERNEL).exists() {
        return no(format!("{} is missing", super::ebpf::KERNEL), "a kernel that describes its types (CONFIG_DEBUG_INFO_BTF, Linux 5.4)");
    }
    match super::sys::may_use_bpf() {
        Ok(()) => Answer::Yes,
        Err(errno) => no(format!("the kernel refuses bpf(2): {errno}"), "a host that does not confine srt by a filter or by lockdown(7)"),
    }
}

fn user_notification() -> Answer {
    let no = |cause: &str, remedy: &str| Answer::No(Refusal { cause: cause.to_owned(), remedy: remedy.to_owned() });
    if !super::notify::is_supported() {
        return no(
            "this kernel has no seccomp listeners that wait killably",
            "Linux 5.19 or newer, and no filter around srt that hides seccomp(2)",
        );
    }
    // Only who is under a filter can be under one with a listener, and then only trying tells.
    if is_filtered() && super::spawn::try_listener() == Err(Errno::BUSY) {
        return no("a program around srt has a seccomp listener already, and there can be one only", "start srt outside that program");
    }
    Answer::Yes
}

/// prctl(2), `PR_GET_SECCOMP`. Where it cannot be asked, trying tells.
fn is_filtered() -> bool {
    prctl(libc::PR_GET_SECCOMP, 0) != Ok(0)
}

/// A switch that forbids user namespaces, the value that does, and the way to turn it.
struct Switch {
    file: &'static str,
    forbids: fn(i64) -> bool,
    cause: &'static str,
    remedy: &'static str,
    /// Does it hold for root too?
    for_root: bool,
}

const SWITCHES: &[Switch] = &[
    Switch {
        file: "/proc/sys/user/max_user_namespaces",
        forbids: |value| value == 0,
        cause: "user namespaces are disabled (user.max_user_namespaces is 0)",
        remedy: "as root: sysctl -w user.max_user_namespaces=10000",
        for_root: true,
    },
    Switch {
        file: "/proc/sys/kernel/unprivileged_userns_clone",
        forbids: |value| value == 0,
        cause: "user namespaces are for root only (kernel.unprivileged_userns_clone is 0)",
        remedy: "as root: sysctl -w kernel.unprivileged_userns_clone=1",
        for_root: false,
    },
    Switch {
        file: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        forbids: |value| value != 0,
        cause: "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is set)",
        remedy: "as root: an AppArmor profile for srt that says `userns,`, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        for_root: false,
    },
];

fn user_namespaces() -> Answer {
    let root = rustix::process::geteuid().is_root();
    for switch in SWITCHES.iter().filter(|switch| switch.for_root || !root) {
        if read_number(switch.file).is_some_and(switch.forbids) {
            return Answer::No(Refusal { cause: switch.cause.to_owned(), remedy: switch.remedy.to_owned() });
        }
    }
    if Path::new("/proc/self/ns/user").exists() {
        Answer::Yes
    } else {
        Answer::No(Refusal { cause: "this kernel has no user namespaces".to_owned(), remedy: "a kernel with CONFIG_USER_NS".to_owned() })
    }
}

pub(super) fn read_number(file: &str) -> Option<i64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Why the fork into new namespaces failed, as well as it can be told.
pub(super) fn explain_refusal(errno: Errno) -> Fault {
    let fault = Fault::os("make the namespaces of the sandbox", errno);
    match errno {
        Errno::PERM => fault.hint("a container's filter or a security module refuses user namespaces: `srt doctor` lists what is missing, and \"enableWeakerNestedSandbox\": true runs without them"),
        Errno::NOSPC | Errno::USERS => {
            fault.hint("too many namespaces, or too deeply nested: see user.max_user_namespaces and its relatives")
        }
        Errno::NOSYS => fault.hint(
            "clone3(2) is hidden by a filter, as inside another sandbox (srt cannot run inside srt), or the kernel is older than 5.3",
        ),
        Errno::INVAL => fault.hint("this kernel lacks one of the namespaces: user, mount, pid, network, ipc, uts, cgroup"),
        _ => fault,
    }
}

/// Makes the namespaces once, for the report of `srt doctor`: the one question whose answer is certain.
pub fn try_namespaces(support: &mut Support) {
    if matches!(support.user_namespaces, Answer::No(_)) {
        return;
    }
    support.user_namespaces = match super::spawn::trial() {
        Ok(()) => Answer::Yes,
        Err(errno) => {
            let fault = explain_refusal(errno);
            let remedy = fault.hint.unwrap_or_else(|| "none known".to_owned());
            Answer::No(Refusal { cause: format!("the kernel refuses them: {}", fault.cause), remedy })
        }
    };
}
