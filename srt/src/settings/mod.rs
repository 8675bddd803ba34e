//! Settings files, presets and options: what the user said.
//!
//! [`load`] reads, [`merge`] puts together; nothing else in srt reads settings. Whatever is wrong with them is found here, all at once and
//! with its place, except what depends on this host or on the whole policy.

mod credentials;
mod document;
mod edit;
mod entry;
mod field;
mod flags;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod keys;
mod load;
mod merge;
mod model;
mod network;
mod position;
mod preset;
mod proxy_url;
mod read;
#[cfg(test)]
pub(crate) mod scratch;
mod text;
mod variable;

pub use edit::{Replace, allow_domain};
pub use flags::FlagSettings;
pub use keys::{Handling, Key, Reader, Shape, Table, keys};
pub use load::{HOME_FILE, Layers, Sources, load, load_with_text, parse_text};
pub use merge::merge;
pub use model::{
    CredentialSettings, FilesystemSettings, MacOsSettings, MitmProxySettings, NetworkSettings, ParentProxySettings, PathEntry, Settings,
};
pub use preset::{preset_names, preset_summary, preset_text};
pub use variable::{Piece, pieces};
