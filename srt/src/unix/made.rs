//! Directories that a run may need and that do not exist yet.
//!
//! Only where the settings ask for it: an `allowWrite` entry that ends in `/`. A bind mount needs something to bind. What is still empty after the run is removed
//! again, so that a run that did not use them leaves nothing behind.

use crate::Fault;
use crate::policy::AbsPath;

/// Directories made for a run, outermost first.
#[derive(Debug, Default)]
pub(crate) struct MadeDirectories(Vec<AbsPath>);

impl MadeDirectories {
    /// Makes each directory, and those above it that are missing too. Paths are real: nothing of them is a link.
    ///
    /// # Errors
    /// As mkdir(2).
    pub(crate) fn make(paths: &[AbsPath]) -> Result<Self, Fault> {
        let mut made = MadeDirectories::default();
        for path in paths {
            let mut missing: Vec<AbsPath> = path.ancestors().take_while(|ancestor| !ancestor.as_path().exists()).collect();
            missing.reverse();
            for directory in missing {
                match std::fs::create_dir(&directory) {
                    Ok(()) => made.0.push(directory),
                    // Another run needed it at the same moment.
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(Fault::os(format!("make the write root {directory}"), error)),
                }
            }
        }
        Ok(made)
    }
}

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        for directory in self.0.iter().rev() {
            // Not empty, or gone: both are as they should be.
            let _ = std::fs::remove_dir(directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_empty_is_removed_and_what_was_used_stays() {
        let top = AbsPath::new(std::env::temp_dir().join(format!("srt-made-{}", std::process::id()))).unwrap();
        let (used, unused) = (top.join("used"), top.join("un").join("used"));
        let made = MadeDirectories::make(&[used.clone(), unused.clone()]).unwrap();
        assert!(unused.as_path().is_dir());
        std::fs::write(used.as_path().join("file"), "").unwrap();
        drop(made);
        assert!(used.as_path().exists());
        assert!(!top.as_path().join("un").exists());
        std::fs::remove_dir_all(top).unwrap();
    }
}
