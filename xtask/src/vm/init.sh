#!/bin/bash
# PID 1 of the virtual machine: arranges the system, runs /srt/job once, and ends the machine.
#
# Four serial lines: S0 is the console, S1 and S2 are the job's standard output and error, S3 is the record that the host reads.
# Each item of the record is a line `NAME LENGTH` and as many bytes, so nothing that a test prints can be taken for one.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=0620,ptmxmode=0666,gid=5 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -sfn /proc/self/fd /dev/fd
ln -sfn fd/0 /dev/stdin
ln -sfn fd/1 /dev/stdout
ln -sfn fd/2 /dev/stderr
mount -t tmpfs -o mode=0755 run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -o ro /dev/nvme0n1p2 /srt
ip link set lo up
hostname guest
# What a system manager would set: the kernel's own limit of open files is small.
ulimit -n 1048576
for line in 1 2 3; do stty -F /dev/ttyS$line raw -echo; done

send() {
    printf '%s %s\n' "$1" "$(stat -c %s "$2")" >/dev/ttyS3
    cat "$2" >/dev/ttyS3
}
say() {
    printf '%s %s\n%s' "$1" "${#2}" "$2" >/dev/ttyS3
}

say kernel "$(uname -r)"
. /srt/job
sync
# Without a reset of the machine (qemu: -no-reboot) this ends it; the serial lines are drained first.
for line in 1 2 3; do stty -F /dev/ttyS$line sane; done
echo b >/proc/sysrq-trigger
sleep 60
