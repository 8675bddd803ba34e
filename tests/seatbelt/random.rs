//! Random policies and paths, from a seed.
//!
//! Few names, so that rules and paths meet often; among them all that the protected names are made of.

use srt::policy::{AbsPath, FsEffect, FsPolicy, FsRule, Glob, Matcher, Origin, PROTECTED_NAMES, RuleId};

/// A splitmix64 generator (Steele, Lea, Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("small")
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

const TOPS: &[&str] = &["w", "w", "w", "h", "private/tmp", "x.y"];
const NAMES: &[&str] = &[
    "a",
    "b",
    "ab",
    "c.d",
    ".env",
    ".git",
    ".GIT",
    "hooks",
    "config",
    "modules",
    "worktrees",
    "commondir",
    ".claude",
    "commands",
    ".vscode",
    ".bashrc",
    "fish",
    "config.fish",
    "w",
    "a+b",
    "(x)",
    "[a]",
];
const STRANGE_NAMES: &[&str] = &["é", "aé", "日", "a\"b", "a\\b", "a\nb", "{a}", "^", "$", "-"];
const PATTERNS: &[&str] =
    &["*", "**", "?", "a*", "*.d", ".e*", "[ab]", "[a-c]b", "[]a-]", "[^a]", "[!-_]", "a**", "**b", "*?", ".git", "[a/]", ".*", "hooks"];

/// What kind of text may come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    Ascii,
    Any,
}

fn name(random: &mut Random, letters: Letters) -> String {
    let names = if letters == Letters::Any && random.once_in(3) { STRANGE_NAMES } else { NAMES };
    random.pick(names).to_owned()
}

/// A path of one to six names.
pub(crate) fn path(random: &mut Random, letters: Letters) -> AbsPath {
    let mut text = format!("/{}", random.pick(TOPS));
    for _ in 0..random.below(6) {
        text.push('/');
        text.push_str(&name(random, letters));
    }
    AbsPath::new(text).expect("absolute")
}

/// A pattern below a plain directory.
fn glob(random: &mut Random, letters: Letters) -> Glob {
    let mut text = format!("/{}", random.pick(TOPS));
    for place in 0..=random.below(4) {
        text.push('/');
        if random.once_in(2) || place == 0 {
            text.push_str(random.pick(PATTERNS));
            if letters == Letters::Any && random.once_in(3) {
                text.push_str(random.pick(&["é", "[à-ü]", "[aé]", "?", "[!-日]"]));
            }
        } else {
            text.push_str(&name(random, letters));
        }
    }
    Glob::compile(&text)
}

/// How many patterns there are among the matchers.
fn matcher(random: &mut Random, letters: Letters) -> Matcher {
    match random.below(5) {
        0 | 1 => Matcher::Glob(glob(random, letters)),
        _ if random.once_in(40) => Matcher::Path(AbsPath::root()),
        _ => Matcher::Path(path(random, letters)),
    }
}

fn rule(id: String, effect: FsEffect, matcher: Matcher, absolute: bool) -> FsRule {
    let spelled = match &matcher {
        Matcher::Path(path) => path.to_string(),
        Matcher::Glob(glob) => glob.as_str().to_owned(),
        Matcher::Protected(name) => name.name.to_owned(),
    };
    FsRule { id: RuleId(id), effect, matcher, spelled, lexical: None, absolute, create: false, origin: Origin::Flag("--random") }
}

/// Up to four rules of each kind, and some of the protected names.
pub(crate) fn policy(random: &mut Random, letters: Letters) -> FsPolicy {
    let mut rules = Vec::new();
    let kinds = [
        ("deny-read", FsEffect::DenyRead),
        ("allow-read", FsEffect::AllowRead),
        ("allow-write", FsEffect::AllowWrite),
        ("deny-write", FsEffect::DenyWrite),
    ];
    for (name, effect) in kinds {
        for number in 0..random.below(5) {
            let absolute = effect == FsEffect::DenyRead && random.once_in(6);
            let matcher = matcher(random, letters);
            rules.push(rule(format!("fs.{name}.{number}"), effect, matcher, absolute));
        }
    }
    if random.once_in(2) {
        rules.push(rule("fs.allow-write.9".to_owned(), FsEffect::AllowWrite, Matcher::Path(AbsPath::new("/w").expect("absolute")), false));
    }
    let share = random.below(4);
    for name in PROTECTED_NAMES.iter().filter(|_| share > 0) {
        if share == 3 || random.once_in(3) {
            rules.push(rule(format!("fs.protected:{}", name.name), FsEffect::DenyWrite, Matcher::Protected(name), false));
        }
    }
    FsPolicy::new(rules)
}

/// A path that some rule may be about: at, above or below what one names, or any.
pub(crate) fn target(random: &mut Random, policy: &FsPolicy, letters: Letters) -> AbsPath {
    let named: Vec<AbsPath> = policy.rules().iter().filter_map(|rule| rule.path().cloned()).collect();
    if named.is_empty() || random.once_in(3) {
        return path(random, letters);
    }
    let mut target = random.pick(&named);
    for _ in 0..random.below(3) {
        target = if random.once_in(4) { target.parent().unwrap_or(target) } else { target.join(name(random, letters)) };
    }
    target
}
