//! Loads the program and attaches it.
//!
//! Needs CAP_BPF and CAP_PERFMON (Linux 5.8). Only what is asked for is loaded: each part goes through the kernel's verifier by itself. Everything goes away with the descriptors, however this
//! process ends.
//!
//! See bpf(2).

use aya::maps::{HashMap, MapData, RingBuf};
use aya::programs::{FExit, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader, Endianness, VerifierLogLevel};
use srt_ebpf::Sandbox;

use super::calls::{self, FILTER, Scope};
use super::{btf, layout};
use crate::Fault;

/// The program, built by `cargo xtask ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../srt-ebpf/denials.o");

/// Parts of the object that can be attached to a call each.
pub(super) const HOOKS: usize = 64;

/// How the program is to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To single calls, or to all where the kernel refuses that. Each hook goes through the verifier, and is waited for when it goes: for what stays.
    Calls,
    /// To all calls at once: for what is soon gone.
    EveryCall,
}

/// How the program sees calls return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Each call by itself: other calls cost nothing more, and these two comparisons where they do not fail.
    Calls {
        /// Functions of this kernel that could not be attached to.
        missing: Vec<String>,
    },
    /// All calls of all processes.
    EveryCall,
}

/// The program at work.
pub struct Program {
    /// Holds what is attached.
    _ebpf: Ebpf,
    /// How.
    pub attached: Attached,
    sandboxes: HashMap<MapData, u32, [u64; 2]>,
    /// What it reports; may be waited for as a descriptor.
    pub records: RingBuf<MapData>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("attached", &self.attached).finish_non_exhaustive()
    }
}

fn fault(verb: &'static str) -> impl Fn(&dyn std::error::Error) -> Fault {
    move |error| {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            cause = format!("{cause}: {error}");
            source = error.source();
        }
        Fault::new(verb, cause)
    }
}

impl Program {
    /// Loads and attaches it. `buffer` is the size of the ring buffer in bytes: a power of two.
    ///
    /// # Errors
    /// The kernel does not describe itself, or refuses.
    pub fn load(scope: Scope, way: Way, buffer: u32) -> Result<Program, Fault> {
        let bytes = std::fs::read(btf::KERNEL).map_err(|error| Fault::os(format!("read {}", btf::KERNEL), error))?;
        let mut functions = calls::functions(scope);
        if scope == Scope::All {
            functions.push(FILTER.to_owned());
        }
        let wanted = |name: &[u8]| {
            layout::STRUCTURES.iter().any(|structure| structure.as_bytes() == name)
                || functions.iter().any(|function| function.as_bytes() == name)
        };
        let kernel = btf::Btf::parse(&bytes, wanted).ok_or_else(|| Fault::new(format!("read {}", btf::KERNEL), "it is not understood"))?;
        let layout = layout::of(&kernel).map_err(|name| Fault::new("use eBPF", format!("this kernel has no {name} as it is known")))?;
        let calls = calls::table();
        let mut loader = EbpfLoader::new();
        loader.btf(None).verifier_log_level(VerifierLogLevel::DISABLE).map_max_entries("RECORDS", buffer);
        loader.override_global("LAYOUT", layout.as_bytes(), true).override_global("CALLS", calls.as_bytes(), true);
        // What no call of this scope has, the verifier need not look at.
        let pairs = u32::from(scope == Scope::All);
        loader.override_global("PAIRS", &pairs, true);
        let mut ebpf = loader.load(OBJECT).map_err(|error| fault("load the eBPF program")(&error))?;
        let attached = match way {
            Way::Calls => attach(&mut ebpf, &kernel, &functions)?,
            Way::EveryCall => attach_every_call(&mut ebpf)?,
        };
        let mut map = |name: &str| ebpf.take_map(name).ok_or_else(|| Fault::new("load the eBPF program", format!("it has no map {name}")));
        let (sandboxes, records) = (map("SANDBOXES")?, map("RECORDS")?);
        Ok(Program {
            attached,
            sandboxes: HashMap::try_from(sandboxes).map_err(|error| fault("use the eBPF program")(&error))?,
            records: RingBuf::try_from(records).map_err(|error| fault("use the eBPF program")(&error))?,
            _ebpf: ebpf,
        })
    }

    /// Reports the denials of a pid namespace from now on; `watch` as in [`srt_ebpf::watch`].
    ///
    /// # Errors
    /// Too many sandboxes.
    pub fn add(&mut self, pid_ns: u32, watch: u64) -> Result<(), Fault> {
        let Sandbox { lost, watch } = Sandbox { lost: 0, watch };
        self.sandboxes.insert(pid_ns, [lost, watch], 0).map_err(|error| fault("watch the sandbox")(&error))
    }

    /// No more of this one.
    pub fn remove(&mut self, pid_ns: u32) {
        // It may never have been added.
        let _ = self.sandboxes.remove(&pid_ns);
    }

    /// How many records of a sandbox did not fit into the buffer, since it was added.
    pub fn lost(&self, pid_ns: u32) -> u64 {
        self.sandboxes.get(&pid_ns, 0).map_or(0, |[lost, _]| lost)
    }
}

/// Each call by itself where the kernel lets us; all of them otherwise.
fn attach(ebpf: &mut Ebpf, kernel: &btf::Btf<'_>, functions: &[String]) -> Result<Attached, Fault> {
    let mut missing = Vec::new();
    for (place, function) in functions.iter().enumerate() {
        debug_assert!(place <= HOOKS, "there are parts for so many calls, and one for the filter");
        let name = if function == FILTER { "filtered".to_owned() } else { format!("call_{place:02}") };
        if let Err(cause) = attach_call(ebpf, kernel, &name, function) {
            tracing::debug!("ebpf: {function}: {cause}");
            missing.push(function.clone());
        }
        // Where the first few are refused, all are.
        if place == 2 && missing.len() == 3 {
            return attach_every_call(ebpf);
        }
    }
    Ok(Attached::Calls { missing })
}

fn attach_call(ebpf: &mut Ebpf, kernel: &btf::Btf<'_>, name: &str, function: &str) -> Result<(), Fault> {
    let id = kernel.function(function).ok_or_else(|| Fault::new("attach", "this kernel has no such function"))?;
    let btf = only(function, id).ok_or_else(|| Fault::new("attach", "aya does not understand the description"))?;
    let program = ebpf.program_mut(name).ok_or_else(|| Fault::new("attach", format!("the object has no part {name}")))?;
    let program: &mut FExit = program.try_into().map_err(|error| fault("attach")(&error))?;
    program.load(function, &btf).map_err(|error| fault("load")(&error))?;
    program.attach().map_err(|error| fault("attach")(&error))?;
    Ok(())
}

fn attach_every_call(ebpf: &mut Ebpf) -> Result<Attached, Fault> {
    let program = ebpf.program_mut("every_call").ok_or_else(|| Fault::new("attach the eBPF program", "the object has no such part"))?;
    let program: &mut RawTracePoint = program.try_into().map_err(|error| fault("attach the eBPF program")(&error))?;
    program.load().map_err(|error| fault("load the eBPF program")(&error))?;
    program.attach("sys_exit").map_err(|error| fault("attach the eBPF program")(&error))?;
    Ok(Attached::EveryCall)
}

/// A description in which nothing has a name but one function, under its number.
///
/// aya finds the number of a function by its name, in all that a kernel says of itself, which takes 14 ms to parse; the number is known here.
fn only(function: &str, id: u32) -> Option<Btf> {
    const FORWARD: u32 = 7 << 24;
    const FUNCTION: u32 = 12 << 24;
    let mut types = Vec::with_capacity(id as usize * 12);
    let mut push = |words: [u32; 3]| words.iter().for_each(|word| types.extend(word.to_ne_bytes()));
    for _ in 1..id {
        push([0, FORWARD, 0]);
    }
    push([1, FUNCTION, 0]);
    let strings: Vec<u8> = [0].into_iter().chain(function.bytes()).chain([0]).collect();
    let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(types);
    bytes.extend(strings);
    Btf::parse(&bytes, Endianness::default()).ok()
}
