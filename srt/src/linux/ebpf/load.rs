//! Loads the program and attaches it.
//!
//! Needs CAP_BPF and CAP_PERFMON (Linux 5.8). Only what is asked for is loaded: each part goes through the kernel's verifier by itself. Everything goes away with the descriptors, however this
//! process ends.
//!
//! See bpf(2).

use std::os::fd::OwnedFd;

use aya::maps::{HashMap, Map, MapData, RingBuf};
use srt_ebpf::{Layout, Sandbox};

use super::bpf::{self, Use};
use super::calls::{self, FILTER, Scope};
use super::description::{Description, KERNEL};
use super::object::Ready;
use super::{btf, causes, layout};
use crate::Fault;

/// How the program is to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To single calls of a scope, or to all where the kernel refuses that. Each hook goes through the verifier, and is waited for when it goes: for what stays.
    Calls(Scope),
    /// To all calls at once: for what is soon gone.
    EveryCall,
}

/// How the program sees calls return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Each call by itself: other calls cost nothing more, and these one comparison where they do not fail.
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
    _links: Vec<OwnedFd>,
    parts: Vec<OwnedFd>,
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

fn unusable(error: impl std::error::Error) -> Fault {
    Fault::new("use the eBPF program", causes(&error))
}

impl Program {
    /// Loads and attaches it. `buffer` is the size of the ring buffer in bytes: a power of two.
    ///
    /// # Errors
    /// The kernel does not describe itself, or refuses.
    pub fn load(way: Way, buffer: u32) -> Result<Program, Fault> {
        let kernel = describe(&functions(way))?;
        let calls = calls::table();
        let typed = u32::from(kernel.typed).to_ne_bytes();
        let constants: [(&str, &[u8]); 3] = [("LAYOUT", kernel.layout.as_bytes()), ("CALLS", calls.as_bytes()), ("TYPED", &typed)];
        let mut object = Ready::make(constants.map(|(name, bytes)| (name, (bytes, true))).into(), buffer)?;
        let mut parts = Parts::default();
        let attached = match way {
            Way::Calls(_) => parts.attach(&object, &kernel.targets)?,
            Way::EveryCall => parts.attach_every_call(&object)?,
        };
        let mut map = |name| MapData::from_fd(object.take_map(name)?).map_err(unusable);
        Ok(Program {
            attached,
            sandboxes: HashMap::try_from(Map::HashMap(map("SANDBOXES")?)).map_err(unusable)?,
            records: RingBuf::try_from(Map::RingBuf(map("RECORDS")?)).map_err(unusable)?,
            _links: parts.links,
            parts: parts.programs,
        })
    }

    /// Reports the denials of a pid namespace from now on; `watch` as in [`srt_ebpf::watch`].
    ///
    /// # Errors
    /// Too many sandboxes.
    pub fn add(&mut self, pid_ns: u32, watch: u64) -> Result<(), Fault> {
        let Sandbox { lost, watch } = Sandbox { lost: 0, watch };
        self.sandboxes.insert(pid_ns, [lost, watch], 0).map_err(|error| Fault::new("watch the sandbox", causes(&error)))
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

    /// How many returns of calls, of any process, the program was not asked about since it was loaded.
    ///
    /// Where the kernel lets another task have the processor while a part of the program runs, the calls of that other task pass by that part until the first has had its turn again.
    pub fn passed_by(&self) -> u64 {
        self.parts.iter().map(|part| bpf::misses(part).unwrap_or(0)).sum()
    }
}

/// Of the kernel's helper with this name, the kernel describes the function.
const TYPED: &str = "bpf_get_current_task_btf";

/// A function of the kernel, and its number where this kernel has it.
struct Target {
    function: String,
    id: Option<u32>,
}

fn functions(way: Way) -> Vec<String> {
    match way {
        Way::EveryCall => Vec::new(),
        Way::Calls(Scope::Reads) => calls::functions(Scope::Reads),
        Way::Calls(Scope::All) => calls::functions(Scope::All).into_iter().chain([FILTER.to_owned()]).collect(),
    }
}

/// What must be known of the running kernel.
struct Kernel {
    layout: Layout,
    /// Has it `bpf_get_current_task_btf`?
    typed: bool,
    targets: Vec<Target>,
}

fn describe(functions: &[String]) -> Result<Kernel, Fault> {
    let bytes = Description::open().map_err(|error| Fault::os(format!("read {KERNEL}"), error))?;
    let wanted: Vec<&str> = functions.iter().map(String::as_str).chain([TYPED]).collect();
    let kernel = btf::Btf::parse(&bytes, layout::STRUCTURES, &wanted);
    let kernel = kernel.ok_or_else(|| Fault::new(format!("read {KERNEL}"), "it is not understood"))?;
    let layout = layout::of(&kernel).map_err(|name| Fault::new("use eBPF", format!("this kernel has no {name} as it is known")))?;
    let target = |function: &String| Target { id: kernel.function(function), function: function.clone() };
    Ok(Kernel { layout, typed: kernel.function(TYPED).is_some(), targets: functions.iter().map(target).collect() })
}

/// What is loaded and attached.
#[derive(Default)]
struct Parts {
    programs: Vec<OwnedFd>,
    links: Vec<OwnedFd>,
}

impl Parts {
    /// Each call by itself where the kernel lets us; all of them otherwise.
    fn attach(&mut self, object: &Ready, targets: &[Target]) -> Result<Attached, Fault> {
        let mut missing = Vec::new();
        for (place, Target { function, id }) in targets.iter().enumerate() {
            let part = if function == FILTER { "filtered" } else { "one_call" };
            let attached = match id {
                Some(id) => self.attach_part(object, part, Use::Return(*id)),
                None => Err(Fault::new("attach", "this kernel has no such function")),
            };
            if let Err(cause) = attached {
                tracing::debug!("ebpf: {function}: {cause}");
                missing.push(function.clone());
            }
            // Where the first few are refused, all are.
            if place == 2 && missing.len() == 3 {
                return self.attach_every_call(object);
            }
        }
        Ok(Attached::Calls { missing })
    }

    fn attach_every_call(&mut self, object: &Ready) -> Result<Attached, Fault> {
        self.attach_part(object, "every_call", Use::Tracepoint)?;
        Ok(Attached::EveryCall)
    }

    fn attach_part(&mut self, object: &Ready, part: &str, purpose: Use) -> Result<(), Fault> {
        let program = object.load(part, purpose)?;
        let tracepoint = matches!(purpose, Use::Tracepoint).then_some(c"sys_exit");
        let link = bpf::attach(&program, tracepoint).map_err(|error| Fault::os("attach the eBPF program", error))?;
        self.programs.push(program);
        self.links.push(link);
        Ok(())
    }
}
