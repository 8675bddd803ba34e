//! Rules of a profile, before they are text.

use std::fmt::Write as _;

use super::text::{MAX_STRING, quoted};
use crate::policy::{AbsPath, FsRule, Origin};
use crate::violation::sanitise;
use crate::{Fault, macos::RunTag};

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// What a rule is about. Several filters of one rule are alternatives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Filter {
    /// This path.
    Literal(AbsPath),
    /// This path and everything below it.
    Subpath(AbsPath),
    /// What this expression finds; it says itself where the path starts.
    Regex(String),
    /// A directory.
    Directory,
    /// A directory or a symbolic link.
    DirectoryOrLink,
    /// A UNIX socket that the command connects to.
    RemoteSocket(Box<Filter>),
    /// A UNIX socket that the command binds.
    LocalSocket(Box<Filter>),
    /// All of these.
    All(Vec<Filter>),
    /// Words of the language.
    Words(&'static str),
    /// A word of the language and a string.
    Named(&'static str, String),
}

/// Who a rule comes from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    id: String,
    /// As written in the settings.
    spelled: String,
    origin: Origin,
}

impl Source {
    pub(super) fn new(id: &str, spelled: &str, origin: &Origin) -> Source {
        Source { id: id.to_owned(), spelled: spelled.to_owned(), origin: origin.clone() }
    }
}

impl From<&FsRule> for Source {
    fn from(rule: &FsRule) -> Source {
        Source::new(&rule.id.0, &rule.spelled, &rule.origin)
    }
}

/// One rule of a profile.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) effect: Effect,
    pub(super) operations: &'static str,
    pub(super) filters: Vec<Filter>,
    pub(super) source: Source,
}

/// The text of a profile under way, and what could not be said in it.
#[derive(Debug)]
pub(super) struct Writer {
    text: String,
    run: RunTag,
    faults: Vec<Fault>,
}

impl Writer {
    pub(super) fn new(run: RunTag) -> Writer {
        Writer { text: String::new(), run, faults: Vec::new() }
    }

    /// Lines that are the same in every profile.
    pub(super) fn lines(&mut self, lines: &str) {
        self.text.push_str(lines);
    }

    /// The headline of a section.
    pub(super) fn section(&mut self, title: &str) {
        // Writing to a String cannot fail; here and below.
        let _ = write!(self.text, "\n; {title}\n");
    }

    /// What holds where no rule says anything.
    pub(super) fn default_denial(&mut self) {
        let message = quoted(self.run.message(super::DEFAULT_RULE).as_bytes());
        let _ = writeln!(self.text, "(deny default (with message {message}))");
    }

    /// One rule. A rule about nothing is none: without a filter it would be about everything.
    pub(super) fn rule(&mut self, rule: &Rule) {
        if rule.filters.is_empty() {
            return;
        }
        let Source { id, spelled, origin } = &rule.source;
        // The only text that is not quoted: a line break in it would end the comment.
        let spelled = if spelled.is_empty() { String::new() } else { format!(" {spelled:?}") };
        let _ = writeln!(self.text, "; {}", sanitise(&format!("{id}{spelled} from {origin}")));
        let effect = if rule.effect == Effect::Allow { "allow" } else { "deny" };
        let _ = write!(self.text, "({effect} {}", rule.operations);
        for filter in &rule.filters {
            self.text.push_str("\n  ");
            self.filter(filter, &rule.source);
        }
        // Only denials are logged.
        if rule.effect == Effect::Deny {
            let _ = write!(self.text, "\n  (with message {})", quoted(self.run.message(id).as_bytes()));
        }
        self.text.push_str(")\n");
    }

    fn filter(&mut self, filter: &Filter, source: &Source) {
        match filter {
            Filter::Literal(path) => self.named("literal", path.as_bytes(), source),
            Filter::Subpath(path) => self.named("subpath", path.as_bytes(), source),
            Filter::Regex(expression) => self.named("regex", expression.as_bytes(), source),
            Filter::Directory => self.text.push_str("(vnode-type DIRECTORY)"),
            Filter::DirectoryOrLink => self.text.push_str("(require-any (vnode-type DIRECTORY) (vnode-type SYMLINK))"),
            Filter::RemoteSocket(path) => self.socket("remote", path, source),
            Filter::LocalSocket(path) => self.socket("local", path, source),
            Filter::All(filters) => {
                self.text.push_str("(require-all");
                for filter in filters {
                    self.text.push(' ');
                    self.filter(filter, source);
                }
                self.text.push(')');
            }
            Filter::Words(words) => self.text.push_str(words),
            Filter::Named(word, string) => self.named(word, string.as_bytes(), source),
        }
    }

    /// Among the filters of a socket, an expression has a name of its own.
    fn socket(&mut self, side: &str, path: &Filter, source: &Source) {
        let _ = write!(self.text, "({side} unix-socket ");
        match path {
            Filter::Regex(expression) => self.named("path-regex", expression.as_bytes(), source),
            path => self.filter(path, source),
        }
        self.text.push(')');
    }

    fn named(&mut self, word: &str, bytes: &[u8], source: &Source) {
        let string = quoted(bytes);
        if string.len() > MAX_STRING + 2 {
            self.fault(source, &format!("it takes {} bytes in a Seatbelt profile, and {MAX_STRING} is the limit", string.len() - 2));
        }
        let _ = write!(self.text, "({word} {string})");
    }

    /// A rule that cannot be written in the language.
    pub(super) fn fault(&mut self, source: &Source, cause: &str) {
        let fault = Fault::new(format!("use {:?}", source.spelled), cause).from_origin(&source.origin);
        // A rule stands in several sections.
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// The text, or all faults.
    pub(super) fn finish(self) -> Result<String, Vec<Fault>> {
        if self.faults.is_empty() { Ok(self.text) } else { Err(self.faults) }
    }
}
