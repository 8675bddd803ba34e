//! A file system that is a table.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;

use crate::policy::{AbsPath, FileKind, PathLookup, RealPath};

/// Paths and what they are; a link holds its text.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<String, Thing>);

#[derive(Clone)]
enum Thing {
    Directory,
    File(&'static str),
    Link(&'static str),
}

impl Table {
    /// A trailing `/` makes a directory; `a -> b` a link; `a = text` a file with text. Directories above are made.
    pub(crate) fn new(lines: &[&'static str]) -> Self {
        let mut table = Table::default();
        for line in lines {
            let (name, thing) = match (line.split_once(" -> "), line.split_once(" = "), line.strip_suffix('/')) {
                (Some((name, target)), _, _) => (name, Thing::Link(target)),
                (_, Some((name, text)), _) => (name, Thing::File(text)),
                (_, _, Some(name)) => (name, Thing::Directory),
                _ => (*line, Thing::File("")),
            };
            for directory in path(name).ancestors().skip(1) {
                table.0.entry(directory.to_string()).or_insert(Thing::Directory);
            }
            table.0.insert(name.to_owned(), thing);
        }
        table
    }

    fn kind(&self, path: &AbsPath) -> Option<FileKind> {
        self.0.get(&path.to_string()).map(|thing| match thing {
            Thing::Directory => FileKind::Directory,
            Thing::File(_) => FileKind::Other,
            Thing::Link(_) => FileKind::Symlink,
        })
    }
}

impl PathLookup for Table {
    fn real_path(&self, asked: &AbsPath) -> io::Result<RealPath> {
        let mut links = Vec::new();
        let mut rest: Vec<OsString> = asked.components().rev().map(OsStr::to_owned).collect();
        let mut done = AbsPath::root();
        while let Some(name) = rest.pop() {
            let next = AbsPath::resolve(&done, name.as_ref());
            match self.0.get(&next.to_string()) {
                Some(Thing::Link(_)) if links.len() > 40 => return Err(io::Error::from_raw_os_error(libc::ELOOP)),
                Some(Thing::Link(target)) => {
                    links.push(next);
                    if target.starts_with('/') {
                        done = AbsPath::root();
                    }
                    rest.extend(target.split('/').rev().filter(|name| !name.is_empty()).map(OsString::from));
                }
                _ => done = next,
            }
        }
        Ok(RealPath { kind: self.kind(&done), path: done, links })
    }

    fn children(&self, directory: &AbsPath) -> io::Result<Vec<(OsString, FileKind)>> {
        if self.kind(directory) != Some(FileKind::Directory) {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let all = self.0.keys().map(|name| path(name));
        Ok(all
            .filter(|child| child.parent().as_ref() == Some(directory))
            .filter_map(|child| Some((child.file_name()?.to_owned(), self.kind(&child)?)))
            .collect())
    }

    fn link_text(&self, link: &AbsPath) -> io::Result<OsString> {
        match self.0.get(&link.to_string()) {
            Some(Thing::Link(text)) => Ok(text.into()),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    fn first_bytes(&self, file: &AbsPath) -> io::Result<Vec<u8>> {
        match self.0.get(&file.to_string()) {
            Some(Thing::File(text)) => Ok(text.as_bytes().to_vec()),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }
}

fn path(text: &str) -> AbsPath {
    AbsPath::new(text).expect("absolute")
}
