//! What appears in directories of the host while a run goes on.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// The names that were made in, or moved to, a set of directories since the start, whichever mount the change came through (inotify(7)
/// watches the inode). A name that was removed again is among them.
pub struct Watch(OwnedFd);

impl Watch {
    /// Watches a directory and those that are below it now.
    ///
    /// # Panics
    /// When the kernel gives no watch.
    pub fn start(root: &Path) -> Self {
        let watch = Watch(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("the kernel has inotify"));
        watch.add(root);
        watch
    }

    fn add(&self, directory: &Path) {
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        inotify::add_watch(&self.0, directory, flags).unwrap_or_else(|error| panic!("cannot watch {}: {error}", directory.display()));
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&entry.path());
            }
        }
    }

    /// Every name seen.
    ///
    /// # Panics
    /// When more happened than the kernel keeps: nothing can be said then.
    pub fn names(self) -> BTreeSet<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut names = BTreeSet::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "the kernel dropped events");
                    names.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
                }
                Err(Errno::AGAIN) => return names,
                Err(error) => panic!("cannot read what happened: {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_came_and_went_is_seen() {
        let root = crate::area::shared_root().join("watched");
        std::fs::create_dir_all(root.join("deep")).unwrap();
        let watch = Watch::start(&root);
        std::fs::write(root.join("deep/passing"), "").unwrap();
        std::fs::rename(root.join("deep/passing"), root.join("moved")).unwrap();
        std::fs::remove_file(root.join("moved")).unwrap();
        assert_eq!(watch.names().into_iter().collect::<Vec<_>>(), ["moved", "passing"]);
    }
}
