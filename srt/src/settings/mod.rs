//! Settings files, presets and options: what the user said.

mod model;

pub use model::{CredentialSettings, FilesystemSettings, MitmProxySettings, NetworkSettings, ParentProxySettings, PathEntry, Settings};
