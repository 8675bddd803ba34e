//! A Mac, as far as settings look at one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

use srt::Faults;
use srt::host::{Facts, Platform};
use srt::macos::RunTag;
use srt::macos::seatbelt::{self, Instance};
use srt::plan::{self, Plan, Support};
use srt::policy::{self, AbsPath, FileKind, PathLookup, Policy, RealPath};
use srt::settings::{self, Settings};

/// Where its proxy listens.
pub(crate) const PROXY: u16 = 51234;
/// Its `TMPDIR`.
pub(crate) const TMP: &str = "/private/var/folders/zz/T/srt-501/0123456789abcdef";

/// A disk that holds one project in one home, and the links of macOS.
struct Disk;

const DIRECTORIES: &[&str] = &["/", "/private", "/private/tmp", "/Users", "/Users/ada", "/Users/ada/project", "/Users/ada/project/src"];
const LINKS: &[(&str, &str)] = &[("/tmp", "/private/tmp"), ("/var", "/private/var"), ("/etc", "/private/etc")];

impl PathLookup for Disk {
    fn real_path(&self, path: &AbsPath) -> io::Result<RealPath> {
        let behind = |(link, target): &(&str, &str)| {
            let (link, target) = (absolute(link), absolute(target));
            let below = path.below(&link)?.to_owned();
            Some((AbsPath::resolve(&target, &below), link))
        };
        let (path, links) = match LINKS.iter().find_map(behind) {
            Some((path, link)) => (path, vec![link]),
            None => (path.clone(), Vec::new()),
        };
        let kind = DIRECTORIES.iter().any(|directory| path == absolute(directory)).then_some(FileKind::Directory);
        Ok(RealPath { path, kind, links })
    }

    fn children(&self, directory: &AbsPath) -> io::Result<Vec<(OsString, FileKind)>> {
        let known = DIRECTORIES.iter().map(|path| absolute(path)).filter(|path| path.parent().as_ref() == Some(directory));
        Ok(known.filter_map(|path| Some((path.file_name()?.to_owned(), FileKind::Directory))).collect())
    }

    fn link_text(&self, _: &AbsPath) -> io::Result<OsString> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    fn first_bytes(&self, _: &AbsPath) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

pub(crate) fn absolute(text: &str) -> AbsPath {
    AbsPath::new(text).expect("absolute")
}

fn facts() -> Facts {
    Facts {
        uid: 501,
        gid: 20,
        home: Some(absolute("/Users/ada")),
        cwd: absolute("/Users/ada/project"),
        env: BTreeMap::new(),
        private_tmp: absolute(TMP),
        terminal: false,
        platform: Platform::MacOs,
        namespaces: true,
    }
}

/// The policy of a settings text.
pub(crate) fn policy(text: &str) -> Policy {
    let settings = settings::parse_text("settings.json", text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    policy_of(&settings)
}

/// The policy of settings.
pub(crate) fn policy_of(settings: &Settings) -> Policy {
    policy::resolve(settings, &facts(), &Disk).unwrap_or_else(|faults| panic!("{faults:?}"))
}

pub(crate) fn plan(policy: &Policy) -> Plan {
    plan::build(policy, &Support::elsewhere()).unwrap_or_else(|gaps| panic!("{gaps:?}"))
}

/// The profile of a policy, or why there is none.
pub(crate) fn try_profile(policy: &Policy) -> Result<String, Faults> {
    let instance = Instance { run: RunTag::of(0x0123_4567_89ab_cdef), proxy_port: PROXY };
    seatbelt::compile(&plan(policy), &instance)
}

/// The profile of a policy.
pub(crate) fn profile(policy: &Policy) -> String {
    try_profile(policy).unwrap_or_else(|faults| panic!("{faults}"))
}
