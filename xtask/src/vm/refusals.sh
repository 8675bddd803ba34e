# What a run does while user namespaces are free, for root only, and forbidden. Read by the job, at its end: the switches are for the whole machine.
cd /run || exit
attempt() {
    rm -f /tmp/mark
    "${@:2}" /srt/srt run --accept-gap name-rules --allow-write /tmp -- touch /tmp/mark 2>/run/said
    local status=$? mark=not-run
    [ -e /tmp/mark ] && mark=ran
    say "$1" "$status $mark $(grep -o 'sysctl -w [a-z_.]*' /run/said | cut -d' ' -f3)"
}
both() {
    attempt "root-$1" env
    attempt "user-$1" env HOME=/home/srt-test setpriv --reuid srt-test --regid srt-test --clear-groups
}
both free
echo 0 >/proc/sys/kernel/unprivileged_userns_clone
both restricted
echo 0 >/proc/sys/user/max_user_namespaces
both forbidden
