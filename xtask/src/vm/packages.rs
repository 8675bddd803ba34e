//! What the guest's file system is made of: files of this machine's own packages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::succeed;

/// What the system, the suite and the tools under test need. Whatever is not installed here is missing there, and the tests that want it
/// are skipped, as they are here.
const WANTED: &[&str] = &[
    // The system.
    "base-files bash coreutils dash diffutils findutils grep gzip hostname iproute2 kmod libc-bin mount ncurses-base passwd procps sed tar util-linux",
    // What the suite starts.
    "acl attr bubblewrap bsdutils curl git openssh-client openssh-server perl-base psmisc python3 python3-venv rsync strace tmux vim vim-tiny",
    // Heavy ones, for the tests of real tools.
    "binutils gcc libc6-dev make nodejs python3-pip",
];

/// Parts of packages that no test opens.
const LEFT_OUT: &[&str] =
    &["/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/", "/usr/share/icons/", "/usr/share/lintian/"];

/// One installed package.
#[derive(Default)]
struct Package {
    version: String,
    /// Each is a list of alternatives.
    depends: Vec<Vec<String>>,
}

/// The installed packages that are wanted, and everything they depend on, with their versions.
pub(super) fn closure() -> Result<BTreeMap<String, String>, String> {
    let format = "${db:Status-Abbrev}\t${Package}\t${Version}\t${Pre-Depends}, ${Depends}\t${Provides}\n";
    let listed = succeed(Command::new("dpkg-query").args(["-W", "-f", format]), "list the installed packages")?;
    let (packages, provided) = read(&String::from_utf8_lossy(&listed.stdout));
    let mut open: Vec<String> = WANTED.iter().flat_map(|names| names.split(' ')).map(str::to_owned).collect();
    let mut found = BTreeMap::new();
    while let Some(name) = open.pop() {
        let name = if packages.contains_key(&name) { name } else { provided.get(&name).cloned().unwrap_or(name) };
        let Some(package) = packages.get(&name) else { continue };
        if found.insert(name, package.version.clone()).is_none() {
            let installed = |name: &&String| packages.contains_key(*name) || provided.contains_key(*name);
            open.extend(package.depends.iter().filter_map(|alternatives| alternatives.iter().find(installed)).cloned());
        }
    }
    Ok(found)
}

fn read(listed: &str) -> (BTreeMap<String, Package>, BTreeMap<String, String>) {
    let (mut packages, mut provided) = (BTreeMap::new(), BTreeMap::new());
    for line in listed.lines().filter(|line| line.starts_with("ii")) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, name, version, depends, provides] = fields[..] else { continue };
        let depends = relations(depends);
        provided.extend(relations(provides).into_iter().flatten().map(|virtual_name| (virtual_name, name.to_owned())));
        packages.insert(name.to_owned(), Package { version: version.to_owned(), depends });
    }
    (packages, provided)
}

/// `a (>= 1) | b:any, c` is `[[a, b], [c]]`.
fn relations(text: &str) -> Vec<Vec<String>> {
    let bare = |name: &str| name.trim().split([' ', ':', '(']).next().unwrap_or_default().to_owned();
    let alternatives = |relation: &str| relation.split('|').map(bare).filter(|name| !name.is_empty()).collect::<Vec<_>>();
    text.split(',').map(alternatives).filter(|names| !names.is_empty()).collect()
}

/// Every file, link and directory of these packages that is here, and what their installation made besides: byte code and alternatives.
pub(super) fn files<'a>(packages: impl Iterator<Item = &'a String>) -> Result<BTreeSet<PathBuf>, String> {
    let listed = succeed(Command::new("dpkg-query").arg("-L").args(packages), "list the files of packages")?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let left_out = |path: &str| LEFT_OUT.iter().any(|part| path.starts_with(part));
    let mut files: BTreeSet<PathBuf> = text.lines().filter(|line| line.starts_with('/') && !left_out(line)).filter_map(placed).collect();
    let compiled: Vec<PathBuf> = files.iter().filter_map(|path| byte_code_directory(path)).collect::<BTreeSet<_>>().into_iter().collect();
    for directory in compiled {
        files.extend(std::fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path()));
        files.insert(directory);
    }
    let alternatives = alternatives(&files);
    files.extend(alternatives);
    Ok(files)
}

/// The name with its directory resolved: `/bin/sh` lies in `/usr/bin`. `None` where the file is not here.
fn placed(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let place = path.parent()?.canonicalize().ok()?.join(path.file_name()?);
    place.symlink_metadata().ok().map(|_| place)
}

fn byte_code_directory(path: &Path) -> Option<PathBuf> {
    let directory = (path.extension()? == "py").then(|| path.parent().map(|parent| parent.join("__pycache__")))??;
    directory.is_dir().then_some(directory)
}

/// Links such as `/usr/bin/cc` → `/etc/alternatives/cc` → `/usr/bin/gcc`, where what they end at is among the files.
fn alternatives(files: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in ["/usr/bin", "/usr/sbin"] {
        for link in std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let Ok(target) = std::fs::read_link(&link) else { continue };
            if target.starts_with("/etc/alternatives") && link.canonicalize().is_ok_and(|end| files.contains(&end)) {
                found.extend([link, target]);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{read, relations};

    #[test]
    fn relations_are_names_and_alternatives() {
        assert_eq!(relations("libc6 (>= 2.34), perl:any | mawk (<< 2), "), [vec!["libc6"], vec!["perl", "mawk"]]);
        assert!(relations(", ").is_empty());
    }

    #[test]
    fn only_what_is_installed_counts() {
        let (packages, provided) = read("ii \tmawk\t1.3\t, libc6\tawk\nrc \told\t1\t, \t\n");
        assert_eq!(packages.keys().collect::<Vec<_>>(), ["mawk"]);
        assert_eq!(provided["awk"], "mawk");
    }
}
