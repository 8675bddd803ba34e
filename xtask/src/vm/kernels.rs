//! The kernels under test: which there are, and where their images lie.
//!
//! They come from Debian's packages for cloud machines, whose drivers for NVMe and ext4 are built in, so that no module and no initramfs is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{Apt, succeed};

/// The series that are tested: the oldest that people run, the long-term ones, and the newest.
pub(super) const SERIES: &[&str] = &["5.10", "6.1", "6.12", "7"];

/// A kernel to boot.
pub(super) struct Kernel {
    /// As the caller asked for it: `6.1`.
    pub(super) series: String,
    /// As the package calls it: `6.1.0-50`.
    pub(super) version: String,
    /// The bootable image.
    pub(super) image: PathBuf,
}

/// Finds the newest kernel of each series, in `cache` or in Debian's archive. One that cannot be had is its own error.
pub(super) fn find(cache: &Path, series: &[String]) -> Vec<Result<Kernel, String>> {
    let apt = Apt::open(cache.join("apt"));
    if let Err(cause) = &apt {
        eprintln!("vm: {cause}: going on with the kernels that are in the cache");
    }
    let find_one = |series: &String| match &apt {
        Ok(apt) => fetched(cache, apt, series),
        Err(cause) => cached(cache, series).ok_or_else(|| cause.clone()),
    };
    series.iter().map(find_one).collect()
}

/// Packages that may hold the image of one version. Which of them does has changed with the releases.
const HOLDERS: &[&str] = &["linux-binary-", "linux-binary-unsigned-", "linux-image-"];
const FLAVOUR: &str = "-cloud-amd64";

fn fetched(cache: &Path, apt: &Apt, series: &str) -> Result<Kernel, String> {
    let mut names = Vec::new();
    for holder in HOLDERS {
        names.extend(apt.names(&format!("{holder}{series}."))?);
    }
    let version =
        newest(names.iter().filter_map(|name| version_of(name)), series).ok_or_else(|| format!("Debian has no kernel {series}"))?;
    let image = image(cache, &version);
    if image.exists() {
        return Ok(Kernel { series: series.to_owned(), version, image });
    }
    for holder in HOLDERS.iter().map(|holder| format!("{holder}{version}{FLAVOUR}")).filter(|holder| names.contains(holder)) {
        eprintln!("vm: fetching {holder}");
        if unpack(apt, &holder, &image)? {
            return Ok(Kernel { series: series.to_owned(), version, image });
        }
    }
    Err(format!("no package of kernel {version} holds an image"))
}

/// Downloads a package and takes the image out; false where it holds none.
fn unpack(apt: &Apt, package: &str, image: &Path) -> Result<bool, String> {
    let directory = image.with_extension("new");
    drop(std::fs::remove_dir_all(&directory));
    std::fs::create_dir_all(&directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    let archive = apt.download(package, &directory)?;
    succeed(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&directory), "unpack a kernel")?;
    let found = succeed(Command::new("find").arg(&directory).args(["-type", "f", "-name", "vmlinuz*"]), "look for a kernel")?;
    let found = String::from_utf8_lossy(&found.stdout).lines().next().map(PathBuf::from);
    let moved = found.as_ref().map(|path| std::fs::rename(path, image));
    drop(std::fs::remove_dir_all(&directory));
    match moved {
        Some(Ok(())) => Ok(true),
        Some(Err(error)) => Err(format!("cannot keep {}: {error}", image.display())),
        None => Ok(false),
    }
}

fn cached(cache: &Path, series: &str) -> Option<Kernel> {
    let names: Vec<String> = std::fs::read_dir(cache).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let version = newest(names.iter().filter_map(|name| name.strip_prefix("vmlinuz-")).map(str::to_owned), series)?;
    Some(Kernel { series: series.to_owned(), image: image(cache, &version), version })
}

fn image(cache: &Path, version: &str) -> PathBuf {
    cache.join(format!("vmlinuz-{version}"))
}

/// `linux-image-6.1.0-50-cloud-amd64` is 6.1.0-50.
fn version_of(package: &str) -> Option<String> {
    let rest = HOLDERS.iter().find_map(|holder| package.strip_prefix(holder))?;
    rest.strip_prefix("unsigned-").unwrap_or(rest).strip_suffix(FLAVOUR).map(str::to_owned)
}

/// The highest of a series, compared number by number.
fn newest(versions: impl Iterator<Item = String>, series: &str) -> Option<String> {
    let numbers = |version: &str| -> Vec<u32> {
        version.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    let wanted = format!("{series}.");
    versions.filter(|version| version.starts_with(&wanted)).max_by_key(|version| numbers(version))
}

#[cfg(test)]
mod tests {
    use super::{newest, version_of};

    fn pick(series: &str, names: &[&str]) -> Option<String> {
        newest(names.iter().filter_map(|name| version_of(name)), series)
    }

    #[test]
    fn the_newest_of_a_series_is_compared_by_numbers() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.1.0-50-cloud-amd64-unsigned",
            "linux-image-6.1.0-0.deb11.52-cloud-amd64",
            "linux-image-6.1-cloud-amd64",
            "linux-image-6.12.107+deb13-cloud-amd64",
        ];
        assert_eq!(pick("6.1", &names).as_deref(), Some("6.1.0-50"));
        assert_eq!(pick("6.12", &names).as_deref(), Some("6.12.107+deb13"));
        assert_eq!(pick("5.10", &names), None);
    }

    #[test]
    fn images_are_looked_for_in_packages_of_either_name() {
        let names =
            ["linux-image-7.1.13+deb13-cloud-amd64", "linux-binary-unsigned-7.3.4+deb13-cloud-amd64", "linux-headers-7.9.0-cloud-amd64"];
        assert_eq!(pick("7", &names).as_deref(), Some("7.3.4+deb13"));
    }
}
