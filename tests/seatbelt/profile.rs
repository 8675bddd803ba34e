//! Rules from the text. Words that are not listed here are a failed test: nobody could say what they mean.

use crate::expression::{Expression, Units};
use crate::reader::{self, Node};

/// A profile.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) allows_by_default: bool,
    /// The message of the default.
    pub(crate) default_message: String,
    pub(crate) rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) allows: bool,
    pub(crate) operations: Vec<String>,
    /// Any of them does; none: about everything.
    pub(crate) filters: Vec<Filter>,
    pub(crate) message: Option<String>,
}

/// What a rule is about.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    Literal(Vec<u8>),
    Subpath(Vec<u8>),
    Regex(Expression),
    VnodeType(String),
    /// The request bears this mark.
    Extension(String),
    /// `host:port`; `*` stands for anything.
    RemoteIp(String),
    LocalIp(String),
    RemoteSocket(Box<Filter>),
    LocalSocket(Box<Filter>),
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    /// Of operations that are not about files or hosts: word and value.
    Other(String, String),
}

const OPERATIONS: &[&str] = &[
    "process-exec",
    "process-fork",
    "process-info*",
    "signal",
    "mach-priv-task-port",
    "user-preference-read",
    "mach-lookup",
    "distributed-notification-post",
    "ipc-posix-shm",
    "ipc-posix-sem",
    "iokit-open",
    "iokit-get-properties",
    "system-socket",
    "sysctl-read",
    "sysctl-write",
    "file-ioctl",
    "file-read*",
    "file-read-metadata",
    "file-write*",
    "file-write-unlink",
    "file-write-create",
    "network-outbound",
    "network-bind",
    "network-inbound",
    "appleevent-send",
    "lsopen",
    "pseudo-tty",
];

const OTHER_FILTERS: &[&str] = &[
    "target",
    "global-name",
    "global-name-prefix",
    "iokit-registry-entry-class",
    "iokit-user-client-class",
    "socket-domain",
    "socket-protocol",
    "sysctl-name",
    "sysctl-name-prefix",
];

const VNODE_TYPES: &[&str] = &["DIRECTORY", "SYMLINK"];

impl Profile {
    /// Reads a profile; its expressions go by these units.
    pub(crate) fn new(text: &str, units: Units) -> Profile {
        let nodes = reader::read(text);
        let [version, default, rules @ ..] = nodes.as_slice() else { panic!("a profile has a version and a default") };
        assert_eq!(*version, Node::List(vec![Node::Word("version".into()), Node::Word("1".into())]));
        let default = default.list();
        assert_eq!(default[1].word(), Some("default"));
        let default_message = default.get(2).and_then(message).unwrap_or_default();
        let rules = rules.iter().map(|node| rule(node.list(), units)).collect();
        Profile { allows_by_default: allows(&default[0]), default_message, rules }
    }
}

fn allows(word: &Node) -> bool {
    match word.word() {
        Some("allow") => true,
        Some("deny") => false,
        other => panic!("{other:?} is no rule"),
    }
}

fn rule(nodes: &[Node], units: Units) -> Rule {
    let (first, rest) = nodes.split_first().expect("a rule has a word");
    let words = rest.iter().take_while(|node| node.word().is_some()).count();
    let operations: Vec<String> = rest[..words].iter().filter_map(Node::word).map(str::to_owned).collect();
    assert!(!operations.is_empty(), "a rule without operations");
    for operation in &operations {
        assert!(OPERATIONS.contains(&operation.as_str()), "{operation} is not a known operation");
    }
    let told = rest.iter().find_map(message);
    let filters = rest[words..].iter().filter(|node| message(node).is_none()).map(|node| filter(node.list(), units)).collect();
    Rule { allows: allows(first), operations, filters, message: told }
}

/// `(with message "…")`.
fn message(node: &Node) -> Option<String> {
    match node {
        Node::List(nodes) => match nodes.as_slice() {
            [with, kind, text] if with.word() == Some("with") && kind.word() == Some("message") => {
                Some(String::from_utf8(text.text().to_vec()).expect("messages are text"))
            }
            _ => None,
        },
        _ => None,
    }
}

fn filter(nodes: &[Node], units: Units) -> Filter {
    let (word, rest) = nodes.split_first().expect("a filter has a word");
    let word = word.word().expect("a filter begins with a word");
    let all = |nodes: &[Node]| nodes.iter().map(|node| filter(node.list(), units)).collect::<Vec<_>>();
    match (word, rest) {
        ("require-all", inner) if !inner.is_empty() => Filter::All(all(inner)),
        ("require-any", inner) if !inner.is_empty() => Filter::Any(all(inner)),
        ("require-not", [inner]) => Filter::Not(Box::new(filter(inner.list(), units))),
        ("literal", [path]) => Filter::Literal(absolute(path)),
        ("subpath", [path]) => Filter::Subpath(absolute(path)),
        ("regex" | "path-regex", [expression]) => Filter::Regex(Expression::new(expression.text(), units)),
        ("vnode-type", [Node::Word(kind)]) if VNODE_TYPES.contains(&kind.as_str()) => Filter::VnodeType(kind.clone()),
        ("extension", [mark]) => Filter::Extension(utf8(mark)),
        ("remote", [Node::Word(kind), address]) if kind == "ip" => Filter::RemoteIp(utf8(address)),
        ("local", [Node::Word(kind), address]) if kind == "ip" => Filter::LocalIp(utf8(address)),
        ("remote", [Node::Word(kind), path]) if kind == "unix-socket" => Filter::RemoteSocket(Box::new(socket(path, units))),
        ("local", [Node::Word(kind), path]) if kind == "unix-socket" => Filter::LocalSocket(Box::new(socket(path, units))),
        (other, [value]) if OTHER_FILTERS.contains(&other) => {
            Filter::Other(other.to_owned(), value.word().map_or_else(|| utf8(value), str::to_owned))
        }
        other => panic!("{other:?} is no filter"),
    }
}

/// Among the filters of a socket an expression is a `path-regex`.
fn socket(node: &Node, units: Units) -> Filter {
    let nodes = node.list();
    assert!(matches!(nodes[0].word(), Some("subpath" | "path-regex")), "{:?} is no filter of a socket", nodes[0]);
    filter(nodes, units)
}

fn utf8(node: &Node) -> String {
    String::from_utf8(node.text().to_vec()).expect("text")
}

fn absolute(node: &Node) -> Vec<u8> {
    let path = node.text().to_vec();
    assert!(path.starts_with(b"/"), "{node:?} is no absolute path");
    path
}
