//! Where "always" is written.

use std::path::{Path, PathBuf};

use crate::Fault;
use crate::ask::{Answer, Remember};
use crate::policy::Target;
use crate::settings::{self, Replace};

/// The settings file that answers go to.
#[derive(Debug, Default)]
pub struct Memory {
    file: Option<(PathBuf, Replace)>,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "a person is asked on Linux only"))]
    shown: Option<String>,
}

impl Memory {
    /// The file at the real path `file`, which the person knows as `named`. Without one (the default), no answer can hold longer than the run.
    pub fn new(named: &Path, file: &Path, replace: Replace) -> Self {
        Memory { file: Some((file.to_owned(), replace)), shown: Some(shown(named)) }
    }

    /// How a person is told of the file.
    #[cfg(target_os = "linux")]
    pub(super) fn shown(&self) -> Option<&str> {
        self.shown.as_deref()
    }

    /// Writes down what is to hold always: a permission, for the very host and port that were asked about.
    pub(super) fn keep(&self, target: &Target, answer: Answer) -> Result<(), Fault> {
        match (&self.file, answer) {
            (Some((path, replace)), Answer { allow: true, remember: Remember::Always }) => {
                settings::allow_domain(path, &target.to_string(), *replace)
            }
            (None, Answer { allow: true, remember: Remember::Always }) => {
                Err(Fault::new("keep the answer", "there is no settings file that could be written"))
            }
            _ => Ok(()),
        }
    }
}

/// The name may come from a repository: nothing in it reaches the terminal that could steer it.
fn shown(path: &Path) -> String {
    crate::violation::sanitise(&path.to_string_lossy())
}
