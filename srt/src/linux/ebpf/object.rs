//! The program's object, made ready for the running kernel: constants are filled in, maps made and named in the instructions, each part joined with the functions that it calls.
//!
//! Reading and joining are aya's (`aya_obj`). Its loader is not used: it reads all that the kernel says of itself, and tries out what the kernel can do, which takes longer than all else that a start
//! does.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use aya_obj::btf::{Btf, BtfType, Func, FuncLinkage, FuncProto, Int, IntEncoding};
use aya_obj::generated::{BPF_F_RDONLY_PROG, bpf_func_info, bpf_map_type};
use aya_obj::{EbpfSectionKind, Map, Object};

use super::bpf::{self, Code, MapShape, Use};
use super::causes;
use crate::Fault;

/// The program, built by `cargo xtask ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../srt-ebpf/denials.o");

/// The function that the verifier looks at by itself, and once: where it is called, all that counts is that it takes nothing and gives back a number.
const GLOBAL: &str = "step";

/// How much of what the verifier thinks is asked for, where it refuses.
const LOG: usize = 1 << 20;

/// The object, ready.
pub(super) struct Ready {
    object: Object,
    types: OwnedFd,
    maps: HashMap<String, OwnedFd>,
}

fn fault(error: impl std::error::Error) -> Fault {
    Fault::new("load the eBPF program", causes(&error))
}

impl Ready {
    /// Fills in `constants` by name, and makes the maps; `buffer` is the size of the ring buffer in bytes.
    pub(super) fn make(constants: HashMap<&str, (&[u8], bool)>, buffer: u32) -> Result<Ready, Fault> {
        let mut object = Object::parse(OBJECT).map_err(fault)?;
        object.patch_map_data(constants).map_err(fault)?;
        let types = bpf::load_types(&describe(&mut object)).map_err(|error| Fault::os("load the types of the eBPF program", error))?;
        let maps: HashMap<String, Map> = object.maps.drain().collect();
        let made = maps.iter().map(|(name, map)| Ok((name.clone(), make_map(name, map, buffer)?)));
        let made: HashMap<String, OwnedFd> = made.collect::<Result<_, Fault>>()?;
        join(&mut object, maps.iter().map(|(name, map)| (name.as_str(), made[name].as_raw_fd(), map)))?;
        Ok(Ready { object, types, maps: made })
    }

    /// Loads one part. What the verifier says of one that it refuses is told with the error.
    pub(super) fn load(&self, part: &str, purpose: Use) -> Result<OwnedFd, Fault> {
        let code = self.code(part).ok_or_else(|| Fault::new("load the eBPF program", format!("it has no part {part}")))?;
        bpf::load(code, purpose, &mut []).or_else(|_| {
            let mut log = vec![0; LOG];
            bpf::load(code, purpose, &mut log).map_err(|error| refused(Fault::os("load the eBPF program", error), &log))
        })
    }

    /// Gives a map away; the program keeps it.
    pub(super) fn take_map(&mut self, name: &str) -> Result<OwnedFd, Fault> {
        self.maps.remove(name).ok_or_else(|| Fault::new("load the eBPF program", format!("it has no map {name}")))
    }

    fn code<'a>(&'a self, part: &'a str) -> Option<Code<'a>> {
        let program = self.object.programs.get(part)?;
        let function = self.object.functions.get(&program.function_key())?;
        Some(Code {
            name: part,
            licence: &program.license,
            instructions: &function.instructions,
            functions: &function.func_info.func_info,
            types: &self.types,
        })
    }
}

/// Names the maps in the instructions, and puts behind each part the functions that it calls.
fn join<'a>(object: &mut Object, maps: impl Iterator<Item = (&'a str, RawFd, &'a Map)>) -> Result<(), Fault> {
    let code: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(maps, &code).map_err(fault)?;
    object.relocate_calls(&code).map_err(fault)
}

/// Adds the end of what the verifier said: there it says why.
fn refused(fault: Fault, log: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or_default());
    tracing::debug!("ebpf: the verifier says:\n{text}");
    let words =
        text.lines().rev().find(|line| !line.is_empty() && !line.starts_with("processed ") && !line.starts_with("verification time "));
    match words {
        Some(words) => Fault { cause: format!("{}: {words}", fault.cause), ..fault },
        None => fault,
    }
}

fn make_map(name: &str, map: &Map, buffer: u32) -> Result<OwnedFd, Fault> {
    let constant = map.section_kind() == EbpfSectionKind::Rodata;
    let shape = MapShape {
        kind: map.map_type(),
        key: map.key_size(),
        value: map.value_size(),
        entries: if map.map_type() == bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32 { buffer } else { map.max_entries() },
        flags: if constant { BPF_F_RDONLY_PROG } else { map.map_flags() },
    };
    let failed = |error| Fault::os(format!("make the eBPF map {name}"), error);
    let made = bpf::create_map(name.trim_start_matches('.'), shape).map_err(failed)?;
    if constant {
        bpf::fill(&made, map.data()).map_err(failed)?;
    }
    Ok(made)
}

/// Says of each function what it is (BTF). Without, the verifier would look at [`GLOBAL`] each time that it is called; of the others it believes nothing, and does so.
fn describe(object: &mut Object) -> Vec<u8> {
    let mut types = Btf::new();
    let number = types.add_string("number");
    let number = types.add_type(BtfType::Int(Int::new(number, 8, IntEncoding::None, 0)));
    let form = types.add_type(BtfType::FuncProto(FuncProto::new(Vec::new(), number)));
    for function in object.functions.values_mut() {
        let linkage = if function.name == GLOBAL { FuncLinkage::Global } else { FuncLinkage::Static };
        let name = types.add_string(&function.name);
        let type_id = types.add_type(BtfType::Func(Func::new(name, form, linkage)));
        function.func_info.func_info = vec![bpf_func_info { insn_off: 0, type_id }];
        function.func_info.num_info = 1;
    }
    types.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_joined_with_what_it_calls_and_each_function_has_a_type() {
        let mut object = Object::parse(OBJECT).unwrap();
        describe(&mut object);
        let maps: HashMap<String, Map> = object.maps.drain().collect();
        join(&mut object, maps.iter().map(|(name, map)| (name.as_str(), 7, map))).unwrap();
        for part in ["every_call", "one_call", "filtered"] {
            let function = &object.functions[&object.programs[part].function_key()];
            let starts: Vec<u32> = function.func_info.func_info.iter().map(|info| info.insn_off).collect();
            assert!(starts.len() >= 3 && starts[0] == 0 && starts.is_sorted(), "{part}, failed, step: {starts:?}");
            assert!((starts[2] as usize) < function.instructions.len());
        }
    }

    #[test]
    fn the_last_words_of_the_verifier_are_told() {
        let fault = || Fault::new("load", "no");
        let log = b"0: r1 = 0\nR1 is not a scalar\nprocessed 15 insns (limit 1000000)\n\0rest";
        assert_eq!(refused(fault(), log).cause, "no: R1 is not a scalar");
        assert_eq!(refused(fault(), &[0; 8]), fault());
    }
}
