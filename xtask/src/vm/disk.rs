//! Two file systems as partitions of one disk, whose numbers do not depend on which the kernel finds first.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::succeed;

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// Makes the disk; holes stay holes.
pub(super) fn joined(first: &Path, second: &Path, disk: &Path) -> Result<PathBuf, String> {
    let size = |image: &Path| {
        std::fs::metadata(image).map(|found| found.len()).map_err(|error| format!("cannot read {}: {error}", image.display()))
    };
    let (one, two) = (size(first)?, size(second)?);
    let cannot = |error: std::io::Error| format!("cannot make {}: {error}", disk.display());
    let file = File::create(disk).map_err(cannot)?;
    let start = MIB + one.next_multiple_of(MIB);
    file.set_len(start + two.next_multiple_of(MIB)).map_err(cannot)?;
    file.write_all_at(&boot_record([(MIB, one), (start, two)]), 0).map_err(cannot)?;
    for (image, at) in [(first, MIB), (second, start)] {
        let mut copy = Command::new("dd");
        copy.args(["bs=1M", "conv=sparse,notrunc", "status=none"]);
        copy.arg(format!("seek={}", at / MIB)).arg(format!("if={}", image.display())).arg(format!("of={}", disk.display()));
        succeed(&mut copy, "make a disk")?;
    }
    Ok(disk.to_owned())
}

/// A master boot record with two Linux partitions, each by its start and length in bytes.
fn boot_record(partitions: [(u64, u64); 2]) -> [u8; 512] {
    const TABLE: usize = 446;
    const LINUX: u8 = 0x83;
    let mut record = [0; 512];
    for (index, (start, length)) in partitions.into_iter().enumerate() {
        let entry = &mut record[TABLE + 16 * index..][..16];
        entry[4] = LINUX;
        entry[8..12].copy_from_slice(&((start / SECTOR) as u32).to_le_bytes());
        entry[12..16].copy_from_slice(&((length / SECTOR) as u32).to_le_bytes());
    }
    record[510..].copy_from_slice(&[0x55, 0xaa]);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_where_their_file_systems_are() {
        let record = boot_record([(MIB, 3 * MIB), (4 * MIB, MIB)]);
        assert_eq!((record[446 + 4], u32::from_le_bytes(record[454..458].try_into().unwrap())), (0x83, 2048));
        assert_eq!(u32::from_le_bytes(record[470..474].try_into().unwrap()), 8192);
        assert_eq!(record[510..], [0x55, 0xaa]);
    }
}
