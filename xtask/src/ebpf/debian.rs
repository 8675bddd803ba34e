//! Rust's sources out of Debian's package, where rustup cannot be reached but a Debian mirror can.
//!
//! Nothing is installed, and apt's own state is not touched: its lists and downloads lie under `target/`. The mirror is the one that this machine uses already, and
//! its signatures are checked with Debian's keys.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{area, bounded};

/// Seconds for one word with the mirror.
const MIRROR: u32 = 120;
/// Where Debian has had releases of rustc that are newer than its own stable one.
const SUITES: [&str; 3] = ["trixie-backports", "forky", "sid"];
const SOURCES: &str = "/etc/apt/sources.list";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Puts `library` of that release in place.
pub(super) fn unpack(release: &str, library: &Path) -> Result<(), String> {
    let apt = Apt { state: area().join("apt") };
    let mirror = mirror().ok_or("this machine's apt has no Debian mirror")?;
    let mut versions = Vec::new();
    for suite in SUITES {
        apt.use_suite(&mirror, suite)?;
        versions = apt.versions()?;
        if let Some(version) = versions.iter().find(|version| version.split('+').next() == Some(release)) {
            let package = apt.download(version)?;
            return extract(&package, release, library);
        }
    }
    Err(format!("Debian's rust-src has no version {release} (last seen: {})", versions.join(" ")))
}

struct Apt {
    state: PathBuf,
}

impl Apt {
    fn command(&self, program: &str) -> Command {
        let mut command = bounded::command(MIRROR, program);
        let option = |name: &str, value: &Path| format!("{name}={}", value.display());
        let places = [
            option("Dir::State", &self.state),
            option("Dir::State::lists", &self.state.join("lists")),
            option("Dir::Cache", &self.state.join("cache")),
            option("Dir::Etc::SourceList", &self.state.join("sources.list")),
        ];
        // Without the sandbox user, who may not write below a home.
        for place in places.iter().map(String::as_str).chain(["Dir::Etc::SourceParts=-", "APT::Sandbox::User="]) {
            command.args(["-o", place]);
        }
        command.current_dir(&self.state);
        command
    }

    fn use_suite(&self, mirror: &str, suite: &str) -> Result<(), String> {
        let cannot = |error| format!("cannot write {}: {error}", self.state.display());
        for directory in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(self.state.join(directory)).map_err(cannot)?;
        }
        let line = format!("deb [signed-by={KEYS}] {mirror} {suite} main\n");
        std::fs::write(self.state.join("sources.list"), line).map_err(cannot)?;
        bounded::run(self.command("apt-get").args(["-qq", "update"]), &format!("read the packages of {suite}"))
    }

    fn versions(&self) -> Result<Vec<String>, String> {
        let lines = bounded::answer(self.command("apt-cache").args(["madison", "rust-src"]), "list the versions of rust-src")?;
        Ok(lines.lines().filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned())).collect())
    }

    fn download(&self, version: &str) -> Result<PathBuf, String> {
        bounded::run(self.command("apt-get").args(["-qq", "download", &format!("rust-src={version}")]), "download rust-src")?;
        let packages = std::fs::read_dir(&self.state).map_err(|error| format!("cannot read {}: {error}", self.state.display()))?;
        let mut packages = packages.flatten().map(|entry| entry.path());
        packages
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .ok_or_else(|| "apt-get left no package".to_owned())
    }
}

/// The first Debian mirror in this machine's sources, of either form: `deb [options] URI suite…`, or `URIs: URI`.
fn mirror() -> Option<String> {
    let parts = std::fs::read_dir(format!("{SOURCES}.d")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = std::iter::once(SOURCES.into()).chain(parts).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).find_map(|text| debian_uri(&text))
}

fn debian_uri(text: &str) -> Option<String> {
    let lines = text.lines().filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    let mut uris = lines.flat_map(str::split_whitespace).filter(|word| word.contains("://"));
    uris.find(|uri| uri.trim_end_matches('/').ends_with("/debian")).map(str::to_owned)
}

/// Only `library`, which is a small part of the package; in place all at once, or not at all.
fn extract(package: &Path, release: &str, library: &Path) -> Result<(), String> {
    let cannot = |error| format!("cannot unpack {}: {error}", package.display());
    let place = library.parent().ok_or("no place to unpack to")?;
    let fresh = place.with_extension("new");
    std::fs::create_dir_all(&fresh).map_err(cannot)?;
    let mut archive = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let bytes = archive.stdout.take().ok_or("no output of dpkg-deb")?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--strip-components=4", "--directory"]).arg(&fresh).arg(format!("./usr/src/rustc-{release}/library"));
    let unpacked = tar.stdin(bytes).status().map_err(cannot)?.success();
    let read = archive.wait().map_err(cannot)?.success();
    // Where it was once begun, it is begun anew.
    let _ = std::fs::remove_file(package);
    if !(unpacked && read) {
        return Err(format!("{} has no sources where they are expected", package.display()));
    }
    std::fs::create_dir_all(place).map_err(cannot)?;
    std::fs::rename(fresh.join("library"), library).map_err(cannot)?;
    let _ = std::fs::remove_dir(fresh);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::debian_uri;

    #[test]
    fn a_debian_mirror_is_found_in_both_forms_of_sources() {
        let deb822 = "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        assert_eq!(debian_uri(deb822).as_deref(), Some("http://mirror.example/debian"));
        let lines = "# deb http://no.example/debian x main\ndeb https://cloud.example/apt sdk main\ndeb [arch=amd64] http://m.example/debian/ bookworm main\n";
        assert_eq!(debian_uri(lines).as_deref(), Some("http://m.example/debian/"));
        assert_eq!(debian_uri("deb http://security.example/debian-security bookworm-security main\n"), None);
    }
}
