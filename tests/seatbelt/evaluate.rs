//! What a profile says of a request.
//!
//! Within one operation the last rule that matches decides. Where none does, its family is asked (`file-write-unlink`, then `file-write*`, then `file*`), at last the
//! default. So a rule on the operation itself stands above every rule on its family, whatever comes first.

use crate::profile::{Filter, Profile, Rule};

/// Something that a process asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request<'a> {
    pub(crate) operation: &'a str,
    pub(crate) path: Option<&'a [u8]>,
    /// `DIRECTORY`, `SYMLINK`, `REGULAR-FILE`.
    pub(crate) vnode: &'a str,
    pub(crate) extension: Option<&'a str>,
    /// Address and port.
    pub(crate) remote: Option<(&'a str, u16)>,
    pub(crate) local: Option<(&'a str, u16)>,
    /// Word and value of any other filter.
    pub(crate) other: Option<(&'a str, &'a str)>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) message: String,
}

impl Profile {
    /// What it says of a request.
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        for operation in families(request.operation) {
            let about = |rule: &&Rule| rule.operations.contains(&operation) && rule.matches(request);
            if let Some(rule) = self.rules.iter().rev().find(about) {
                return Answer { allowed: rule.allows, message: rule.message.clone().unwrap_or_default() };
            }
        }
        Answer { allowed: self.allows_by_default, message: self.default_message.clone() }
    }

    /// May this be done to a regular file?
    pub(crate) fn may(&self, operation: &str, path: &[u8]) -> bool {
        self.may_as(operation, path, "REGULAR-FILE")
    }

    /// May this be done to such an object?
    pub(crate) fn may_as(&self, operation: &str, path: &[u8], vnode: &str) -> bool {
        self.answer(&Request { operation, path: Some(path), vnode, ..Request::default() }).allowed
    }
}

/// The operation, then its families, from the smallest.
fn families(operation: &str) -> Vec<String> {
    let mut families = vec![operation.to_owned()];
    let mut rest = operation.trim_end_matches('*');
    while let Some((shorter, _)) = rest.rsplit_once('-') {
        families.push(format!("{shorter}*"));
        rest = shorter;
    }
    families
}

impl Rule {
    fn matches(&self, request: &Request<'_>) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(request))
    }
}

impl Filter {
    fn matches(&self, request: &Request<'_>) -> bool {
        let path = |check: &dyn Fn(&[u8]) -> bool| request.path.is_some_and(check);
        match self {
            Filter::Literal(wanted) => path(&|path| path == wanted),
            Filter::Subpath(root) => path(&|path| is_below(path, root)),
            Filter::Regex(expression) => path(&|path| expression.finds(path)),
            Filter::VnodeType(kind) => request.vnode == kind,
            Filter::Extension(mark) => request.extension == Some(mark),
            Filter::RemoteIp(pattern) => request.remote.is_some_and(|(host, port)| is_address(pattern, host, port)),
            Filter::LocalIp(pattern) => request.local.is_some_and(|(host, port)| is_address(pattern, host, port)),
            Filter::RemoteSocket(inner) => request.operation == "network-outbound" && inner.matches(request),
            Filter::LocalSocket(inner) => request.operation == "network-bind" && inner.matches(request),
            Filter::All(filters) => filters.iter().all(|filter| filter.matches(request)),
            Filter::Any(filters) => filters.iter().any(|filter| filter.matches(request)),
            Filter::Not(filter) => !filter.matches(request),
            Filter::Other(word, wanted) => request.other.is_some_and(|(asked, value)| {
                let prefix = word.strip_suffix("-prefix");
                prefix.map_or(asked == word && value == wanted, |word| asked == word && value.starts_with(wanted))
            }),
        }
    }
}

fn is_below(path: &[u8], root: &[u8]) -> bool {
    root == b"/" || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// `localhost:80`, `*:*`. `localhost` is the loopback of either family, and no mapped address.
fn is_address(pattern: &str, host: &str, port: u16) -> bool {
    let (wanted_host, wanted_port) = pattern.rsplit_once(':').expect("an address has a port");
    let same_host = match wanted_host {
        "*" => true,
        "localhost" => host == "::1" || host.starts_with("127."),
        other => panic!("{other} is no host of a profile"),
    };
    same_host && (wanted_port == "*" || wanted_port == port.to_string())
}
