//! What eBPF can do on this host, for the report of `srt doctor`.
//!
//! Loads the program and lets go of it again: the one question whose answer is certain, and the only one that tells how it is attached. No run asks this.

use std::path::Path;

use serde::Serialize;

use super::ebpf::{Attached, KERNEL, Program, Scope, Way};
use crate::Fault;
use crate::plan::{Answer, Refusal, Support};

/// Bytes of the ring buffer: nothing will lie in it.
const BUFFER: u32 = 1 << 16;

/// The host's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EbpfTrial {
    /// Is CAP_BPF effective?
    pub cap_bpf: bool,
    /// Is CAP_PERFMON effective?
    pub cap_perfmon: bool,
    /// `kernel.unprivileged_bpf_disabled`: what it allows to others than these capabilities' holders is too little for programs that watch calls.
    pub unprivileged_bpf_disabled: Option<i64>,
    /// Does the kernel describe its types?
    pub btf: bool,
    /// How the program was attached; none where it was not.
    pub attached: Option<Hooks>,
}

/// Where the program was attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Hooks {
    /// To single calls.
    Calls {
        /// Functions of this kernel that it could not be attached to: what these calls deny is not seen.
        missing: Vec<String>,
    },
    /// To the end of all calls.
    EveryCall,
}

/// Loads the program where nothing is known to forbid it, and corrects `support` where the kernel refuses.
pub fn try_ebpf(support: &mut Support) -> EbpfTrial {
    let has = |capability| caps::has_cap(None, caps::CapSet::Effective, capability).unwrap_or(false);
    let mut trial = EbpfTrial {
        cap_bpf: has(caps::Capability::CAP_BPF),
        cap_perfmon: has(caps::Capability::CAP_PERFMON),
        unprivileged_bpf_disabled: super::probe::read_number("/proc/sys/kernel/unprivileged_bpf_disabled"),
        btf: Path::new(KERNEL).exists(),
        attached: None,
    };
    if matches!(support.ebpf, Answer::No(_)) {
        return trial;
    }
    match Program::load(Way::Calls(Scope::Reads), BUFFER) {
        Ok(program) => {
            support.ebpf = Answer::Yes;
            trial.attached = Some(hooks(&program.attached));
        }
        Err(fault) => support.ebpf = Answer::No(refusal(&fault)),
    }
    trial
}

fn hooks(attached: &Attached) -> Hooks {
    match attached {
        Attached::Calls { missing } => Hooks::Calls { missing: missing.clone() },
        Attached::EveryCall => Hooks::EveryCall,
    }
}

fn refusal(fault: &Fault) -> Refusal {
    let remedy = fault
        .hint
        .clone()
        .unwrap_or_else(|| "a kernel of Linux 5.10 or newer that is not in lockdown(7), and no filter that hides bpf(2)".to_owned());
    Refusal { cause: format!("cannot {}: {}", fault.action, fault.cause), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_load_is_told_with_its_cause_and_a_remedy() {
        let refused = refusal(&Fault::new("load the eBPF program", "no").hint("do this"));
        assert_eq!(refused, Refusal { cause: "cannot load the eBPF program: no".to_owned(), remedy: "do this".to_owned() });
        assert!(refusal(&Fault::new("x", "y")).remedy.contains("lockdown"));
    }

    #[test]
    fn what_is_known_to_be_refused_is_not_tried() {
        let refused = Answer::No(Refusal { cause: "c".to_owned(), remedy: "r".to_owned() });
        let mut support = Support { ebpf: refused.clone(), ..super::super::probe::probe() };
        assert_eq!((try_ebpf(&mut support).attached, support.ebpf), (None, refused));
    }
}
