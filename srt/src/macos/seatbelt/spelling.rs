//! Paths have two spellings where macOS puts a link at the top: `/tmp`, `/var` and `/etc` lie in `/private`.
//!
//! Seatbelt compares what a path leads to, which is below `/private`. A settings file, and the plan of another platform, say the short one. Both are written
//! for every rule, so that none of them misses.

use crate::policy::AbsPath;

const LINKED: [&str; 3] = ["tmp", "var", "etc"];

/// The other spelling of a path.
pub(super) fn other(path: &AbsPath) -> Option<AbsPath> {
    let names: Vec<_> = path.components().collect();
    let private = AbsPath::root().join("private");
    let linked = |at: usize| names.get(at).is_some_and(|name| LINKED.iter().any(|linked| name == linked));
    let rest = match names.first() {
        Some(first) if *first == "private" && linked(1) => &names[1..],
        Some(_) if linked(0) => return Some(names.iter().fold(private, |path, name| path.join(name))),
        _ => return None,
    };
    Some(rest.iter().fold(AbsPath::root(), |path, name| path.join(name)))
}

/// The path, and its other spelling where it has one.
pub(super) fn all(path: &AbsPath) -> impl Iterator<Item = AbsPath> {
    [Some(path.clone()), other(path)].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_link_at_the_top_has_two_spellings() {
        let path = |text: &str| AbsPath::new(text).unwrap();
        for (short, long) in [("/tmp", "/private/tmp"), ("/var/folders/x", "/private/var/folders/x"), ("/etc/hosts", "/private/etc/hosts")]
        {
            assert_eq!((other(&path(short)), other(&path(long))), (Some(path(long)), Some(path(short))));
        }
        for single in ["/", "/private", "/private/x", "/Users/tmp", "/tmpx"] {
            assert_eq!(other(&path(single)), None, "{single}");
        }
    }
}
