//! Debian's archive, asked through apt with lists and caches of our own.
//!
//! Where the archive is comes from the sources of this machine; its own lists and its package state are neither read nor changed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// What holds the kernels: the main archive, and security updates of the suites that get new kernels only there.
const SUITES: &[&str] = &["bullseye", "bookworm", "trixie", "trixie-backports"];
const SECURITY_SUITES: &[&str] = &["bullseye-security", "bookworm-security", "trixie-security"];

/// Lists younger than this are not fetched again.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// A private apt: sources, lists and cache below one directory.
pub(super) struct Apt {
    root: PathBuf,
}

impl Apt {
    /// Prepares it below `root`, and fetches the lists where there are none or old ones.
    ///
    /// # Errors
    /// Where this machine has no apt or no Debian source, or the lists cannot be fetched.
    pub(super) fn open(root: PathBuf) -> Result<Self, String> {
        let sources = sources(&machine_sources()?)?;
        let apt = Apt { root };
        for directory in ["lists/partial", "cache/archives/partial", "etc"] {
            std::fs::create_dir_all(apt.root.join(directory)).map_err(|error| format!("cannot make {directory} for apt: {error}"))?;
        }
        let known = std::fs::read_to_string(apt.root.join("sources.list")).unwrap_or_default();
        apt.write("sources.list", &sources)?;
        apt.write("status", "")?;
        let stamp = apt.root.join("fetched");
        let age = std::fs::metadata(&stamp).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        if known != sources || age.is_none_or(|age| age > FRESH) {
            succeed(apt.command("apt-get").args(["update", "-q"]), "fetch the package lists")?;
            apt.write("fetched", "")?;
        }
        Ok(apt)
    }

    /// Names of all packages that begin so.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>, String> {
        let output = succeed(self.command("apt-cache").args(["pkgnames", prefix]), "list packages")?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// Downloads one package into `directory`, which must be empty, and says where it lies. apt compares it with the signed lists.
    pub(super) fn download(&self, package: &str, directory: &Path) -> Result<PathBuf, String> {
        succeed(self.command("apt-get").args(["download", "-q", package]).current_dir(directory), "download a kernel")?;
        let mut found = std::fs::read_dir(directory).map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
        let file =
            found.find_map(|entry| entry.ok().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "deb")));
        file.ok_or_else(|| format!("apt-get downloaded no file for {package}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.root.join(name);
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut set = |key: &str, value: String| {
            command.arg("-o").arg(format!("{key}={value}"));
        };
        let below = |name: &str| self.root.join(name).display().to_string();
        set("Dir::Etc::sourcelist", below("sources.list"));
        set("Dir::Etc::sourceparts", "-".into());
        set("Dir::State::lists", below("lists"));
        set("Dir::State::status", below("status"));
        set("Dir::Cache", below("cache"));
        // Its user for downloads can often not reach a build directory.
        set("APT::Sandbox::User", "root".into());
        set("APT::Architectures", "amd64".into());
        set("Acquire::Languages", "none".into());
        // Suites that are archived stop renewing their lists; what is in them stays signed.
        set("Acquire::Check-Valid-Until", "false".into());
        set("Acquire::Retries", "2".into());
        set("Acquire::http::Timeout", "30".into());
        command
    }
}

/// The sources of this machine as apt itself reads them: `URI|SUITE|COMPONENT`.
fn machine_sources() -> Result<String, String> {
    let mut command = Command::new("apt-get");
    let output = succeed(command.args(["indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"]), "ask apt for its sources")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A sources list for our suites, from those of the machine. Only Debian's own archive has a suite `X` beside a suite `X-updates` or `X-security`.
fn sources(machine: &str) -> Result<String, String> {
    let rows: Vec<(&str, &str)> = machine
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('|');
            let (uri, suite, component) = (fields.next()?, fields.next()?, fields.next()?);
            (component == "main").then_some((uri, suite))
        })
        .collect();
    let security = rows.iter().find(|(_, suite)| suite.ends_with("-security"));
    let base = |suite: &str| suite.trim_end_matches("-security").trim_end_matches("-updates").to_owned();
    let release = rows.iter().filter(|(_, suite)| *suite != base(suite)).map(|(_, suite)| base(suite)).next();
    let main = release.and_then(|release| rows.iter().find(|(_, suite)| *suite == release));
    let Some((main, _)) = main else { return Err("this machine has no source of Debian packages".into()) };
    let line = |uri: &str, suite: &&str| format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {uri} {suite} main\n");
    let mut text: String = SUITES.iter().map(|suite| line(main, suite)).collect();
    text.extend(security.iter().flat_map(|(uri, _)| SECURITY_SUITES.iter().map(|suite| line(uri, suite))));
    Ok(text)
}

/// Runs it; an error holds the last line that it said.
pub(super) fn succeed(command: &mut Command, what: &str) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("cannot {what}: {}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("cannot {what}: {}", text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason was given")))
}

#[cfg(test)]
mod tests {
    use super::sources;

    #[test]
    fn suites_come_from_the_machines_own_archive() {
        let machine = "http://tools.invalid/|tools-bookworm|main\nhttp://a.invalid/debian/|bookworm|main\nhttp://a.invalid/debian/|bookworm-updates|main\nhttp://s.invalid/|bookworm-security|main\n";
        let text = sources(machine).unwrap();
        assert!(text.lines().any(|line| line.ends_with("http://a.invalid/debian/ bullseye main")), "{text}");
        assert!(text.lines().any(|line| line.ends_with("http://s.invalid/ bullseye-security main")), "{text}");
        assert!(!text.contains("tools.invalid"));
    }

    #[test]
    fn a_machine_without_debians_archive_is_told() {
        assert!(sources("http://tools.invalid/|nodistro|main\n").is_err());
    }
}
