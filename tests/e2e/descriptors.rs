//! Inherited descriptors and standard streams.

use srt_tests::{Area, for_each_identity};

#[test]
fn descriptors_above_two_are_closed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "secret");
        let redirect = format!("exec 7<{0}/file 9>>{0}/file 200<{0}; exec \"$@\"", area.text("outside"));
        let outside = area.probe_outside(&["fds"]).through_shell(&redirect).run().out();
        assert!(["7", "9", "200"].iter().all(|number| outside.split(' ').any(|open| open == *number)), "{outside}");
        area.probe(&area.rules(), &["fds"]).through_shell(&redirect).run().assert_prints("0 1 2");
    });
}

#[test]
fn an_inherited_directory_is_no_way_out() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "kept");
        let rules = area.rules().deny_read(area.text("outside"));
        let redirect = format!("exec 200<{}; exec \"$@\"", area.text("outside"));
        let script = "cat /proc/self/fd/200/file; echo x >/proc/self/fd/200/new; cat /dev/fd/200/file; true";
        let outcome = area.shell(&rules, script).through_shell(&redirect).run();
        assert!(!outcome.out().contains("kept") && !area.has("outside/new"), "{outcome}");
    });
}

#[test]
fn a_directory_as_a_standard_stream_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "kept");
        let rules = area.rules().deny_read(area.text("outside"));
        let redirect = format!("exec \"$@\" <{}", area.text("outside"));
        area.shell(&rules, "echo ran; cat /proc/self/fd/0/file").through_shell(&redirect).run().assert_refused();
    });
}

#[test]
fn ten_megabytes_pass_standard_output_and_input() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.probe(&area.rules(), &["write-bytes", "10485760"]).run();
        assert_eq!(outcome.stdout.len(), 10_485_760);
        outcome.assert_code(0);
        area.probe(&area.rules(), &["read-count"]).stdin(vec![b'x'; 10_485_760]).run().assert_prints("10485760");
    });
}

#[test]
fn ten_megabytes_pass_a_pipeline_between_two_sandboxes() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules();
        let words = |words: Vec<String>| words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let (from, to) =
            (words(area.probe(&rules, &["write-bytes", "10485760"]).words()), words(area.probe(&rules, &["read-count"]).words()));
        area.outside("/bin/sh").args(&["-c", &format!("{from} | {to}")]).run().assert_prints("10485760").assert_code(0);
    });
}

#[test]
fn a_closed_standard_input_reads_as_closed_or_empty() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.probe(&area.rules(), &["stdin-byte"]).through_shell("exec \"$@\" 0<&-").run();
        outcome.assert_prints_one_of(&["EBADF", "ok"]);
        // Whatever stands in its place must not be an object of srt's own.
        let outcome = area.shell(&area.rules(), "ls -l /proc/self/fd/0 2>&1; true").through_shell("exec \"$@\" 0<&-").run();
        outcome.assert_code(0);
        assert!(["/dev/null", "No such file", "cannot access", "pipe:"].iter().any(|text| outcome.out().contains(text)), "{outcome}");
    });
}

#[test]
fn closed_output_streams_do_not_hurt() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for redirect in ["exec \"$@\" 1>&-", "exec \"$@\" 2>&-", "exec \"$@\" 0<&- 1>&- 2>&-"] {
            let outcome = area.shell(&area.rules(), ": >mark; exit 6").through_shell(redirect).run();
            assert!(!outcome.err().contains("panicked"), "{outcome}");
            outcome.assert_code(6);
            assert!(area.has("work/mark"));
            drop(std::fs::remove_file(area.path("work/mark")));
        }
    });
}

#[test]
fn a_descriptor_named_with_pass_fd_is_kept() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "handed over");
        let settings = area.settings(&area.rules());
        let probe = srt_tests::probe().display().to_string();
        let program =
            area.bare_srt().args(&["run", "--settings", &settings, "--pass-fd", "7", "--", "sh", "-c", &format!("cat <&7; {probe} fds")]);
        let redirect = format!("exec \"$@\" 7<{0}/file 8<{0}/file", area.text("outside"));
        program.through_shell(&redirect).run().assert_prints("handed over0 1 2 7");
    });
}
