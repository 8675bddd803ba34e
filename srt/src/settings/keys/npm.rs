//! Keys of the objects that describe programs which the npm program starts.

use super::Handling::Part;
use super::Shape::{AbsolutePath, Text, Texts};
use super::{Key, Table, key};

pub(super) const KEYS: &[Key] = &[
    key(Table::Ripgrep, "command", Text, Part, r#""rg""#, "The program."),
    key(Table::Ripgrep, "args", Texts, Part, r#"["--hidden"]"#, "Arguments put in front."),
    key(Table::Ripgrep, "argv0", Text, Part, r#""rg""#, "The name it is called by."),
    key(Table::Seccomp, "applyPath", AbsolutePath, Part, r#""/opt/apply-seccomp""#, "The program."),
    key(Table::Seccomp, "argv0", Text, Part, r#""apply-seccomp""#, "The name it is called by."),
];
