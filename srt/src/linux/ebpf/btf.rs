//! The kernel's own description of its types: where a field lies, which number a function has.
//!
//! Pure, and one pass over some megabytes: aya parses the same into objects for every type, which takes longer than all else that a start does. Only what is
//! looked for is kept. The text comes from the kernel (Linux 5.4; see `description`); nothing of it is believed to be well formed.
//!
//! See `Documentation/bpf/btf.rst`.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;

/// Kinds of types, as far as they are told apart here.
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
const TYPE_TAG: u32 = 18;

/// How deep members without a name may lie in each other.
const MOST_NESTED: u32 = 8;

/// Types of one kernel.
pub(super) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins; type 1 is the first.
    starts: Vec<u32>,
    /// Those that were asked for, by name.
    structs: HashMap<&'a [u8], u32>,
    functions: HashMap<&'a [u8], u32>,
}

/// The fixed part of a type.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    members: u32,
    kind_flag: bool,
    /// Size, or another type.
    size_or_type: u32,
    /// Where its members begin.
    body: usize,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'a> Btf<'a> {
    /// Reads a description; remembers these structures and functions.
    pub(super) fn parse(bytes: &'a [u8], structures: &[impl AsRef<[u8]>], functions: &[impl AsRef<[u8]>]) -> Option<Btf<'a>> {
        if u16::from_ne_bytes(*bytes.first_chunk()?) != MAGIC {
            return None;
        }
        let header = word(bytes, 4)? as usize;
        let section = |at: usize| {
            let (offset, length) = (word(bytes, at)? as usize, word(bytes, at + 4)? as usize);
            bytes.get(header.checked_add(offset)?..)?.get(..length)
        };
        if header < HEADER {
            return None;
        }
        let mut btf =
            Btf { types: section(8)?, strings: section(16)?, starts: vec![0], structs: HashMap::new(), functions: HashMap::new() };
        let mut at = 0;
        while at < btf.types.len() {
            let found = btf.at(at)?;
            let id = btf.starts.len() as u32;
            btf.starts.push(at as u32);
            match found.kind {
                STRUCT => remember(&mut btf.structs, structures, btf.strings, found.name, id)?,
                FUNC => remember(&mut btf.functions, functions, btf.strings, found.name, id)?,
                _ => {}
            }
            at = found.body.checked_add(body_length(found)?)?;
        }
        Some(btf)
    }

    /// The number of a function (`attach_btf_id` of bpf(2)).
    pub(super) fn function(&self, name: &str) -> Option<u32> {
        self.functions.get(name.as_bytes()).copied()
    }

    /// Bytes from the start of a structure to a field of it; each further name is a field of the one before.
    pub(super) fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut id = *self.structs.get(structure.as_bytes())?;
        let mut bits = 0;
        for name in path {
            let (offset, field) = self.field(id, name.as_bytes(), MOST_NESTED)?;
            bits += offset;
            id = field;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// Size of a structure in bytes.
    pub(super) fn size(&self, structure: &str) -> Option<u32> {
        Some(self.get(*self.structs.get(structure.as_bytes())?)?.size_or_type)
    }

    fn get(&self, id: u32) -> Option<Type> {
        if id == 0 {
            return None;
        }
        self.at(*self.starts.get(id as usize)? as usize)
    }

    fn at(&self, at: usize) -> Option<Type> {
        let info = word(self.types, at + 4)?;
        Some(Type {
            name: word(self.types, at)?,
            kind: (info >> 24) & 0x1f,
            members: info & 0xffff,
            kind_flag: info >> 31 != 0,
            size_or_type: word(self.types, at + 8)?,
            body: at + 12,
        })
    }

    fn name(&self, at: u32) -> Option<&'a [u8]> {
        let rest = self.strings.get(at as usize..)?;
        Some(&rest[..rest.iter().position(|byte| *byte == 0)?])
    }

    /// Bits to a field, and its type. Fields of members without a name are the structure's own.
    fn field(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let structure = self.get(self.resolved(id)?)?;
        if !matches!(structure.kind, STRUCT | UNION) || depth == 0 {
            return None;
        }
        for member in 0..structure.members as usize {
            let at = structure.body + member * 12;
            let (found, field, place) = (self.name(word(self.types, at)?)?, word(self.types, at + 4)?, word(self.types, at + 8)?);
            let (bits, width) = if structure.kind_flag { (place & 0xff_ffff, place >> 24) } else { (place, 0) };
            if found == name && width == 0 {
                return Some((bits, field));
            }
            if found.is_empty()
                && let Some((inner, field)) = self.field(field, name, depth - 1)
            {
                return Some((bits + inner, field));
            }
        }
        None
    }

    /// What a type is besides its other names.
    fn resolved(&self, mut id: u32) -> Option<u32> {
        for _ in 0..32 {
            let found = self.get(id)?;
            if !matches!(found.kind, TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG | ARRAY) {
                return Some(id);
            }
            // An array's element is in its body.
            id = if found.kind == ARRAY { word(self.types, found.body)? } else { found.size_or_type };
        }
        None
    }
}

/// Keeps the number of a name that is wanted. Names are compared where they lie: there are a hundred thousand.
fn remember<'a>(names: &mut HashMap<&'a [u8], u32>, wanted: &[impl AsRef<[u8]>], strings: &'a [u8], name: u32, id: u32) -> Option<()> {
    let rest = strings.get(name as usize..)?;
    let is_here = |wanted: &[u8]| rest.starts_with(wanted) && rest.get(wanted.len()) == Some(&0);
    if let Some(found) = wanted.iter().map(AsRef::as_ref).find(|wanted| is_here(wanted)) {
        names.entry(&rest[..found.len()]).or_insert(id);
    }
    Some(())
}

/// Bytes that follow the fixed part.
fn body_length(found: Type) -> Option<usize> {
    let members = found.members as usize;
    Some(match found.kind {
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        ARRAY => 12,
        STRUCT | UNION | 15 | 19 => 12 * members,
        // Enumerators, parameters.
        6 | 13 => 8 * members,
        2 | 7..=12 | 16 | 18 => 0,
        // A kind of a kernel to come: how long it is, nobody knows.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A description, type by type.
    #[derive(Default)]
    struct Writer {
        types: Vec<u8>,
        strings: Vec<u8>,
    }

    impl Writer {
        fn name(&mut self, name: &str) -> u32 {
            if self.strings.is_empty() {
                self.strings.push(0);
            }
            if name.is_empty() {
                return 0;
            }
            let at = self.strings.len() as u32;
            self.strings.extend(name.bytes().chain([0]));
            at
        }

        fn words(&mut self, words: &[u32]) {
            words.iter().for_each(|word| self.types.extend(word.to_ne_bytes()));
        }

        fn structure(&mut self, name: &str, kind: u32, size: u32, members: &[(&str, u32, u32)]) {
            let name = self.name(name);
            self.words(&[name, kind << 24 | members.len() as u32, size]);
            for (name, field, bits) in members {
                let name = self.name(name);
                self.words(&[name, *field, *bits]);
            }
        }

        fn bytes(&self) -> Vec<u8> {
            let mut out = MAGIC.to_ne_bytes().to_vec();
            out.extend([1, 0]);
            let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
            for word in [24, 0, types, types, strings] {
                out.extend(u32::to_ne_bytes(word));
            }
            out.extend(&self.types);
            out.extend(&self.strings);
            out
        }
    }

    /// int; struct qstr { int hash; int name }; union { … } without a name; struct dentry { int d_flags; struct { qstr d_name } }; a function.
    fn sample() -> Vec<u8> {
        let mut writer = Writer::default();
        let int = writer.name("int");
        writer.words(&[int, 1 << 24, 4, 32]);
        writer.structure("qstr", STRUCT, 8, &[("hash", 1, 0), ("name", 1, 32)]);
        writer.structure("", UNION, 8, &[("d_name", 4, 0), ("other", 1, 0)]);
        let alias = writer.name("qstr_t");
        writer.words(&[alias, TYPEDEF << 24, 2]);
        writer.structure("dentry", STRUCT, 12, &[("d_flags", 1, 0), ("", 3, 32)]);
        let function = writer.name("__x64_sys_openat");
        writer.words(&[function, FUNC << 24, 0]);
        writer.bytes()
    }

    const ALL: &[&str] = &["qstr", "dentry", "__x64_sys_openat"];

    #[test]
    fn fields_are_found_through_members_without_names_and_other_names_of_types() {
        let bytes = sample();
        let btf = Btf::parse(&bytes, ALL, ALL).unwrap();
        assert_eq!(btf.offset("dentry", &["d_name", "name"]), Some(8));
        assert_eq!(btf.offset("dentry", &["d_flags"]), Some(0));
        assert_eq!(btf.offset("dentry", &["gone"]), None);
        assert_eq!((btf.size("qstr"), btf.function("__x64_sys_openat"), btf.function("dentry")), (Some(8), Some(6), None));
    }

    #[test]
    fn only_what_is_wanted_is_remembered() {
        let bytes = sample();
        let btf = Btf::parse(&bytes, &["qstr"], ALL).unwrap();
        assert_eq!((btf.size("qstr"), btf.size("dentry")), (Some(8), None));
    }

    #[test]
    fn no_cut_and_no_changed_byte_makes_it_panic() {
        let bytes = sample();
        let ask = |bytes: &[u8]| {
            if let Some(btf) = Btf::parse(bytes, ALL, ALL) {
                let _ = btf.offset("dentry", &["d_name", "name"]);
                let _ = btf.size("qstr");
            }
        };
        for length in 0..bytes.len() {
            ask(&bytes[..length]);
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 3, 4, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                ask(&changed);
            }
        }
    }
}
