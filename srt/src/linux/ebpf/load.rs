//! Loads the program and attaches it.
//!
//! Needs CAP_BPF and CAP_PERFMON (Linux 5.8). Only what is asked for is loaded: each part goes through the kernel's verifier by itself. Everything goes away with the descriptors, however this
//! process ends.
//!
//! See bpf(2).

use aya::maps::{HashMap, MapData, RingBuf};
use aya::programs::{FExit, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader, Endianness, VerifierLogLevel};
use srt_ebpf::{Layout, Sandbox};

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
        let functions = functions(scope, way);
        // aya begins with reading all that the kernel says of itself, which is not used here and takes longest: it goes on beside our own reading.
        let (kernel, loader) = std::thread::scope(|scope| {
            let loader = scope.spawn(EbpfLoader::new);
            (describe(&functions), loader.join())
        });
        let (layout, targets) = kernel?;
        let calls = calls::table();
        let mut loader = loader.map_err(|_| Fault::new("load the eBPF program", "its loader failed"))?;
        loader.btf(None).verifier_log_level(VerifierLogLevel::DISABLE).map_max_entries("RECORDS", buffer);
        loader.override_global("LAYOUT", layout.as_bytes(), true).override_global("CALLS", calls.as_bytes(), true);
        // What no call of this scope has, the verifier need not look at.
        let pairs = u32::from(scope == Scope::All);
        loader.override_global("PAIRS", &pairs, true);
        let mut ebpf = loader.load(OBJECT).map_err(|error| fault("load the eBPF program")(&error))?;
        let attached = match way {
            Way::Calls => attach(&mut ebpf, &targets)?,
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

/// A function of the kernel, and its number where this kernel has it.
struct Target {
    function: String,
    id: Option<u32>,
}

fn functions(scope: Scope, way: Way) -> Vec<String> {
    match (way, scope) {
        (Way::EveryCall, _) => Vec::new(),
        (Way::Calls, Scope::Reads) => calls::functions(scope),
        (Way::Calls, Scope::All) => calls::functions(scope).into_iter().chain([FILTER.to_owned()]).collect(),
    }
}

/// What must be known of the running kernel.
fn describe(functions: &[String]) -> Result<(Layout, Vec<Target>), Fault> {
    let bytes = std::fs::read(btf::KERNEL).map_err(|error| Fault::os(format!("read {}", btf::KERNEL), error))?;
    let kernel = btf::Btf::parse(&bytes, layout::STRUCTURES, functions);
    let kernel = kernel.ok_or_else(|| Fault::new(format!("read {}", btf::KERNEL), "it is not understood"))?;
    let layout = layout::of(&kernel).map_err(|name| Fault::new("use eBPF", format!("this kernel has no {name} as it is known")))?;
    let target = |function: &String| Target { id: kernel.function(function), function: function.clone() };
    Ok((layout, functions.iter().map(target).collect()))
}

/// Each call by itself where the kernel lets us; all of them otherwise.
fn attach(ebpf: &mut Ebpf, targets: &[Target]) -> Result<Attached, Fault> {
    let mut missing = Vec::new();
    let btf = Btf::parse(&described(targets), Endianness::default()).map_err(|error| fault("attach the eBPF program")(&error))?;
    for (place, Target { function, id }) in targets.iter().enumerate() {
        debug_assert!(place <= HOOKS, "there are parts for so many calls, and one for the filter");
        let name = if function == FILTER { "filtered".to_owned() } else { format!("call_{place:02}") };
        let attached = match id {
            Some(_) => attach_call(ebpf, &btf, &name, function),
            None => Err(Fault::new("attach", "this kernel has no such function")),
        };
        if let Err(cause) = attached {
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

fn attach_call(ebpf: &mut Ebpf, btf: &Btf, name: &str, function: &str) -> Result<(), Fault> {
    let program = ebpf.program_mut(name).ok_or_else(|| Fault::new("attach", format!("the object has no part {name}")))?;
    let program: &mut FExit = program.try_into().map_err(|error| fault("attach")(&error))?;
    program.load(function, btf).map_err(|error| fault("load")(&error))?;
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

/// A description in which nothing has a name but these functions, each under its number.
///
/// aya finds the number of a function by its name, in a description of the whole kernel, which takes 14 ms to parse; the numbers are known here.
fn described(targets: &[Target]) -> Vec<u8> {
    const FORWARD: u32 = 7 << 24;
    const FUNCTION: u32 = 12 << 24;
    let mut known: Vec<(u32, &str)> = targets.iter().filter_map(|target| Some((target.id?, target.function.as_str()))).collect();
    known.sort_unstable();
    let mut strings = vec![0];
    let mut types = Vec::new();
    let mut push = |words: [u32; 3]| words.iter().for_each(|word| types.extend(word.to_ne_bytes()));
    let mut next = 1;
    for (id, function) in known {
        (next..id).for_each(|_| push([0, FORWARD, 0]));
        push([strings.len() as u32, FUNCTION, 0]);
        strings.extend(function.bytes().chain([0]));
        next = id + 1;
    }
    let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(types);
    bytes.extend(strings);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_under_their_numbers() {
        let target = |function: &str, id| Target { function: function.to_owned(), id };
        let bytes = described(&[target("b", Some(70_000)), target("gone", None), target("a", Some(3)), target("c", Some(4))]);
        let names = ["a", "b", "c", "gone"];
        let read = btf::Btf::parse(&bytes, &[""; 0], &names).unwrap();
        assert_eq!(names.map(|name| read.function(name)), [Some(3), Some(70_000), Some(4), None]);
        assert!(Btf::parse(&bytes, Endianness::default()).is_ok(), "aya understands it");
    }
}
