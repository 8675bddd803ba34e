//! Keys of `filesystem`, and of a path entry that is an object.

use super::Handling::Part;
use super::Shape::{Bool, Paths, Text};
use super::{Key, Table, key, served};

pub(super) const KEYS: &[Key] = &[
    key(
        Table::Filesystem,
        "disabled",
        Bool,
        served(|field, settings| settings.filesystem.disabled = field.boolean()),
        "true",
        "No rules on files at all, protected names included.",
    ),
    key(
        Table::Filesystem,
        "denyRead",
        Paths,
        served(|field, settings| settings.filesystem.deny_read = field.paths()),
        r#"["~/.ssh", {"path": "a*b", "literal": true}]"#,
        "Paths that may not be read. Empty: everything may.",
    ),
    key(
        Table::Filesystem,
        "allowRead",
        Paths,
        served(|field, settings| settings.filesystem.allow_read = field.paths()),
        r#"["~/.ssh/known_hosts"]"#,
        "Exceptions from `denyRead`.",
    ),
    key(
        Table::Filesystem,
        "allowWrite",
        Paths,
        served(|field, settings| settings.filesystem.allow_write = field.paths()),
        r#"[".", "${CARGO_HOME:-~/.cargo}/registry/"]"#,
        "Paths that may be written. Empty: only the default write paths.",
    ),
    key(
        Table::Filesystem,
        "denyWrite",
        Paths,
        served(|field, settings| settings.filesystem.deny_write = field.paths()),
        r#"["secrets/**"]"#,
        "Exceptions from `allowWrite`; they win wherever they stand.",
    ),
    key(
        Table::Filesystem,
        "allowGitConfig",
        Bool,
        served(|field, settings| settings.filesystem.allow_git_config = field.boolean()),
        "true",
        "`.git/config` may be written; hooks stay protected.",
    ),
    key(Table::PathEntry, "path", Text, Part, r#""a*b""#, "The path."),
    key(Table::PathEntry, "literal", Bool, Part, "true", "No character of the path is special."),
];
