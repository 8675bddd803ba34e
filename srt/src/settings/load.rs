//! The only reader of settings: gathers the layers.
//!
//! A file that was named and cannot be used is never replaced by defaults, which would drop its rules.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Document, Name};
use super::field::Field;
use super::flags::FlagSettings;
use super::keys::Table;
use super::model::Settings;
use super::preset::{preset_names, preset_text};
use super::read::{self, Unread};
use super::text::{quoted, shown};
use crate::policy::{AbsPath, Located, Origin};
use crate::{Fault, Faults};

/// Name of the file in the home directory that is read where none is named.
pub const HOME_FILE: &str = ".srt-settings.json";

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The caller's home directory, where one is known.
    pub home: Option<AbsPath>,
    /// `--settings`, as typed; a relative path is taken from the working directory of the process.
    pub file: Option<PathBuf>,
    /// `--profile`, in order.
    pub profiles: Vec<String>,
    /// Options that add single rules.
    pub flags: FlagSettings,
}

/// What each source says, lowest first: presets, the file, options.
#[derive(Clone, Debug, Default)]
pub struct Layers(pub(super) Vec<Settings>);

/// Reads and checks all sources. The error holds every fault that was found in any of them.
pub fn load(sources: &Sources) -> Result<Layers, Faults> {
    let mut loader = Loader::default();
    for name in &sources.profiles {
        loader.preset(name, &Origin::Flag("--profile"));
    }
    loader.file(sources);
    loader.flags(&sources.flags);
    loader.check_reasons();
    match Faults::new(loader.faults) {
        Some(faults) => Err(faults),
        None => Ok(Layers(loader.layers)),
    }
}

/// The same with `text` in place of the file, and the name by which messages call it.
pub fn load_with_text(sources: &Sources, title: &str, text: &str) -> Result<Layers, Faults> {
    let mut loader = Loader::default();
    for name in &sources.profiles {
        loader.preset(name, &Origin::Flag("--profile"));
    }
    loader.text(Name::File(Arc::from(Path::new(title))), text, None);
    loader.flags(&sources.flags);
    loader.check_reasons();
    Faults::new(loader.faults).map_or(Ok(Layers(loader.layers)), Err)
}

/// What one text says, without presets and options.
pub fn parse_text(title: &str, text: &str) -> Result<Settings, Faults> {
    let (settings, faults) = parse(Name::File(Arc::from(Path::new(title))), text);
    Faults::new(faults).map_or(Ok(settings), Err)
}

#[derive(Default)]
struct Loader {
    layers: Vec<Settings>,
    /// Presets that are read or being read: each is one layer, however often it is named.
    seen: HashSet<&'static str>,
    faults: Vec<Fault>,
}

impl Loader {
    fn preset(&mut self, name: &str, origin: &Origin) {
        let Some(known) = preset_names().find(|known| *known == name) else {
            let known = preset_names().collect::<Vec<_>>().join(", ");
            let fault = Fault::new(format!("use profile {}", quoted(name)), "there is none of this name");
            return self.faults.push(fault.from_origin(origin).hint(format!("the profiles are {known}")));
        };
        if self.seen.insert(known) {
            let text = preset_text(known).unwrap_or_default();
            self.text(Name::Preset(Arc::from(known)), text, None);
        }
    }

    fn file(&mut self, sources: &Sources) {
        match (&sources.file, &sources.home) {
            (Some(path), home) => self.named_file(path, home.as_ref()),
            (None, Some(home)) => self.home_file(home),
            (None, None) => {}
        }
    }

    fn named_file(&mut self, path: &Path, home: Option<&AbsPath>) {
        match read::read(path) {
            Ok(text) => self.file_text(path, home, &text),
            Err(Unread::Missing) => self.unread(path, home, "there is no such file"),
            Err(Unread::Because(cause)) => self.unread(path, home, &cause),
        }
    }

    /// A missing file is fine here, but not a symbolic link to nowhere: somebody meant a file by it.
    fn home_file(&mut self, home: &AbsPath) {
        let path = home.join(HOME_FILE);
        match path.as_path().symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            _ => self.named_file(path.as_path(), Some(home)),
        }
    }

    fn unread(&mut self, path: &Path, home: Option<&AbsPath>, cause: &str) {
        let path = display_path(path, home);
        self.faults.push(Fault::new(format!("read settings file {}", shown(&path.to_string_lossy())), cause));
    }

    fn file_text(&mut self, path: &Path, home: Option<&AbsPath>, text: &str) {
        let name = Name::File(Arc::from(display_path(path, home)));
        self.text(name, text, Some(path));
    }

    /// Adds the layer of one text, and before it those of the presets that it names.
    fn text(&mut self, name: Name, text: &str, path: Option<&Path>) {
        let (settings, faults) = parse(name, text);
        self.faults.extend(faults);
        for profile in &settings.profiles {
            self.preset(&profile.value, &profile.origin);
        }
        self.layers.push(Settings { read_from: path.map(Path::to_owned).into_iter().collect(), ..settings });
    }

    fn flags(&mut self, flags: &FlagSettings) {
        let (settings, faults) = flags.read();
        self.faults.extend(faults);
        self.layers.push(settings);
    }

    /// A reason may stand in another layer than its entry, so this is checked when all are there.
    fn check_reasons(&mut self) {
        let entries: HashSet<&str> =
            self.layers.iter().flat_map(|layer| &layer.network.denied_domains).map(|entry| entry.value.as_str()).collect();
        let reasons = self.layers.iter().flat_map(|layer| &layer.network.denied_domain_reasons);
        let orphans = reasons.filter(|(entry, _)| !entries.contains(entry.as_str())).map(orphan).collect::<Vec<_>>();
        self.faults.extend(orphans);
    }
}

fn orphan((entry, reason): (&String, &Located<String>)) -> Fault {
    let action = format!("use {} in network.deniedDomainReasons", quoted(entry));
    Fault::new(action, "no entry of network.deniedDomains is spelled so").from_origin(&reason.origin)
}

/// What a text says, and what is wrong with it.
pub(super) fn parse(name: Name, text: &str) -> (Settings, Vec<Fault>) {
    let mut settings = Settings::default();
    let mut document = Document::new(name, text);
    if let Some(root) = document.parse(text) {
        Field { document: &mut document, at: String::new(), value: &root }.settings(Table::Root, &mut settings);
    }
    match document.finish() {
        Ok(remarks) => (Settings { remarks, ..settings }, Vec::new()),
        Err(faults) => (settings, faults),
    }
}

/// `~/…` for what is below the home directory, else as typed; what could steer a terminal is escaped.
fn display_path(path: &Path, home: Option<&AbsPath>) -> PathBuf {
    let below = home.filter(|_| path.is_absolute()).and_then(|home| path.strip_prefix(home).ok());
    let path = below.map_or_else(|| path.to_owned(), |below| Path::new("~").join(below));
    PathBuf::from(shown(&path.to_string_lossy()))
}

#[cfg(test)]
mod tests;
