//! The kernels that people run, in virtual machines.
//!
//! A guest is one of Debian's kernels for cloud machines, emulated in software (no KVM is needed), on a disk image made of this machine's own
//! packages. What is tested comes on a second disk, and results go over serial lines of their own.

mod apt;
mod disk;
mod image;
mod kernels;
mod layers;
mod machine;
mod output;
mod packages;
mod program;
mod record;
mod skips;
mod subset;
mod suite;

use std::path::PathBuf;

use crate::suite::target;

pub(crate) use program::run as run_program;
pub(crate) use suite::{Request, run as test};

/// Where kernels and images are kept.
struct Cache {
    path: PathBuf,
}

impl Cache {
    fn open() -> Result<Self, String> {
        let path = target().join("vm");
        std::fs::create_dir_all(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Cache { path })
    }

    /// A directory of one machine's own, removed when dropped.
    fn work(&self, name: &str) -> Result<Work, String> {
        let work = Work { path: self.path.join(name) };
        std::fs::create_dir_all(&work.path).map_err(|error| format!("cannot make {}: {error}", work.path.display()))?;
        Ok(work)
    }
}

struct Work {
    path: PathBuf,
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("vm: cannot remove {}: {error}", self.path.display());
        }
    }
}
