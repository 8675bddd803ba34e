//! Regular expressions, as far as profiles use them: `. [] [^] * + ? | () ^ $` and escaped punctuation. Anything else is a failed test.
//!
//! It is not documented whether Seatbelt's go by bytes or by characters, so there is a matcher for either.

/// What `.` and a set take one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Units {
    Bytes,
    Characters,
}

impl Units {
    pub(crate) const BOTH: [Units; 2] = [Units::Bytes, Units::Characters];

    fn of(self, bytes: &[u8]) -> Vec<u32> {
        match self {
            Units::Bytes => bytes.iter().map(|byte| u32::from(*byte)).collect(),
            Units::Characters => {
                let chunk = |chunk: std::str::Utf8Chunk<'_>| {
                    // What is no text is no character: beyond all of them.
                    let rest: Vec<u32> = chunk.invalid().iter().map(|byte| 0x11_0000 + u32::from(*byte)).collect();
                    chunk.valid().chars().map(u32::from).chain(rest).collect::<Vec<_>>()
                };
                bytes.utf8_chunks().flat_map(chunk).collect()
            }
        }
    }
}

/// A step of the automaton; numbers are places in the program.
#[derive(Clone, Debug)]
enum Step {
    /// One unit in the ranges, or outside them.
    One {
        ranges: Vec<(u32, u32)>,
        within: bool,
    },
    Start,
    End,
    Either(usize, usize),
    Go(usize),
    Found,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    steps: Vec<Step>,
    units: Units,
    /// What every text begins with that it is found in.
    prefix: Vec<u32>,
}

impl Expression {
    pub(crate) fn new(text: &[u8], units: Units) -> Expression {
        let mut parser = Parser { text: units.of(text), at: 0 };
        let tree = parser.choice();
        assert_eq!(parser.at, parser.text.len(), "a `)` too many in {}", String::from_utf8_lossy(text));
        let mut steps = Vec::new();
        compile(&tree, &mut steps);
        steps.push(Step::Found);
        let prefix = prefix(&steps);
        Expression { steps, units, prefix }
    }

    /// Is it found anywhere in the text?
    pub(crate) fn finds(&self, text: &[u8]) -> bool {
        let text = self.units.of(text);
        if !text.starts_with(&self.prefix) {
            return false;
        }
        let anchored = matches!(self.steps[0], Step::Start);
        let mut alive = Vec::new();
        for at in 0..=text.len() {
            // A match may begin here.
            if at == 0 || !anchored {
                alive.push(0);
            }
            let reached = self.reach(alive, at == 0, at == text.len());
            if reached.iter().any(|step| matches!(self.steps[*step], Step::Found)) {
                return true;
            }
            if reached.is_empty() && anchored {
                return false;
            }
            let Some(unit) = text.get(at) else { break };
            let takes = |step: &usize| match &self.steps[*step] {
                Step::One { ranges, within } => ranges.iter().any(|(low, high)| (low..=high).contains(&unit)) == *within,
                _ => false,
            };
            alive = reached.into_iter().filter(takes).map(|step| step + 1).collect();
        }
        false
    }

    /// Everything that can be reached without taking a unit.
    fn reach(&self, mut open: Vec<usize>, first: bool, last: bool) -> Vec<usize> {
        let mut reached = Vec::new();
        while let Some(step) = open.pop() {
            if reached.contains(&step) {
                continue;
            }
            reached.push(step);
            match self.steps[step] {
                Step::Either(one, other) => open.extend([one, other]),
                Step::Go(to) => open.push(to),
                Step::Start if first => open.push(step + 1),
                Step::End if last => open.push(step + 1),
                _ => {}
            }
        }
        reached
    }
}

/// Single units behind `^`. Nothing jumps there but from the step in front, or the step would not be plain.
fn prefix(steps: &[Step]) -> Vec<u32> {
    let Some((Step::Start, rest)) = steps.split_first() else { return Vec::new() };
    let single = |step: &Step| match step {
        Step::One { ranges, within: true } => ranges.first().filter(|(low, high)| ranges.len() == 1 && low == high).map(|(low, _)| *low),
        _ => None,
    };
    rest.iter().map_while(single).collect()
}

/// An expression as it is read.
enum Tree {
    One {
        ranges: Vec<(u32, u32)>,
        within: bool,
    },
    Start,
    End,
    Sequence(Vec<Tree>),
    Choice(Vec<Tree>),
    /// None of it may do; many of it may do.
    Repeat {
        tree: Box<Tree>,
        none: bool,
        many: bool,
    },
}

fn compile(tree: &Tree, steps: &mut Vec<Step>) {
    match tree {
        Tree::One { ranges, within } => steps.push(Step::One { ranges: ranges.clone(), within: *within }),
        Tree::Start => steps.push(Step::Start),
        Tree::End => steps.push(Step::End),
        Tree::Sequence(trees) => trees.iter().for_each(|tree| compile(tree, steps)),
        Tree::Choice(trees) => {
            let mut ends = Vec::new();
            for tree in trees {
                let fork = steps.len();
                steps.push(Step::Go(0));
                compile(tree, steps);
                ends.push(steps.len());
                steps.push(Step::Go(0));
                steps[fork] = Step::Either(fork + 1, steps.len());
            }
            // Behind the last choice there is none.
            let dead = steps.len();
            steps.push(Step::One { ranges: Vec::new(), within: true });
            for end in ends {
                steps[end] = Step::Go(dead + 1);
            }
        }
        Tree::Repeat { tree, none, many } => {
            let fork = steps.len();
            steps.push(Step::Go(fork + 1));
            compile(tree, steps);
            if *many {
                steps.push(Step::Either(fork + 1, steps.len() + 1));
            }
            if *none {
                steps[fork] = Step::Either(fork + 1, steps.len());
            }
        }
    }
}

struct Parser {
    text: Vec<u32>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).map(|unit| char::from_u32(*unit).unwrap_or('\u{fffd}'))
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn choice(&mut self) -> Tree {
        let mut choices = vec![self.sequence()];
        while self.take('|') {
            choices.push(self.sequence());
        }
        if choices.len() == 1 { choices.remove(0) } else { Tree::Choice(choices) }
    }

    fn sequence(&mut self) -> Tree {
        let mut trees = Vec::new();
        while self.peek().is_some_and(|unit| unit != '|' && unit != ')') {
            let tree = Box::new(self.atom());
            trees.push(match self.peek() {
                Some('*') => Tree::Repeat { tree, none: true, many: true },
                Some('+') => Tree::Repeat { tree, none: false, many: true },
                Some('?') => Tree::Repeat { tree, none: true, many: false },
                _ => {
                    trees.push(*tree);
                    continue;
                }
            });
            self.at += 1;
            assert!(!matches!(self.peek(), Some('*' | '+' | '?')), "two repetitions in a row");
        }
        assert!(!trees.is_empty(), "an empty choice is not understood everywhere");
        Tree::Sequence(trees)
    }

    fn atom(&mut self) -> Tree {
        let unit = self.text[self.at];
        let first = self.peek();
        self.at += 1;
        match first {
            Some('(') => {
                assert!(self.peek() != Some('?'), "a group of another dialect");
                let tree = self.choice();
                assert!(self.take(')'), "a `)` is missing");
                tree
            }
            Some('[') => self.set(),
            Some('.') => Tree::One { ranges: Vec::new(), within: false },
            Some('^') => Tree::Start,
            Some('$') => Tree::End,
            Some('\\') => {
                let escaped = self.peek().expect("something behind the backslash");
                assert!(escaped.is_ascii_punctuation(), "\\{escaped} is of another dialect");
                self.at += 1;
                let unit = u32::from(escaped);
                Tree::One { ranges: vec![(unit, unit)], within: true }
            }
            plain => {
                assert!(!matches!(plain, Some('{' | '}' | ']' | '*' | '+' | '?')), "{plain:?} is not plain everywhere");
                Tree::One { ranges: vec![(unit, unit)], within: true }
            }
        }
    }

    fn set(&mut self) -> Tree {
        let within = !self.take('^');
        let mut ranges = Vec::new();
        while !self.take(']') {
            let low = self.member();
            let high = if self.take('-') { self.member() } else { low };
            assert!(low <= high, "a backwards range");
            ranges.push((low, high));
        }
        assert!(!ranges.is_empty(), "an empty set");
        Tree::One { ranges, within }
    }

    /// A character that means itself in every dialect.
    fn member(&mut self) -> u32 {
        let member = self.peek().expect("the end of the set");
        assert!(!r"[]^-\".contains(member), "{member} between brackets means different things to different readers");
        self.at += 1;
        self.text[self.at - 1]
    }
}
