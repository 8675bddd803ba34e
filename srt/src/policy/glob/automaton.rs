//! A pattern as a nondeterministic automaton, run with a set of states.

use super::GlobPiece;
use super::parse::Token;

/// What one state does with the next character.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Step {
    /// Moves on at this character.
    Literal(char),
    /// Moves on at this byte, which is part of no character.
    Byte(u8),
    /// Moves on at anything but `/`.
    One,
    /// Moves on at a member.
    Set(Vec<(char, char)>),
    /// May be left without a character; stays at anything but `/`.
    Run,
    /// May be left without a character; stays at anything.
    Deep,
    /// The start of `**/`: may be left without a character, to [`Step::Inside`] or past it.
    Directories,
    /// The rest of `**/`: stays at anything, and moves on at `/`.
    Inside,
}

/// The steps in order; the state after the last one accepts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<Step>")]
pub(super) struct Automaton(Vec<Step>);

impl TryFrom<Vec<Step>> for Automaton {
    type Error = &'static str;

    /// Steps that another process of ours wrote: [`States::skip_optional`] relies on what follows a [`Step::Directories`].
    fn try_from(steps: Vec<Step>) -> Result<Self, Self::Error> {
        let follows = |at: usize| steps.get(at + 1) == Some(&Step::Inside);
        let is_whole = (0..steps.len()).all(|at| steps[at] != Step::Directories || follows(at));
        if is_whole { Ok(Automaton(steps)) } else { Err("`**/` without its second half") }
    }
}

/// The states reached so far.
pub(in crate::policy) struct States<'a> {
    steps: &'a [Step],
    /// One per step, and the accepting one.
    alive: Vec<bool>,
    next: Vec<bool>,
}

/// A character of a path, or a byte of it that is no UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Character(char),
    /// Matched by wildcards, and by itself in the directory that a pattern is taken from: a pattern is text.
    Byte(u8),
}

impl Automaton {
    pub(super) fn compile(tokens: &[Token]) -> Automaton {
        let mut steps = Vec::with_capacity(tokens.len() + 1);
        for token in tokens {
            steps.push(match token {
                Token::Literal(character) => Step::Literal(*character),
                Token::Byte(byte) => Step::Byte(*byte),
                Token::One => Step::One,
                Token::Set(ranges) => Step::Set(ranges.clone()),
                Token::Run => Step::Run,
                Token::Deep => Step::Deep,
                Token::Directories => Step::Directories,
            });
            if *token == Token::Directories {
                steps.push(Step::Inside);
            }
        }
        Automaton(steps)
    }

    /// Does it match one text only?
    pub(super) fn is_plain(&self) -> bool {
        self.0.iter().all(|step| matches!(step, Step::Literal(_) | Step::Byte(_)))
    }

    /// What it was compiled from.
    pub(super) fn pieces(&self) -> impl Iterator<Item = GlobPiece<'_>> {
        self.0.iter().filter_map(|step| match step {
            Step::Literal(character) => Some(GlobPiece::Literal(*character)),
            // No name of macOS, for which pieces are written, holds such a byte (APFS): any character that no pattern means will do.
            Step::Byte(_) => Some(GlobPiece::Literal(char::REPLACEMENT_CHARACTER)),
            Step::One => Some(GlobPiece::One),
            Step::Set(ranges) => Some(GlobPiece::Set(ranges)),
            Step::Run => Some(GlobPiece::Run),
            Step::Deep => Some(GlobPiece::Deep),
            Step::Directories => Some(GlobPiece::Directories),
            Step::Inside => None,
        })
    }

    /// The states after reading `bytes` from the start.
    pub(super) fn run(&self, bytes: &[u8]) -> States<'_> {
        let size = self.0.len() + 1;
        let mut states = States { steps: &self.0, alive: vec![false; size], next: vec![false; size] };
        states.alive[0] = true;
        states.skip_optional();
        states.feed(bytes);
        states
    }
}

impl PartialEq for States<'_> {
    /// Of the same automaton: the same texts lead on.
    fn eq(&self, other: &Self) -> bool {
        self.alive == other.alive
    }
}

impl States<'_> {
    /// Has the whole pattern been matched?
    pub(super) fn accepts(&self) -> bool {
        self.alive[self.steps.len()]
    }

    /// Is there a non-empty text after which it would accept? Every step can be satisfied, so any state before the last says yes.
    pub(in crate::policy) fn wants_more(&self) -> bool {
        self.alive[..self.steps.len()].contains(&true)
    }

    /// Reads on.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|character| self.step(Unit::Character(character)));
            chunk.invalid().iter().for_each(|byte| self.step(Unit::Byte(*byte)));
        }
    }

    /// The `**` that were reached, which are never left again, and what follows them directly: these are alive behind every further `/`.
    pub(in crate::policy) fn loops_alone(&self) -> States<'_> {
        let mut reached = States { steps: self.steps, alive: vec![false; self.alive.len()], next: Vec::new() };
        let is_loop = |(at, step): &(usize, &Step)| self.alive[*at] && matches!(step, Step::Deep | Step::Inside);
        for (at, _) in self.steps.iter().enumerate().filter(is_loop) {
            reached.alive[at] = true;
            reached.alive[at + 1] = true;
        }
        reached.skip_optional();
        reached
    }

    /// Is each of these states among the others, of the same automaton? Then whatever leads on from here does from there.
    pub(in crate::policy) fn is_within(&self, others: &States<'_>) -> bool {
        self.alive.iter().zip(&others.alive).all(|(alive, other)| !alive || *other)
    }

    fn step(&mut self, unit: Unit) {
        self.next.fill(false);
        for (at, step) in self.steps.iter().enumerate().filter(|(at, _)| self.alive[*at]) {
            let (stays, moves) = step.take(unit);
            self.next[at] |= stays;
            self.next[at + 1] |= moves;
        }
        std::mem::swap(&mut self.alive, &mut self.next);
        self.skip_optional();
    }

    /// Adds the states that are reached without a character. They all lie to the right, so one pass finds them.
    fn skip_optional(&mut self) {
        for (at, step) in self.steps.iter().enumerate() {
            if self.alive[at] && matches!(step, Step::Run | Step::Deep | Step::Directories) {
                self.alive[at + 1] = true;
                // `Directories` is always followed by `Inside`, so `at + 2` is a state.
                if *step == Step::Directories {
                    self.alive[at + 2] = true;
                }
            }
        }
    }
}

impl Step {
    /// Whether the state stays, and whether it moves on.
    fn take(&self, unit: Unit) -> (bool, bool) {
        let slash = unit == Unit::Character('/');
        match self {
            Step::Literal(character) => (false, unit == Unit::Character(*character)),
            Step::Byte(byte) => (false, unit == Unit::Byte(*byte)),
            Step::One => (false, !slash),
            Step::Set(ranges) => (false, unit.is_in(ranges)),
            Step::Run => (!slash, false),
            Step::Deep => (true, false),
            Step::Directories => (false, false),
            Step::Inside => (true, slash),
        }
    }
}

impl Unit {
    fn is_in(self, ranges: &[(char, char)]) -> bool {
        match self {
            Unit::Character(character) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)),
            Unit::Byte(_) => false,
        }
    }
}
