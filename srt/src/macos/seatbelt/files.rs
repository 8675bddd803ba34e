//! The sections on files.
//!
//! Within one operation the last match decides. A rule on an operation of its own (`file-write-unlink`) comes before every rule on its family (`file-write*`), wherever
//! it stands. So the policy is written on the families, and operations of their own have denials only, which take away from whatever the families say.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{self, Layer};
use super::pattern::{self, Fit};
use super::rule::{Effect, Filter, Rule, Source, Writer};
use super::{names, spelling};
use crate::policy::{AbsPath, Access, FsEffect, FsPolicy, FsRule, Matcher};

/// Reading is opening, listing, looking at metadata, and running.
const READ: &str = "file-read* process-exec";
const WRITE: &str = "file-write*";

/// The rules by effect, without those that another one says already.
pub(super) struct Rules<'a> {
    policy: &'a FsPolicy,
    deny_read: Vec<&'a FsRule>,
    absolute: Vec<&'a FsRule>,
    allow_read: Vec<&'a FsRule>,
    allow_write: Vec<&'a FsRule>,
    deny_write: Vec<&'a FsRule>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(policy: &'a FsPolicy) -> Self {
        let mut kept: Vec<&FsRule> = Vec::new();
        for rule in policy.rules() {
            if !is_said(rule, policy.rules()) && !kept.iter().any(|other| is_same(rule, other)) {
                kept.push(rule);
            }
        }
        let of = |effect: FsEffect, absolute: bool| {
            kept.iter().copied().filter(|rule| rule.effect == effect && rule.absolute == absolute).collect::<Vec<_>>()
        };
        Rules {
            policy,
            deny_read: of(FsEffect::DenyRead, false),
            absolute: of(FsEffect::DenyRead, true),
            allow_read: of(FsEffect::AllowRead, false),
            allow_write: of(FsEffect::AllowWrite, false),
            deny_write: of(FsEffect::DenyWrite, false),
        }
    }

    /// Denials of any kind.
    pub(super) fn denials(&self) -> impl Iterator<Item = &'a FsRule> {
        self.deny_read.iter().chain(&self.absolute).chain(&self.deny_write).copied()
    }

    pub(super) fn write_roots(&self) -> impl Iterator<Item = &'a FsRule> {
        self.allow_write.iter().copied()
    }

    /// Write roots that can hold names: no devices.
    pub(super) fn directories(&self) -> impl Iterator<Item = &'a FsRule> {
        let devices = AbsPath::root().join("dev");
        self.write_roots().filter(move |rule| !rule.path().is_some_and(|path| path.is_within(&devices)))
    }

    /// May it be written?
    pub(super) fn is_writable(&self, path: &AbsPath) -> bool {
        self.policy.decide(path, Access::Write).allowed
    }

    fn is_readable(&self, path: &AbsPath) -> bool {
        self.policy.decide(path, Access::Read).allowed
    }
}

/// Mounts need the objects that a pattern matches at the start; here the pattern itself holds them.
fn is_said(rule: &FsRule, all: &[FsRule]) -> bool {
    let Matcher::Path(path) = &rule.matcher else { return false };
    let by = |other: &FsRule| matches!(&other.matcher, Matcher::Glob(glob) if glob.matches(path));
    all.iter().any(|other| other.id == rule.id && other.effect == rule.effect && by(other))
}

/// Do both say the same? The first one keeps its name.
fn is_same(rule: &FsRule, other: &FsRule) -> bool {
    let same = match (&rule.matcher, &other.matcher) {
        (Matcher::Path(one), Matcher::Path(other)) => one == other,
        (Matcher::Glob(one), Matcher::Glob(other)) => one == other,
        (Matcher::Protected(one), Matcher::Protected(other)) => one == other,
        _ => false,
    };
    same && rule.effect == other.effect && rule.absolute == other.absolute
}

/// Everything may be read but what is denied.
pub(super) fn read(writer: &mut Writer, rules: &Rules<'_>) {
    writer.section("Reading and running files");
    writer.lines("(allow file-read*)\n");
    for layer in layers::ordered(&rules.deny_read, &rules.allow_read) {
        let effect = if layer.rule.effect == FsEffect::DenyRead { Effect::Deny } else { Effect::Allow };
        let filters = filters(writer, layer, rules);
        write(writer, effect, READ, filters, layer.rule);
    }
    for rule in &rules.absolute {
        let filters = filters(writer, Layer { rule, from: None }, rules);
        write(writer, Effect::Deny, READ, filters, rule);
    }
    passages(writer, rules);
}

/// What leads to a permission inside a denial can be passed through: looked at, but not listed.
fn passages(writer: &mut Writer, rules: &Rules<'_>) {
    let mut seen = BTreeSet::new();
    for rule in &rules.allow_read {
        let (base, below) = match &rule.matcher {
            Matcher::Path(path) => (path.clone(), false),
            Matcher::Glob(glob) => (glob.literal_base(), true),
            Matcher::Protected(_) => continue,
        };
        let open = |path: &AbsPath| below || rules.is_readable(path);
        if !open(&base) {
            continue;
        }
        let above = base.ancestors().skip(usize::from(!below)).filter(|path| !rules.is_readable(path));
        let mut filters: Vec<Filter> = above
            .flat_map(|path| spelling::all(&path).collect::<Vec<_>>())
            .map(Filter::Literal)
            .filter(|new| seen.insert(new.clone()))
            .collect();
        if below && !rules.is_readable(&base) {
            filters.extend(spelling::all(&base).map(|base| Filter::All(vec![Filter::Directory, Filter::Subpath(base)])));
        }
        write(writer, Effect::Allow, "file-read-metadata", filters, rule);
    }
    // A permission on an operation of its own stands above every denial of the family.
    for rule in rules.absolute.iter().filter(|_| !seen.is_empty()) {
        let filters = filters(writer, Layer { rule, from: None }, rules);
        write(writer, Effect::Deny, "file-read-metadata", filters, rule);
    }
    let root = rules.policy.decide(&AbsPath::root(), Access::Read);
    if !root.allowed && !root.rule.absolute {
        // Programs are not started by macOS where they cannot read the root directory itself.
        write(writer, Effect::Allow, "file-read*", vec![Filter::Literal(AbsPath::root())], root.rule);
    }
}

/// Write roots, less what is denied in them.
pub(super) fn write_section(writer: &mut Writer, rules: &Rules<'_>) {
    writer.section("Writing files");
    for rule in &rules.allow_write {
        let filters = filters(writer, Layer { rule, from: None }, rules);
        write(writer, Effect::Allow, WRITE, filters, rule);
    }
    // What may not be read may not be written. A permission to read gives back what the write roots hold of it, and no more.
    for layer in layers::ordered(&rules.deny_read, &rules.allow_read) {
        if layer.rule.effect == FsEffect::DenyRead {
            if rules.allow_write.iter().any(|root| meets(layer.rule, root)) {
                let filters = filters(writer, layer, rules);
                write(writer, Effect::Deny, WRITE, filters, layer.rule);
            }
        } else {
            let filters = both(writer, layer, rules);
            write(writer, Effect::Allow, WRITE, filters, layer.rule);
        }
    }
    for rule in rules.absolute.iter().chain(&rules.deny_write) {
        let filters = filters(writer, Layer { rule, from: None }, rules);
        write(writer, Effect::Deny, WRITE, filters, rule);
    }
}

pub(super) fn write(writer: &mut Writer, effect: Effect, operations: &'static str, filters: Vec<Filter>, rule: &FsRule) {
    writer.rule(&Rule { effect, operations, filters, source: Source::from(rule) });
}

fn fit(rule: &FsRule) -> Fit {
    if matches!(rule.effect, FsEffect::AllowRead | FsEffect::AllowWrite) { Fit::Narrow } else { Fit::Wide }
}

/// What a rule is about.
fn filters(writer: &mut Writer, layer: Layer<'_>, rules: &Rules<'_>) -> Vec<Filter> {
    let rule = layer.rule;
    match &rule.matcher {
        Matcher::Path(path) => spelling::all(path).map(Filter::Subpath).collect(),
        Matcher::Glob(glob) => {
            let bodies = match layer.from {
                Some(depth) => pattern::bodies_below(glob, depth, fit(rule)),
                None => Some(pattern::bodies(glob, fit(rule))),
            };
            let Some(bodies) = bodies else {
                writer.fault(&Source::from(rule), "with these exceptions, its `**` would take too many rules of a Seatbelt profile");
                return Vec::new();
            };
            bodies.iter().map(|body| Filter::Regex(pattern::covering(body))).collect()
        }
        Matcher::Protected(name) => below_roots(rules, |root| names::protected(name, root)).collect(),
    }
}

/// Expressions for something below every write root, which `find` gives as what follows the root. Below a pattern's fixed part, they hold for what the pattern covers.
pub(super) fn below_roots(rules: &Rules<'_>, find: impl Fn(&AbsPath) -> Vec<String>) -> impl Iterator<Item = Filter> {
    // Roots below which the same is sought share an expression.
    let mut shared: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut found = Vec::new();
    for root in rules.directories() {
        match &root.matcher {
            Matcher::Path(path) => {
                for path in spelling::all(path) {
                    for below in find(&path) {
                        shared.entry(below).or_default().insert(start(&path));
                    }
                }
            }
            Matcher::Glob(glob) => {
                let bases: Vec<AbsPath> = spelling::all(&glob.literal_base()).collect();
                let inside = bases.iter().flat_map(|base| find(base).into_iter().map(|below| format!("^{}/{below}", start(base))));
                let inside: Vec<String> = inside.collect();
                for body in pattern::bodies(glob, Fit::Wide) {
                    let covered = Filter::Regex(pattern::covering(&body));
                    found.extend(inside.iter().map(|inside| Filter::All(vec![covered.clone(), Filter::Regex(inside.clone())])));
                }
            }
            Matcher::Protected(_) => {}
        }
    }
    let shared = shared.into_iter().flat_map(|(below, starts)| pattern::behind(&starts, &below)).map(Filter::Regex);
    let mut seen = BTreeSet::new();
    shared.collect::<Vec<_>>().into_iter().chain(found).filter(move |filter| seen.insert(filter.clone()))
}

/// A root as the start of an expression, to be followed by a `/`.
fn start(root: &AbsPath) -> String {
    if root.depth() == 0 { String::new() } else { pattern::escaped(&root.to_string()) }
}

/// Could some path be under both?
fn meets(rule: &FsRule, root: &FsRule) -> bool {
    let base = |rule: &FsRule| match &rule.matcher {
        Matcher::Path(path) => path.clone(),
        Matcher::Glob(glob) => glob.literal_base(),
        Matcher::Protected(_) => AbsPath::root(),
    };
    let (one, other) = (base(rule), base(root));
    one.is_within(&other) || other.is_within(&one)
}

/// What lies both under a permission to read and in a write root.
fn both(writer: &mut Writer, layer: Layer<'_>, rules: &Rules<'_>) -> Vec<Filter> {
    let mut found = Vec::new();
    for root in rules.write_roots().filter(|root| meets(layer.rule, root)) {
        match (&layer.rule.matcher, &root.matcher) {
            (Matcher::Path(one), Matcher::Path(other)) => {
                found.extend(spelling::all(if one.is_within(other) { one } else { other }).map(Filter::Subpath));
            }
            _ => {
                let permitted = filters(writer, layer, rules);
                let roots = filters(writer, Layer { rule: root, from: None }, rules);
                let pairs = permitted.iter().flat_map(|one| roots.iter().map(move |other| Filter::All(vec![one.clone(), other.clone()])));
                found.extend(pairs);
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
