//! Where this kernel keeps what the program reads.

use srt_ebpf::Layout;

use super::btf::Btf;

/// The structures that are asked about.
pub(super) const STRUCTURES: &[&str] = &[
    "task_struct",
    "pid",
    "upid",
    "pid_namespace",
    "fs_struct",
    "files_struct",
    "fdtable",
    "file",
    "path",
    "dentry",
    "vfsmount",
    "mount",
    "pt_regs",
];

/// Names of the registers in `struct pt_regs` that hold the call's number, its result, and its arguments when it returns (syscall(2)).
#[cfg(target_arch = "x86_64")]
const REGISTERS: (&str, &str, [&[&str]; 6]) = ("orig_ax", "ax", [&["di"], &["si"], &["dx"], &["r10"], &["r8"], &["r9"]]);
/// The first argument is kept apart: its register holds the result by then. The others are one array.
#[cfg(target_arch = "aarch64")]
const REGISTERS: (&str, &str, [&[&str]; 6]) = ("syscallno", "regs", [&["orig_x0"], &["regs"], &["regs"], &["regs"], &["regs"], &["regs"]]);

/// The layout; the name of the first thing that this kernel does not have.
pub(super) fn of(btf: &Btf<'_>) -> Result<Layout, &'static str> {
    let offset = |structure: &'static str, path: &[&'static str]| btf.offset(structure, path).ok_or(structure);
    let (call, result, arguments) = REGISTERS;
    let mut regs_arguments = [0; 6];
    for (number, path) in arguments.iter().enumerate() {
        // In an array the field is its first element.
        let element = if path[0] == "regs" { 8 * number as u32 } else { 0 };
        regs_arguments[number] = offset("pt_regs", path)? + element;
    }
    Ok(Layout {
        regs_call: offset("pt_regs", &[call])?,
        regs_arguments,
        regs_result: offset("pt_regs", &[result])?,
        task_thread_pid: offset("task_struct", &["thread_pid"])?,
        task_fs: offset("task_struct", &["fs"])?,
        task_files: offset("task_struct", &["files"])?,
        pid_level: offset("pid", &["level"])?,
        pid_numbers: offset("pid", &["numbers"])?,
        upid_size: btf.size("upid").ok_or("upid")?,
        upid_ns: offset("upid", &["ns"])?,
        pid_ns_inum: offset("pid_namespace", &["ns", "inum"])?,
        fs_pwd: offset("fs_struct", &["pwd"])?,
        fs_root: offset("fs_struct", &["root"])?,
        files_fdt: offset("files_struct", &["fdt"])?,
        fdt_max_fds: offset("fdtable", &["max_fds"])?,
        fdt_fd: offset("fdtable", &["fd"])?,
        file_path: offset("file", &["f_path"])?,
        path_mnt: offset("path", &["mnt"])?,
        path_dentry: offset("path", &["dentry"])?,
        dentry_parent: offset("dentry", &["d_parent"])?,
        dentry_name: offset("dentry", &["d_name", "name"])?,
        vfsmount_root: offset("vfsmount", &["mnt_root"])?,
        mount_mnt: offset("mount", &["mnt"])?,
        mount_parent: offset("mount", &["mnt_parent"])?,
        mount_mountpoint: offset("mount", &["mnt_mountpoint"])?,
    })
}
