//! What identity the command has.

use srt_tests::{Area, as_root, for_each_identity};

#[test]
fn ids_are_the_callers() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let ids = format!("{0},{0},{0},{0} {1},{1},{1},{1}", who.uid, who.gid);
        area.probe(&area.rules(), &["ids"]).run().assert_out_has(&ids);
    });
}

#[test]
fn files_made_inside_belong_to_the_caller() {
    use std::os::unix::fs::MetadataExt;
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&area.rules(), &["create", &area.text("work/made")]).run().assert_prints("ok");
        let meta = std::fs::metadata(area.path("work/made")).expect("it was just made");
        assert_eq!((meta.uid(), meta.gid()), (who.uid, who.gid));
    });
}

/// Root without capabilities is an owner like any other: modes hold for it.
#[test]
fn root_inside_cannot_read_what_its_mode_forbids() {
    as_root(|who| {
        let area = Area::new(who);
        let file = area.file("outside/closed", "secret");
        std::os::unix::fs::chown(&file, Some(65_534), Some(65_534)).expect("root may");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("root may");
        area.probe_outside(&["cat", &file.display().to_string()]).run().assert_prints("secret");
        area.probe(&area.rules(), &["cat", &file.display().to_string()]).run().assert_prints("EACCES");
    });
}

#[test]
fn ids_cannot_be_changed_inside() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/file", "");
        area.probe(&area.rules(), &["chown", "65534", "65534", &area.text("work/file")]).run().assert_prints_one_of(&["EPERM", "EINVAL"]);
        area.shell(&area.rules(), "setpriv --reuid 65534 --clear-groups true 2>/dev/null || echo refused").run().assert_prints("refused");
    });
}

#[test]
fn names_of_users_are_found() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outside = area.outside("/usr/bin/id").args(&["-un"]).run().out();
        area.srt(&area.rules()).args(&["id", "-un"]).run().assert_prints(&outside);
    });
}
