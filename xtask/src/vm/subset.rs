//! What of the suite CI leaves out on an emulated machine, and why. By hand everything is run.

/// The areas that CI runs on an emulated machine: two that meet each layer once, beside what `doctor` says and what is refused. Whole areas take an hour on two processors that are busy.
pub(super) const IN_CI: &[&str] = &["ebpf::a_write_is_told", "ebpf::every_way_to_read"];

/// Tests whose names hold this text are left out.
pub(super) struct LeftOut {
    pub(super) tests: &'static str,
    /// Why; minutes are of an emulated 6.1, two machines at once.
    #[expect(dead_code, reason = "for the reader; it belongs beside the row")]
    pub(super) reason: &'static str,
}

/// Each is left out for its time: what it shows depends little on the kernel, or another test shows it with fewer tries.
pub(super) const LEFT_OUT: &[LeftOut] = &[
    LeftOut { tests: "cargo_job::", reason: "builds a crate from a registry: no network there" },
    LeftOut { tests: "real_tools", reason: "real programs, Node among them: an hour" },
    LeftOut { tests: "_races::", reason: "100 000 tries a race" },
    LeftOut { tests: "broker_threads::", reason: "storms of signals, 64 threads at work" },
    LeftOut { tests: "resources::", reason: "200 sandboxes at once" },
    LeftOut { tests: "can_be_run_as_soon_as_it_was_written", reason: "4000 programs written and run" },
    LeftOut { tests: "flags_and_mode_of_a_new_descriptor_are_those_that_were_asked_for", reason: "every combination of flags: 10 min" },
    LeftOut { tests: "sys_is_read_only_when_everything_else_may_be_written", reason: "tries every file of /sys" },
    LeftOut { tests: "a_signal_at_the_moment_of_the_end", reason: "120 runs to meet one moment" },
    LeftOut { tests: "a_protected_name_comes_to_be_at_no_depth", reason: "hundreds of names; other tests of name_rules_git do some" },
    LeftOut { tests: "a_reader_that_does_not_read_does_not_hold_the_command_up", reason: "a hundred thousand lines" },
    LeftOut { tests: "java_reaches_it", reason: "a Java machine" },
];
