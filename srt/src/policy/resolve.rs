//! Settings and facts to rules.
//!
//! Entries become absolute, links in them are resolved, patterns are compiled, and every object that exists of what they name goes into the
//! [`Inventory`]. The only effect is asking [`PathLookup`]; nothing is opened for writing and nothing is made.

use std::io;

use super::entry::{Entry, EntryError};
use super::fs::{FsEffect, FsPolicy, FsRule, Matcher};
use super::inventory::Inventory;
use super::lookup::{PathLookup, Remembered};
use super::net::NetPolicy;
use super::protected::{PROTECTED_NAMES, ProtectedName};
use super::{AbsPath, Grant, Located, Origin, ParentProxy, RuleId, glob_walk, grant, names, planted, scan};
use crate::Fault;
use crate::host::{Facts, Platform};
use crate::settings::{PathEntry, Settings};

/// Everything that was decided about a run before the platform is looked at.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Rules on files.
    pub files: FsPolicy,
    /// What exists of what they name.
    pub inventory: Inventory,
    /// Rules on hosts, ports and sockets.
    pub network: NetPolicy,
    /// `allowUnixSockets`.
    pub unix_sockets: Vec<SocketRule>,
    /// The system whose rules hold.
    pub platform: Platform,
    /// Services of the system that may be used.
    pub grants: Vec<Located<Grant>>,
    /// `TMPDIR` of the run.
    pub private_tmp: AbsPath,
    /// Variables that the command does not get.
    pub deny_env: Vec<Located<String>>,
    /// `git.safeDirectories`.
    pub git_safe_directories: Vec<Located<String>>,
    /// Names of accepted gaps.
    pub accept_gaps: Vec<Located<String>>,
    /// `enableWeakerNestedSandbox`.
    pub weaker_nested: bool,
    /// What srt itself keeps of runs: the real path, where there can be one.
    pub state: Option<AbsPath>,
    /// `violations.reads`: denied reads are reported too.
    pub report_reads: bool,
    /// `ignoreViolations`.
    pub ignore_violations: Vec<Located<(String, Vec<String>)>>,
}

/// One entry of `allowUnixSockets`.
#[derive(Clone, Debug)]
pub struct SocketRule {
    /// Which paths; a directory stands for everything below it.
    pub matcher: Matcher,
    /// Where it was written.
    pub origin: Origin,
}

/// Default write paths of the npm program below the home directory, where they exist.
const DEFAULT_HOME_WRITES: &[&str] = &[".npm/_logs", ".claude/debug"];
/// As in the npm program.
const DEFAULT_SEARCH_DEPTH: u8 = 3;

/// Builds the policy.
///
/// # Errors
/// Every entry that cannot mean anything on this host: a loop of links, an unknown variable, an unknown name in `unprotect`.
pub fn resolve(settings: &Settings, facts: &Facts, lookup: &dyn PathLookup) -> Result<Policy, Vec<Fault>> {
    let mut faults = Vec::new();
    let network = network(settings, facts).map_err(|mut more| faults.append(&mut more)).ok();
    let lookup = &Remembered::new(lookup);
    let mut rules = Rules { facts, lookup, rules: Vec::new(), faults, inventory: Inventory::default() };
    rules.add_private();
    rules.add_state();
    rules.add_lists(settings);
    rules.add_protected(settings);
    rules.add_settings_files(settings);
    let disabled = settings.filesystem.disabled.as_ref().is_some_and(|value| value.value);
    let depth = settings.mandatory_deny_search_depth.as_ref().map_or(DEFAULT_SEARCH_DEPTH, |value| value.value);
    let unix_sockets = rules.unix_sockets(&settings.network.allow_unix_sockets);
    let (files, inventory) = rules.finish(disabled, depth)?;
    let state = files.rules().iter().find(|rule| rule.id.0 == STATE_RULE).and_then(FsRule::path).cloned();
    Ok(Policy {
        files,
        inventory,
        network: network.ok_or_else(Vec::new)?,
        unix_sockets,
        platform: facts.platform,
        grants: grant::grants(settings),
        private_tmp: facts.private_tmp.clone(),
        deny_env: settings.credentials.deny_env.clone(),
        git_safe_directories: settings.git_safe_directories.clone(),
        accept_gaps: settings.accept_gaps.clone(),
        weaker_nested: settings.enable_weaker_nested_sandbox.as_ref().is_some_and(|value| value.value),
        state,
        report_reads: settings.report_reads.as_ref().is_some_and(|value| value.value),
        ignore_violations: settings.ignore_violations.clone(),
    })
}

/// The network table, with what it takes from the caller's environment.
fn network(settings: &Settings, facts: &Facts) -> Result<NetPolicy, Vec<Fault>> {
    let mut policy = NetPolicy::build(&settings.network)?;
    if policy.parent.is_none() && settings.network.parent_proxy.is_none() {
        policy.parent = environment_parent(facts)?;
    }
    if let Some(mitm) = &mut policy.mitm {
        let entry = PathEntry { text: mitm.socket_path.clone(), literal: true };
        let expanded = Entry::expand(&entry, facts).map_err(|error| vec![Fault::new("use network.mitmProxy.socketPath", error)])?;
        mitm.socket_path = expanded.path.to_string();
    }
    Ok(policy)
}

/// The proxy that the caller itself must use, in either spelling of the variables; lower case wins, as in curl.
fn environment_parent(facts: &Facts) -> Result<Option<ParentProxy>, Vec<Fault>> {
    let text = |names: [&str; 2]| names.iter().find_map(|name| facts.var(name)).map(|value| value.to_string_lossy().into_owned());
    let (http, https) = (text(["http_proxy", "HTTP_PROXY"]), text(["https_proxy", "HTTPS_PROXY"]));
    let no_proxy = text(["no_proxy", "NO_PROXY"]);
    ParentProxy::from_environment(http.as_deref(), https.as_deref(), no_proxy.as_deref()).map_err(|causes| {
        let fault = |cause| Fault::new("use the proxy that the environment names", cause).from_origin(&Origin::Environment("HTTPS_PROXY"));
        causes.into_iter().map(fault).collect()
    })
}

/// A path list of the settings.
#[derive(Clone, Copy)]
struct List {
    key: &'static str,
    id: &'static str,
    effect: FsEffect,
    absolute: bool,
}

const DENY_READ: List = List { key: "denyRead", id: "fs.deny-read", effect: FsEffect::DenyRead, absolute: false };
const ALLOW_READ: List = List { key: "allowRead", id: "fs.allow-read", effect: FsEffect::AllowRead, absolute: false };
const ALLOW_WRITE: List = List { key: "allowWrite", id: "fs.allow-write", effect: FsEffect::AllowWrite, absolute: false };
const DENY_WRITE: List = List { key: "denyWrite", id: "fs.deny-write", effect: FsEffect::DenyWrite, absolute: false };
const CREDENTIAL: List = List { key: "credentials.files", id: "fs.credential", effect: FsEffect::DenyRead, absolute: true };

/// The rule on the directory of [`Facts::state_directory`].
const STATE_RULE: &str = "fs.state";

struct Rules<'a> {
    facts: &'a Facts,
    lookup: &'a dyn PathLookup,
    rules: Vec<FsRule>,
    faults: Vec<Fault>,
    inventory: Inventory,
}

impl Rules<'_> {
    /// What every run gets, whatever the settings say: its own `TMPDIR`, `/dev` and `/proc`, and no view of other runs' directories.
    fn add_private(&mut self) {
        let own = self.facts.private_tmp.clone();
        let runs = own.parent().unwrap_or_else(AbsPath::root);
        let usual_runs = AbsPath::root().join("tmp").join(format!("srt-{}", self.facts.uid));
        for (id, effect, path, why) in [
            ("fs.runs", FsEffect::DenyRead, runs, "rule: directories of other runs"),
            ("fs.other-runs", FsEffect::DenyRead, usual_runs, "rule: directories of other runs"),
            ("fs.tmp", FsEffect::AllowRead, own.clone(), "rule: private TMPDIR"),
            ("fs.tmp", FsEffect::AllowWrite, own, "rule: private TMPDIR"),
        ] {
            self.add_built_in(id, effect, path, why);
        }
        match self.facts.platform {
            Platform::Linux if self.facts.namespaces => self.add_private_trees(),
            Platform::Linux => self.add_shared_trees(),
            Platform::MacOs => self.add_shared_devices(MACOS_DEVICES),
        }
    }

    fn add_private_trees(&mut self) {
        for (id, effect, name, why) in [
            ("fs.dev", FsEffect::AllowWrite, "dev", "rule: private /dev"),
            ("fs.proc", FsEffect::AllowWrite, "proc", "rule: own /proc"),
            ("fs.sys", FsEffect::DenyWrite, "sys", "rule: switches of the kernel"),
        ] {
            self.add_built_in(id, effect, AbsPath::root().join(name), why);
        }
    }

    /// The host's `/dev`, `/proc` and `/sys`: nothing of them is written, and of the devices, which file modes may open to this user, only those are read that every program uses.
    fn add_shared_trees(&mut self) {
        for (id, effect, name, why) in [
            ("fs.dev", FsEffect::DenyRead, "dev", "rule: devices of the host"),
            ("fs.host-proc", FsEffect::DenyWrite, "proc", "rule: the host's /proc"),
            ("fs.sys", FsEffect::DenyWrite, "sys", "rule: switches of the kernel"),
        ] {
            self.add_built_in(id, effect, AbsPath::root().join(name), why);
        }
        self.add_shared_devices(LINUX_DEVICES);
        for name in LINUX_DEVICES.iter().chain(DEVICE_LINKS) {
            let path = AbsPath::root().join("dev").join(name);
            self.add_built_in("fs.dev", FsEffect::AllowRead, path, "rule: devices that every program uses");
        }
    }

    /// The caller's own `/dev`: only what keeps nothing and leads to no device.
    fn add_shared_devices(&mut self, names: &[&str]) {
        let devices = AbsPath::root().join("dev");
        for name in names {
            self.add_built_in("fs.dev", FsEffect::AllowWrite, devices.join(name), "rule: devices that every program uses");
        }
    }

    fn add_built_in(&mut self, id: &str, effect: FsEffect, path: AbsPath, why: &'static str) {
        self.rules.push(FsRule {
            id: RuleId(id.to_owned()),
            effect,
            spelled: path.to_string(),
            lexical: None,
            matcher: Matcher::Path(path),
            absolute: false,
            create: matches!(id, "fs.runs" | "fs.tmp"),
            origin: Origin::BuiltIn(why),
        });
    }

    /// What srt keeps of runs is for the user alone: whoever could write it could lie about what other runs did. No `allowRead` lifts this.
    fn add_state(&mut self) {
        let Some(named) = self.facts.state_directory() else { return };
        // A way that cannot be resolved is no way for the command either, and srt itself follows no link on it.
        let path = self.lookup.real_path(&named).map_or_else(|_| named.clone(), |found| found.path);
        let state = List { key: "", id: STATE_RULE, effect: FsEffect::DenyRead, absolute: true };
        let rule = self.rule(state, 0, &named.to_string(), &Origin::BuiltIn("rule: what srt keeps of runs"));
        self.rules.push(FsRule { id: RuleId(STATE_RULE.to_owned()), matcher: Matcher::Path(path), ..rule });
    }

    fn add_lists(&mut self, settings: &Settings) {
        let files = &settings.filesystem;
        for (list, entries) in [
            (DENY_READ, &files.deny_read),
            (ALLOW_READ, &files.allow_read),
            (ALLOW_WRITE, &files.allow_write),
            (DENY_WRITE, &files.deny_write),
        ] {
            for (index, entry) in entries.iter().enumerate() {
                self.add_entry(list, index, entry);
            }
        }
        for (index, file) in settings.credentials.deny_files.iter().enumerate() {
            let entry = PathEntry { text: file.value.clone(), literal: true };
            self.add_entry(CREDENTIAL, index, &Located::new(entry, file.origin.clone()));
        }
        self.add_default_home_writes();
    }

    /// Each entry by its real path, and by its own name, which may become a link later.
    fn unix_sockets(&mut self, entries: &[Located<PathEntry>]) -> Vec<SocketRule> {
        let mut rules = Vec::new();
        for entry in entries {
            let found = Entry::expand(&entry.value, self.facts).map_err(EntryFault::Entry).and_then(|expanded| {
                let glob = expanded.pattern.as_ref().map(|pattern| pattern.compile(self.lookup)).transpose().map_err(EntryFault::Lookup)?;
                let real = self.lookup.real_path(&expanded.path).map_err(EntryFault::Lookup)?.path;
                Ok(glob.map_or(Matcher::Path(real), Matcher::Glob))
            });
            match found {
                Ok(matcher) => rules.push(SocketRule { matcher, origin: entry.origin.clone() }),
                Err(error) => self.faults.push(error.into_fault("network.allowUnixSockets", entry)),
            }
        }
        rules
    }

    fn add_default_home_writes(&mut self) {
        let Some(home) = self.facts.home.clone() else { return };
        for (index, below) in DEFAULT_HOME_WRITES.iter().enumerate() {
            let path = AbsPath::resolve(&home, below.as_ref());
            if self.lookup.real_path(&path).is_ok_and(|found| found.kind.is_some() && found.path == path) {
                let rule =
                    self.rule(List { id: "fs.default-write-path", ..ALLOW_WRITE }, index, below, &Origin::BuiltIn("default write path"));
                self.rules.push(FsRule { matcher: Matcher::Path(path), ..rule });
            }
        }
    }

    fn add_entry(&mut self, list: List, index: usize, entry: &Located<PathEntry>) {
        match Entry::expand(&entry.value, self.facts)
            .map_err(EntryFault::Entry)
            .and_then(|expanded| self.rules_of(list, index, entry, &expanded))
        {
            Ok(rules) => self.rules.extend(rules),
            Err(error) => self.faults.push(error.into_fault(list.key, entry)),
        }
    }

    fn rules_of(&self, list: List, index: usize, entry: &Located<PathEntry>, expanded: &Entry) -> Result<Vec<FsRule>, EntryFault> {
        let template = self.rule(list, index, &entry.value.text, &entry.origin);
        let mut rules = Vec::new();
        let literal = &expanded.path;
        let found = self.lookup.real_path(literal).map_err(EntryFault::Lookup);
        if let Some(pattern) = &expanded.pattern {
            let glob = pattern.compile(self.lookup).map_err(EntryFault::Lookup)?;
            rules.push(FsRule { matcher: Matcher::Glob(glob), lexical: Some(pattern.base().clone()), ..template.clone() });
            // The characters may also be meant as they are, where something of that very name exists.
            if !found.as_ref().is_ok_and(|found| found.kind.is_some()) {
                return Ok(rules);
            }
        }
        let found = found?;
        if self.facts.platform == Platform::Linux {
            check_private_area(list, &found.path, self.facts.namespaces)?;
        }
        let create = expanded.directory && expanded.pattern.is_none() && list.effect == FsEffect::AllowWrite;
        // What a denied name leads through must not be led elsewhere.
        if list.effect == FsEffect::DenyWrite {
            rules.extend(found.links.iter().map(|link| FsRule { matcher: Matcher::Path(link.clone()), lexical: None, ..template.clone() }));
        }
        rules.push(FsRule { matcher: Matcher::Path(found.path), lexical: Some(literal.clone()), create, ..template });
        Ok(rules)
    }

    fn rule(&self, list: List, index: usize, spelled: &str, origin: &Origin) -> FsRule {
        FsRule {
            id: RuleId(format!("{}.{index}", list.id)),
            effect: list.effect,
            matcher: Matcher::Path(AbsPath::root()),
            spelled: spelled.to_owned(),
            lexical: None,
            absolute: list.absolute,
            create: false,
            origin: origin.clone(),
        }
    }

    fn add_protected(&mut self, settings: &Settings) {
        let lifted = |name: &ProtectedName| {
            settings.unprotect.iter().any(|entry| entry.value == name.name)
                || (name.name == ".git/config" && settings.filesystem.allow_git_config.as_ref().is_some_and(|value| value.value))
        };
        for entry in &settings.unprotect {
            if !PROTECTED_NAMES.iter().any(|name| name.name == entry.value) {
                self.faults.push(unknown_protected(entry));
            }
        }
        for name in PROTECTED_NAMES.iter().filter(|name| !lifted(name)) {
            let rule = self.rule(DENY_WRITE, 0, name.name, &Origin::BuiltIn("rule: protected names"));
            self.rules.push(FsRule { id: RuleId(format!("fs.protected:{}", name.name)), matcher: Matcher::Protected(name), ..rule });
        }
    }

    /// Whoever may write the settings writes the next run's policy.
    fn add_settings_files(&mut self, settings: &Settings) {
        for file in &settings.read_from {
            let named = AbsPath::resolve(&self.facts.cwd, file);
            let Ok(found) = self.lookup.real_path(&named) else { continue };
            let rule = self.rule(DENY_WRITE, 0, &named.to_string(), &Origin::BuiltIn("rule: srt's own settings files"));
            self.rules.push(FsRule {
                id: RuleId("fs.settings".to_owned()),
                matcher: Matcher::Path(found.path),
                lexical: Some(named),
                ..rule
            });
        }
    }

    /// Takes the inventory, which may add rules: what a pattern matched behind a link, directories that cannot be listed, git directories.
    fn finish(mut self, disabled: bool, depth: u8) -> Result<(FsPolicy, Inventory), Vec<Fault>> {
        if disabled {
            self.open_everything();
        }
        self.expand_globs();
        let policy = FsPolicy::new(self.rules.clone());
        let found = scan::survey(&policy, self.lookup, depth);
        self.rules.extend(scan::git_directories(&found, self.lookup));
        let mut policy = FsPolicy::new(self.rules);
        if self.facts.platform == Platform::MacOs {
            policy = policy.with_moved_patterns();
        }
        self.faults.extend(planted::links(&policy, self.lookup));
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        self.inventory.to_make = names::to_make(&policy, self.lookup);
        self.inventory.points = scan::points(&policy, self.lookup, found, self.facts.namespaces);
        self.inventory.listings = scan::listings(&policy, &self.inventory.points, self.lookup);
        self.inventory.by_name_only = names::by_name_only(&policy, self.lookup);
        Ok((policy, self.inventory))
    }

    /// `filesystem.disabled`: no rule holds but those of the run itself and of credential files.
    fn open_everything(&mut self) {
        self.rules.retain(|rule| rule.absolute);
        self.add_private();
        let rule = self.rule(List { id: "fs.disabled", ..ALLOW_WRITE }, 0, "/", &Origin::BuiltIn("rule: filesystem.disabled"));
        self.rules.push(rule);
    }

    fn expand_globs(&mut self) {
        let mut more = Vec::new();
        for rule in &self.rules {
            if let Matcher::Glob(glob) = &rule.matcher {
                match glob_walk::expand(glob, rule.effect, self.lookup) {
                    Ok(paths) => more.extend(paths.into_iter().map(|path| FsRule { matcher: Matcher::Path(path), ..rule.clone() })),
                    Err(error) => {
                        self.faults.push(Fault::new(format!("expand {:?}", rule.spelled), error).from_origin(&rule.origin));
                    }
                }
            }
        }
        self.rules.extend(more);
    }
}

/// Devices of Linux that keep nothing, the caller's own terminal, and the maker of new ones.
const LINUX_DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty", "ptmx"];

/// Links below `/dev` to the caller's own descriptors.
const DEVICE_LINKS: &[&str] = &["fd", "stdin", "stdout", "stderr"];

/// Names below `/dev` of macOS that may be written: null and its like, the caller's own descriptors and terminal, and two that the system's libraries open.
const MACOS_DEVICES: &[&str] = &["null", "zero", "random", "urandom", "tty", "stdout", "stderr", "fd", "dtracehelper", "autofs_nowait"];

/// Names below `/dev` that every run has.
const DEVICE_NAMES: &[&str] =
    &["null", "zero", "full", "random", "urandom", "tty", "stdin", "stdout", "stderr", "fd", "pts", "ptmx", "shm", "console"];

/// `/dev` and `/proc` are made new for each run: an entry on them would be without effect, so it is refused unless it asks for what is there anyway.
///
/// Without namespaces they are the host's, and no entry opens either as a whole.
fn check_private_area(list: List, path: &AbsPath, namespaces: bool) -> Result<(), EntryFault> {
    let area = ["dev", "proc"].into_iter().find(|name| path.is_within(&AbsPath::root().join(name)));
    let Some(area) = area else { return Ok(()) };
    let below: Vec<_> = path.components().skip(1).collect();
    if !namespaces {
        let opens_all = matches!(list.effect, FsEffect::AllowRead | FsEffect::AllowWrite) && below.is_empty();
        return if opens_all { Err(EntryFault::SharedArea(area)) } else { Ok(()) };
    }
    let granted_anyway = match list.effect {
        FsEffect::AllowRead => true,
        FsEffect::AllowWrite => area == "dev" && below.first().is_none_or(|name| DEVICE_NAMES.iter().any(|device| name == device)),
        FsEffect::DenyRead | FsEffect::DenyWrite => false,
    };
    // The npm program's own default list names two devices of macOS.
    let of_another_platform = below.first().is_some_and(|name| ["dtracehelper", "autofs_nowait"].iter().any(|device| name == device));
    if granted_anyway || of_another_platform { Ok(()) } else { Err(EntryFault::PrivateArea(area)) }
}

enum EntryFault {
    Entry(EntryError),
    Lookup(io::Error),
    PrivateArea(&'static str),
    SharedArea(&'static str),
}

impl EntryFault {
    fn into_fault(self, key: &str, entry: &Located<PathEntry>) -> Fault {
        let action = format!("use {:?} in {key}", entry.value.text);
        let fault = match self {
            EntryFault::Entry(error) => Fault::new(action, error),
            EntryFault::Lookup(error) => Fault::os(action, error),
            EntryFault::PrivateArea(area) => {
                Fault::new(action, format_args!("/{area} is made new for each run, with nothing of the host's in it"))
            }
            EntryFault::SharedArea(area) => {
                Fault::new(action, format_args!("without namespaces /{area} is the host's, and is not opened as a whole"))
            }
        };
        fault.from_origin(&entry.origin)
    }
}

fn unknown_protected(entry: &Located<String>) -> Fault {
    let nearest = PROTECTED_NAMES.iter().min_by_key(|name| strsim::levenshtein(name.name, &entry.value));
    let fault = Fault::new(format!("lift {:?}", entry.value), "no protected name is called so").from_origin(&entry.origin);
    match nearest {
        Some(name) => fault.hint(format!("did you mean {:?}?", name.name)),
        None => fault,
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
