//! One entry more in a settings file of the user's.
//!
//! Comments, order and white space stay as they are. The result is read like any settings file before it is written, so a file that was fine stays so.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jsonc_parser::cst::{CstInputValue, CstRootNode};

use super::document::STRICT;
use super::load::parse_text;
use super::read::{self, Unread};
use super::text::shown;
use crate::Fault;
use crate::fault::errno_text;

/// How a file gets its new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// A new file takes its name: whoever reads it sees the old content or the new.
    Whole,
    /// It is written over where it lies. For a file in a directory that a sandbox may write: the sandbox could swap a new file before it gets the name, and
    /// what keeps it from writing the old one is tied to the old one.
    InPlace,
}

/// Adds `entry` to `network.allowedDomains` of the file at `path`, unless it stands there. A missing file is made, readable by the user alone.
///
/// # Errors
/// The file cannot be read, is no settings file, or cannot be written.
pub fn allow_domain(path: &Path, entry: &str, replace: Replace) -> Result<(), Fault> {
    let fault = |cause: &str| Fault::new(format!("write {} to {}", super::text::quoted(entry), shown(&path.to_string_lossy())), cause);
    let before = match read::read(path) {
        Ok(text) => Some(text),
        Err(Unread::Missing) if replace == Replace::Whole => None,
        Err(Unread::Missing) => return Err(fault("there is no such file, and the command may write in its directory")),
        Err(Unread::Because(cause)) => return Err(fault(&cause)),
    };
    let text = before.clone().unwrap_or_else(|| "{}\n".to_owned());
    let Some(after) = with_entry(&text, entry).map_err(|cause| fault(&cause))? else { return Ok(()) };
    let title = path.to_string_lossy();
    parse_text(&title, &after).map_err(|faults| faults.into_iter().next().unwrap_or_else(|| fault("the result is no settings file")))?;
    write(path, &after, before.is_some(), replace).map_err(|error| fault(&errno_text(&error)))
}

/// The text with the entry; `None` where it stands there already.
pub(super) fn with_entry(text: &str, entry: &str) -> Result<Option<String>, String> {
    let root = CstRootNode::parse(text, &STRICT).map_err(|error| error.to_string())?;
    let object = root.object_value_or_create().ok_or("it holds something else than an object")?;
    let network = object.object_value_or_create("network").ok_or("its \"network\" is no object")?;
    if network.get("allowedDomains").and_then(|property| property.value()).is_some_and(|value| value.as_null_keyword().is_some()) {
        network.get("allowedDomains").into_iter().for_each(|null| null.set_value(CstInputValue::Array(Vec::new())));
    }
    let list = network.array_value_or_create("allowedDomains").ok_or("its \"network.allowedDomains\" is no list")?;
    let is_there = |text: &str| text == entry;
    if list.elements().iter().filter_map(|element| element.as_string_lit()?.decoded_value().ok()).any(|text| is_there(&text)) {
        return Ok(None);
    }
    list.append(CstInputValue::String(entry.to_owned()));
    Ok(Some(root.to_string()))
}

fn write(path: &Path, text: &str, exists: bool, replace: Replace) -> io::Result<()> {
    match replace {
        Replace::InPlace => {
            let mut file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path.canonicalize()?)?;
            // Shortened last: a reader in between sees the new text with something behind it, which is a fault, and never less rules.
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)?;
            file.sync_all()
        }
        Replace::Whole => {
            // The file behind a link is replaced, not the link.
            let real = if exists { path.canonicalize()? } else { path.to_owned() };
            replace_whole(&real, text, exists)
        }
    }
}

fn replace_whole(path: &Path, text: &str, exists: bool) -> io::Result<()> {
    let (part, mut file) = new_beside(path)?;
    let done = fill(path, &mut file, text, exists).and_then(|()| std::fs::rename(&part, path));
    if done.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    done
}

/// Content, mode and owner.
fn fill(path: &Path, file: &mut File, text: &str, exists: bool) -> io::Result<()> {
    if exists {
        let before = path.metadata()?;
        file.set_permissions(Permissions::from_mode(before.mode() & 0o7777))?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (before.uid(), before.gid()) {
            std::os::unix::fs::fchown(&*file, Some(before.uid()), Some(before.gid()))?;
        }
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// An empty file that nobody else may read, of a name that nobody can guess.
fn new_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let random: [u8; 8] = crate::unix::random()?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{:016x}", u64::from_ne_bytes(random)));
    let part = path.with_file_name(name);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    Ok((part, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::scratch::Scratch;

    fn edited(text: &str) -> String {
        with_entry(text, "b.example:443").unwrap().unwrap()
    }

    #[test]
    fn comments_order_and_white_space_stay() {
        let text = "// mine\n{\n  \"filesystem\": { \"allowWrite\": [\".\"] }, /* kept */\n  \"network\": {\n    // hosts\n    \"allowedDomains\": [\n      \"a.example\", // why\n    ],\n  },\n}\n";
        let after = edited(text);
        let expected = text.replace("\"a.example\", // why\n", "\"a.example\", // why\n      \"b.example:443\",\n");
        assert_eq!(after, expected);
        assert_eq!(with_entry(&after, "b.example:443"), Ok(None), "a second time");
    }

    #[test]
    fn missing_parts_are_made() {
        for text in
            ["{}", "{}\n", "{\"network\": {}}", "{\"network\": {\"allowedDomains\": []}}", "{\"network\": {\"allowedDomains\": null}}"]
        {
            let settings = parse_text("x", &edited(text)).unwrap();
            assert_eq!(settings.network.allowed_domains.len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_settings_file_is_left_alone() {
        for text in ["[]", "1", "{\"network\": []}", "{\"network\": {\"allowedDomains\": {}}}", "{", "{'network': {}}"] {
            assert!(with_entry(text, "b.example").is_err(), "{text}");
        }
        let directory = Scratch::new();
        let file = directory.file("s.json", "{\"netwerk\": 1}");
        assert!(allow_domain(&file, "b.example", Replace::Whole).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"netwerk\": 1}");
    }

    #[test]
    fn a_file_keeps_its_mode_and_its_link() {
        for replace in [Replace::Whole, Replace::InPlace] {
            let directory = Scratch::new();
            let file = directory.file("real.json", "{}");
            std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
            let link = directory.path().join("link.json");
            std::os::unix::fs::symlink(&file, &link).unwrap();
            let inode = file.metadata().unwrap().ino();
            allow_domain(&link, "b.example", replace).unwrap();
            assert!(link.symlink_metadata().unwrap().is_symlink());
            assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o640);
            assert_eq!(file.metadata().unwrap().ino() == inode, replace == Replace::InPlace);
            assert!(std::fs::read_to_string(&file).unwrap().contains("\"b.example\""));
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left beside it");
        }
    }

    #[test]
    fn a_missing_file_is_made_for_the_user_alone() {
        let directory = Scratch::new();
        let file = directory.path().join("s.json");
        assert!(allow_domain(&file, "b.example", Replace::InPlace).is_err(), "where the command may write");
        allow_domain(&file, "b.example", Replace::Whole).unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
    }
}
