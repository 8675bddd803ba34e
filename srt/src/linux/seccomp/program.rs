//! The table as classic BPF.

use seccompiler::sock_filter;

use super::table::{Action, CREATES, ENOSYS, EPERM, FilterSpec, KIND_MASK, Test, table};

// Offsets in struct seccomp_data.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// Low half of an argument on a little-endian machine.
const fn argument_offset(argument: u8) -> u32 {
    16 + 8 * argument as u32
}

#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: u32 = 0xc000_00b7;
#[cfg(not(target_endian = "little"))]
compile_error!("the argument offsets are those of a little-endian machine");

/// The first number that the table says nothing about: one after `file_setattr` (Linux 6.17). New calls have the same number on every architecture.
pub(super) const UNREVIEWED: u32 = 470;

/// Builds the program.
pub(in crate::linux) fn compile(spec: FilterSpec) -> Vec<sock_filter> {
    let mut rows = table(spec);
    rows.sort_unstable_by_key(|(number, _)| *number);
    let mut program = vec![
        // A foreign architecture numbers its calls differently: every rule below would be about another call.
        load(ARCHITECTURE),
        jump(libc::BPF_JEQ, NATIVE, 1, 0),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
        // What came later may do what an older call is refused: it is missing, as on the kernel before. So are x32 numbers on x86-64 (bit 30), and those
        // from 512 on, which are x32's own and reach 64-bit calls on some kernels: the same calls under other numbers.
        jump(libc::BPF_JGE, UNREVIEWED, 0, 1),
        give(refusal(ENOSYS)),
    ];
    program.extend(search(&rows, if spec.broker { ASK } else { refusal(EPERM) }));
    program
}

/// The call stops, and the broker answers.
pub(super) const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;

/// A tree over sorted rows; few rows are tried in turn.
///
/// `denial` is what a refusal with `EPERM` returns: with a broker, that is told of it and gives the errno.
fn search(rows: &[(libc::c_long, Action)], denial: u32) -> Vec<sock_filter> {
    if rows.len() <= 2 {
        let mut program = Vec::new();
        for (number, action) in rows {
            let leaf = leaf(*action, denial);
            program.push(jump(libc::BPF_JEQ, number_of(*number), 0, distance(leaf.len())));
            program.extend(leaf);
        }
        program.push(give(libc::SECCOMP_RET_ALLOW));
        return program;
    }
    let (left, right) = rows.split_at(rows.len() / 2);
    let (left_code, right_code) = (search(left, denial), search(right, denial));
    let mut program = match u8::try_from(left_code.len()) {
        Ok(near) => vec![jump(libc::BPF_JGE, number_of(right[0].0), near, 0)],
        // A conditional jump reaches 255 instructions.
        Err(_) => vec![jump(libc::BPF_JGE, number_of(right[0].0), 0, 1), leap(left_code.len())],
    };
    program.extend(left_code);
    program.extend(right_code);
    program
}

fn leaf(action: Action, denial: u32) -> Vec<sock_filter> {
    let (tests, hit) = match action {
        Action::Refuse(EPERM) => return vec![give(denial)],
        Action::Refuse(errno) => return vec![give(refusal(errno))],
        Action::Ask => return vec![give(ASK)],
        Action::RefuseIf(tests) => (tests, denial),
        Action::AskIf(tests) => (tests, ASK),
    };
    let mut program: Vec<sock_filter> = tests.iter().flat_map(|test| code(*test, hit)).collect();
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

/// Code that returns `hit` where the test holds, and falls through where it does not.
fn code(test: Test, hit: u32) -> Vec<sock_filter> {
    let mut program = Vec::new();
    match test {
        Test::AnyBit { argument, bits } => {
            program.push(load(argument_offset(argument)));
            program.push(jump(libc::BPF_JSET, bits, 0, 1));
        }
        Test::OneOf { argument, mask, values } => {
            program.push(load(argument_offset(argument)));
            if mask != u32::MAX {
                program.push(statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask));
            }
            program.extend(any_equal(values));
        }
        Test::NoneOf { argument, values } => {
            program.push(load(argument_offset(argument)));
            program.extend(none_equal(values));
        }
        Test::FirstAndThird { first, third } => {
            let tail = none_equal(third);
            program.push(load(argument_offset(0)));
            // Another first argument: past the load, the comparisons and the refusal.
            program.push(jump(libc::BPF_JEQ, first, 0, distance(tail.len() + 2)));
            program.push(load(argument_offset(2)));
            program.extend(tail);
        }
        Test::FirstAndKind { first, kinds } => {
            let tail = none_equal(kinds);
            program.push(load(argument_offset(0)));
            // Past the load, the mask, the comparisons and the refusal.
            program.push(jump(libc::BPF_JEQ, first, 0, distance(tail.len() + 3)));
            program.push(load(argument_offset(1)));
            program.push(statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, KIND_MASK));
            program.extend(tail);
        }
        Test::FirstTwo { first, second } => {
            program.push(load(argument_offset(0)));
            program.push(jump(libc::BPF_JEQ, first, 0, 3));
            program.push(load(argument_offset(1)));
            program.push(jump(libc::BPF_JEQ, second, 0, 1));
        }
        Test::CreatesWith { flags, mode, bits } => {
            program.push(load(argument_offset(flags)));
            program.push(jump(libc::BPF_JSET, CREATES, 0, 3));
            program.push(load(argument_offset(mode)));
            program.push(jump(libc::BPF_JSET, bits, 0, 1));
        }
        Test::Opens { flags, bits } => {
            program.push(load(argument_offset(flags)));
            program.push(jump(libc::BPF_JSET, libc::O_PATH as u32, 2, 0));
            program.push(jump(libc::BPF_JSET, bits, 0, 1));
        }
        Test::BitWithout { argument, bit, without } => {
            program.push(load(argument_offset(argument)));
            program.push(jump(libc::BPF_JSET, without, 2, 0));
            program.push(jump(libc::BPF_JSET, bit, 0, 1));
        }
        Test::NoBit { argument, bits } => {
            program.push(load(argument_offset(argument)));
            program.push(jump(libc::BPF_JSET, bits, 1, 0));
        }
        Test::NotNull { argument } => {
            program.push(load(argument_offset(argument)));
            program.push(jump(libc::BPF_JEQ, 0, 0, 2));
            program.push(load(argument_offset(argument) + 4));
            program.push(jump(libc::BPF_JEQ, 0, 1, 0));
        }
    }
    program.push(give(hit));
    program
}

/// Falls onto the next instruction where one of `values` is loaded, else skips it.
fn any_equal(values: &[u32]) -> Vec<sock_filter> {
    let last = values.len() - 1;
    values.iter().enumerate().map(|(index, value)| jump(libc::BPF_JEQ, *value, distance(last - index), u8::from(index == last))).collect()
}

/// Falls onto the next instruction where none of `values` is loaded, else skips it.
fn none_equal(values: &[u32]) -> Vec<sock_filter> {
    let last = values.len() - 1;
    values.iter().enumerate().map(|(index, value)| jump(libc::BPF_JEQ, *value, distance(last - index + 1), 0)).collect()
}

/// Jumps reach 255 instructions; the table is far below that, and the test of the whole table would show it.
fn distance(instructions: usize) -> u8 {
    u8::try_from(instructions).expect("the table fits into the reach of one jump")
}

fn number_of(number: libc::c_long) -> u32 {
    u32::try_from(number).expect("system-call numbers are small and not negative")
}

pub(super) fn refusal(errno: u16) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::from(errno)
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn give(value: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, value)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// A jump without condition, over so many instructions.
fn leap(instructions: usize) -> sock_filter {
    statement(libc::BPF_JMP | libc::BPF_JA, u32::try_from(instructions).expect("a filter has at most 4096 instructions"))
}

fn jump(kind: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | kind | libc::BPF_K) as u16, jt, jf, k }
}
