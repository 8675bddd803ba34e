//! What must stay where it is.
//!
//! A denial is about a name. Whoever may rename a directory on the way to it takes what is denied along, to a name that is not; whoever may put a directory or a link
//! there fills the denied name with something of their own. So what leads to a denied name can neither be renamed or removed nor be made.

use std::collections::BTreeSet;

use super::files::{Rules, below_roots, write};
use super::pattern::{self, Fit};
use super::rule::{Effect, Filter, Writer};
use super::{names, spelling};
use crate::policy::{AbsPath, FsEffect, FsRule, Glob, GlobPiece, Matcher};

const NEITHER_MOVED_NOR_MADE: &str = "file-write-unlink file-write-create";
const NOT_MOVED: &str = "file-write-unlink";

/// Writes the section.
pub(super) fn section(writer: &mut Writer, rules: &Rules<'_>) {
    writer.section("Keeping the way to denied names in place");
    let mut kept = BTreeSet::new();
    for rule in rules.denials() {
        let (way, guarded) = match &rule.matcher {
            Matcher::Path(path) => (ancestors(rules, path, 1), Vec::new()),
            Matcher::Glob(glob) => (ancestors(rules, &glob.literal_base(), 0), variable(rules, glob)),
            Matcher::Protected(name) => {
                let typed = |filter| Filter::All(vec![filter, Filter::DirectoryOrLink]);
                let around = below_roots(rules, |root| names::around(name, root)).map(typed).collect();
                (below_roots(rules, |root| names::leading(name, root)).collect(), around)
            }
        };
        let way = new(&mut kept, way);
        write(writer, Effect::Deny, NEITHER_MOVED_NOR_MADE, way, rule);
        // Directories of any name: to forbid making them is only right where it would fill a name that others trust.
        let operations = if rule.effect == FsEffect::DenyRead { NOT_MOVED } else { NEITHER_MOVED_NOR_MADE };
        let guarded = new(&mut kept, guarded);
        write(writer, Effect::Deny, operations, guarded, rule);
    }
    roots(writer, rules, &mut kept);
}

/// A filter is written once, with the first rule that asks for it.
fn new(kept: &mut BTreeSet<Filter>, filters: Vec<Filter>) -> Vec<Filter> {
    filters.into_iter().filter(|filter| kept.insert(filter.clone())).collect()
}

/// Directories above a denied path that could be moved at all.
fn ancestors(rules: &Rules<'_>, path: &AbsPath, skipped: usize) -> Vec<Filter> {
    let above = path.ancestors().skip(skipped).filter(|above| above.depth() > 0 && rules.is_writable(above));
    above.flat_map(|above| spelling::all(&above).collect::<Vec<_>>()).map(Filter::Literal).collect()
}

/// Directories that a pattern speaks of by a part with wildcards.
fn variable(rules: &Rules<'_>, glob: &Glob) -> Vec<Filter> {
    let typed = |expression: String| Filter::All(vec![Filter::Regex(expression), Filter::DirectoryOrLink]);
    let pieces: Vec<GlobPiece<'_>> = glob.pieces().collect();
    let fixed = pieces.iter().take_while(|piece| matches!(piece, GlobPiece::Literal(_))).count();
    let starts_at = |at: usize| pieces[at] == GlobPiece::Directories && pieces[at - 1] == GlobPiece::Literal('/');
    // `/a**/b` and the like do not say where a name ends. In `/a/*/**/b`, `**` depends on the place where it begins.
    let vague = (fixed..pieces.len()).any(|at| pattern::is_variable(&pieces[at]) && !(at == fixed && starts_at(at)));
    // Of `/a/**/b`, names below `/a` can be moved among themselves, but not out of it; where they could be, they are kept. Other write roots have a denial of
    // their own: `FsPolicy::with_moved_patterns`.
    let base = glob.literal_base();
    let leaves = || rules.directories().any(|root| around(root).is_some_and(|root| base.is_strictly_within(&root)));
    if vague || (pieces.get(fixed) == Some(&GlobPiece::Directories) && leaves()) {
        let below = |base: AbsPath| typed(format!("^{}/.", pattern::escaped(base.to_string().trim_end_matches('/'))));
        return spelling::all(&base).map(below).collect();
    }
    pattern::directories(glob, Fit::Wide).into_iter().map(|body| typed(format!("^{body}$"))).collect()
}

/// The directory that a permission to write opens.
fn around(root: &FsRule) -> Option<AbsPath> {
    match &root.matcher {
        Matcher::Path(path) => Some(path.clone()),
        Matcher::Glob(glob) => Some(glob.literal_base()),
        Matcher::Protected(_) => None,
    }
}

/// A write root that is a directory stays too: everything that is denied in it is denied by its name.
fn roots(writer: &mut Writer, rules: &Rules<'_>, kept: &mut BTreeSet<Filter>) {
    let named = |rule: &FsRule| rule.path().filter(|path| path.depth() > 0 && rules.is_writable(path)).cloned();
    for (rule, path) in rules.directories().filter_map(|rule| Some((rule, named(rule)?))) {
        let unkept = spelling::all(&path).filter(|path| !kept.contains(&Filter::Literal(path.clone())));
        let filters: Vec<Filter> = unkept.map(|path| Filter::All(vec![Filter::Literal(path), Filter::Directory])).collect();
        let filters = new(kept, filters);
        write(writer, Effect::Deny, NOT_MOVED, filters, rule);
    }
}
