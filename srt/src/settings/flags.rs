//! Options of the command line that add single rules.

use super::entry;
use super::model::{PathEntry, Settings};
use super::text::{check_plain, quoted};
use crate::Fault;
use crate::policy::{DomainList, Located, Origin};

/// What was typed, each in the order of the command line. Paths may be relative, start with `~`, and be patterns, as in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagSettings {
    /// `--allow-read`.
    pub allow_read: Vec<String>,
    /// `--deny-read`.
    pub deny_read: Vec<String>,
    /// `--allow-write`.
    pub allow_write: Vec<String>,
    /// `--deny-write`.
    pub deny_write: Vec<String>,
    /// `--allow-domain`.
    pub allow_domain: Vec<String>,
    /// `--deny-domain`.
    pub deny_domain: Vec<String>,
    /// `--accept-gap`.
    pub accept_gap: Vec<String>,
}

impl FlagSettings {
    /// The options as a layer, and what is wrong with them.
    pub(super) fn read(&self) -> (Settings, Vec<Fault>) {
        let mut settings = Settings::default();
        let mut faults = Vec::new();
        let domain = |list| move |text: &str| entry::check_domain(text, list);
        settings.filesystem.allow_read = paths("--allow-read", &self.allow_read, &mut faults);
        settings.filesystem.deny_read = paths("--deny-read", &self.deny_read, &mut faults);
        settings.filesystem.allow_write = paths("--allow-write", &self.allow_write, &mut faults);
        settings.filesystem.deny_write = paths("--deny-write", &self.deny_write, &mut faults);
        settings.network.allowed_domains = texts("--allow-domain", &self.allow_domain, domain(DomainList::Allow), &mut faults);
        settings.network.denied_domains = texts("--deny-domain", &self.deny_domain, domain(DomainList::Deny), &mut faults);
        settings.accept_gaps = texts("--accept-gap", &self.accept_gap, |_| Ok(()), &mut faults);
        (settings, faults)
    }
}

fn paths(flag: &'static str, typed: &[String], faults: &mut Vec<Fault>) -> Vec<Located<PathEntry>> {
    let texts = texts(flag, typed, |text| entry::check_path(text, false), faults);
    texts.into_iter().map(|text| Located::new(PathEntry { text: text.value, literal: false }, text.origin)).collect()
}

fn texts(
    flag: &'static str,
    typed: &[String],
    check: impl Fn(&str) -> Result<(), String>,
    faults: &mut Vec<Fault>,
) -> Vec<Located<String>> {
    let mut out = Vec::new();
    for text in typed {
        match check_plain(text).and_then(|()| check(text)) {
            Ok(()) => out.push(Located::new(text.clone(), Origin::Flag(flag))),
            Err(cause) => faults.push(Fault::new(format!("use {} in {flag}", quoted(text)), cause)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn options_become_rules_that_name_the_option() {
        let flags = FlagSettings {
            allow_read: typed(&["a"]),
            deny_read: typed(&["b"]),
            allow_write: typed(&["c"]),
            deny_write: typed(&["d/*"]),
            allow_domain: typed(&["example.com:443"]),
            deny_domain: typed(&["*"]),
            accept_gap: typed(&["landlock"]),
        };
        let (settings, faults) = flags.read();
        assert_eq!(faults, []);
        let path = |text: &str, flag| vec![Located::new(PathEntry { text: text.into(), literal: false }, Origin::Flag(flag))];
        let text = |text: &str, flag| vec![Located::new(text.to_owned(), Origin::Flag(flag))];
        assert_eq!(settings.filesystem.allow_read, path("a", "--allow-read"));
        assert_eq!(settings.filesystem.deny_read, path("b", "--deny-read"));
        assert_eq!(settings.filesystem.allow_write, path("c", "--allow-write"));
        assert_eq!(settings.filesystem.deny_write, path("d/*", "--deny-write"));
        assert_eq!(settings.network.allowed_domains, text("example.com:443", "--allow-domain"));
        assert_eq!(settings.network.denied_domains, text("*", "--deny-domain"));
        assert_eq!(settings.accept_gaps, text("landlock", "--accept-gap"));
    }

    #[test]
    fn options_are_checked_as_files_are() {
        let flags = FlagSettings {
            allow_write: typed(&["", "a\0", "x/*/", "${"]),
            allow_domain: typed(&["*", "https://example.com"]),
            accept_gap: typed(&[""]),
            ..FlagSettings::default()
        };
        let (_, faults) = flags.read();
        assert_eq!(faults.len(), 7);
        assert_eq!(faults[1].to_string(), "cannot use \"a\\u{0}\" in --allow-write: it holds the control character U+0000");
    }
}
