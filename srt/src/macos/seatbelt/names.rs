//! Protected names as regular expressions.
//!
//! A row names components at any depth below a write root, some of which may be the root's own: with the root `/w/.git`, `hooks` in it is protected. So the row is
//! read as an automaton over components, run over the root, and what is left of it becomes the expression. Each function gives what follows the root and a `/`.

use crate::policy::{AbsPath, ProtectedName};

use super::pattern::any_case;

/// One step over the components of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Any components, also none.
    Any,
    /// One component.
    One,
    /// This component, in any letter case.
    Name(&'static str),
}

fn steps(row: &ProtectedName) -> Vec<Step> {
    let names = |names: &'static [&'static str]| names.iter().map(|name| Step::Name(name));
    let mut steps = vec![Step::Any];
    if !row.below.is_empty() {
        steps.extend(names(row.below).chain([Step::One, Step::Any]));
    }
    steps.extend(names(row.components));
    steps
}

/// The places in `steps` from which what lies below `root` is read.
fn places(steps: &[Step], root: &AbsPath) -> Vec<usize> {
    let mut alive = vec![false; steps.len()];
    alive[0] = true;
    skip(steps, &mut alive);
    for component in root.components() {
        let mut next = vec![false; steps.len()];
        for at in (0..steps.len()).filter(|at| alive[*at]) {
            let (stays, moves) = match steps[at] {
                Step::Any => (true, false),
                Step::One => (false, true),
                Step::Name(name) => (false, component.eq_ignore_ascii_case(name)),
            };
            next[at] |= stays;
            // Behind the last step lies the protected object itself; a root that is one was meant.
            if moves && at + 1 < steps.len() {
                next[at + 1] = true;
            }
        }
        alive = next;
        skip(steps, &mut alive);
    }
    (0..steps.len()).filter(|at| alive[*at]).collect()
}

fn skip(steps: &[Step], alive: &mut [bool]) {
    for at in 0..steps.len() {
        if alive[at] && steps[at] == Step::Any && at + 1 < steps.len() {
            alive[at + 1] = true;
        }
    }
}

/// Does a step before it read the same and more?
fn is_covered(steps: &[Step], places: &[usize], place: usize) -> bool {
    place > 0 && steps[place - 1] == Step::Any && places.contains(&(place - 1))
}

/// The steps as an expression that ends at the last component.
fn expression(steps: &[Step]) -> String {
    let mut out = String::new();
    for (at, step) in steps.iter().enumerate() {
        let end = if at + 1 == steps.len() { "" } else { "/" };
        match step {
            Step::Any => out.push_str("(.*/)?"),
            Step::One => out.extend(["[^/]+", end]),
            Step::Name(name) => out.extend([any_case(name).as_str(), end]),
        }
    }
    out
}

/// Everything that the row protects strictly below `root`, and what lies in it.
pub(super) fn protected(row: &ProtectedName, root: &AbsPath) -> Vec<String> {
    let steps = steps(row);
    let places = places(&steps, root);
    let begins = places.iter().filter(|place| !is_covered(&steps, &places, **place));
    begins.map(|place| expression(&steps[*place..]) + "(/|$)").collect()
}

/// The directories below `root` that a protected name leads through by a name of theirs: whoever may move one takes along what it holds.
pub(super) fn leading(row: &ProtectedName, root: &AbsPath) -> Vec<String> {
    let steps = steps(row);
    let places = places(&steps, root);
    let named = |end: &usize| matches!(steps[*end], Step::Name(_));
    let ends = (0..steps.len() - 1).filter(named);
    let both = ends.flat_map(|end| places.iter().map(move |place| (*place, end))).filter(|(place, end)| place <= end);
    let mut found: Vec<String> =
        both.filter(|(place, _)| !is_covered(&steps, &places, *place)).map(|(place, end)| expression(&steps[place..=end]) + "$").collect();
    found.sort();
    found.dedup();
    found
}

/// The directories below `root` in which names at any depth are protected because of where they are: not one of them may leave, or be put there.
pub(super) fn around(row: &ProtectedName, root: &AbsPath) -> Vec<String> {
    if row.below.is_empty() {
        return Vec::new();
    }
    let steps = steps(row);
    let places = places(&steps, root);
    let inside = row.below.len() + 1;
    if places.iter().any(|place| *place >= inside) {
        return vec![".*".to_owned()];
    }
    let begins = places.iter().filter(|place| !is_covered(&steps, &places, **place));
    begins.map(|place| expression(&steps[*place..inside]) + "/.*").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PROTECTED_NAMES;

    fn row(name: &str) -> &'static ProtectedName {
        PROTECTED_NAMES.iter().find(|row| row.name == name).unwrap()
    }

    fn path(text: &str) -> AbsPath {
        AbsPath::new(text).unwrap()
    }

    #[test]
    fn names_hold_at_any_depth_and_in_any_case() {
        assert_eq!(protected(row(".mcp.json"), &path("/w")), [r"(.*/)?\.[mM][cC][pP]\.[jJ][sS][oO][nN](/|$)"]);
        assert_eq!(protected(row(".idea"), &path("/")), [r"(.*/)?\.[iI][dD][eE][aA](/|$)"]);
    }

    #[test]
    fn a_root_may_be_the_beginning_of_a_name() {
        let (git, hooks) = (r"\.[gG][iI][tT]", "[hH][oO][oO][kK][sS]");
        assert_eq!(protected(row(".git/hooks"), &path("/w/.git")), [format!("(.*/)?{git}/{hooks}(/|$)"), format!("{hooks}(/|$)")]);
        assert_eq!(protected(row(".vscode"), &path("/w/.vscode")).len(), 1);
    }

    #[test]
    fn the_way_to_a_name_is_held_and_so_is_what_lies_around_names_of_any_depth() {
        assert_eq!(leading(row(".git/hooks"), &path("/w")), [r"(.*/)?\.[gG][iI][tT]$"]);
        assert_eq!(leading(row(".bashrc"), &path("/w")), [""; 0]);
        assert_eq!(leading(row(".git/modules/*/config"), &path("/w")).len(), 2);
        assert_eq!(around(row(".git/modules/*/config"), &path("/w/.git/modules/a")), [".*"]);
    }
}
