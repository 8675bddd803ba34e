//! What of the suite CI leaves out on an emulated machine, and why. By hand everything is run.

/// What CI runs on an emulated machine, beside what `doctor` says and what is refused: the tests that kernels most likely answer differently to, and that take
/// little time. Whole areas, and single tests of others.
pub(super) const IN_CI: &[&str] = &[
    // Hosts that lack a layer, containers, both families of mount calls.
    "layers::",
    "devices::",
    "masks::a_mask_cannot_be_lifted_from_inside",
    "masks::the_whole_home_can_be_denied_but_for_one_directory",
    "masks::what_allow_read_names_inside_a_denial_can_be_read_and_nothing_beside_it",
    "filesystem::a_file_renamed_over_a_denied_file_does_not_replace_it",
    "filesystem::extended_attributes_outside_write_roots_stay",
    "filesystem::system_directories_cannot_be_changed_even_by_root",
    "links::a_",
    // Identity, namespaces, the end of the process tree.
    "root_and_user::",
    "processes::all_five_capability_sets_are_empty",
    "processes::every_namespace_is_the_sandboxs_own",
    "processes::nothing_outlives_a_killed_srt",
    "processes::srt_runs_where_its_process_group_has_no_number",
    // The filter, against tables of calls that grow.
    "seccomp::calls_that_are_newer_than_the_table_are_missing",
    "seccomp::garbage_in_the_upper_half_of_an_argument_does_not_pass_the_filter",
    "seccomp::other_tables_of_system_calls_are_closed",
    "seccomp::the_filter_is_on_and_no_new_privileges_is_set",
    // The broker: descriptors, procfs, memory, signals.
    "broker_detours::",
    "broker_opens::a_signal_handler_ends_the_wait_for_a_fifo_unless_it_restarts_calls",
    "broker_opens::a_file_without_a_name_gets_one_afterwards",
    "broker_opens::locks_belong_to_the_open_file_description",
    "broker_paths::own_",
    "broker_privileges::memory_and_descriptors_of_the_first_process_are_not_read",
    "broker_privileges::what_runs_inside_has_no_capability_and_the_callers_ids",
    // The network namespace, the connections that the broker makes, sockets by path.
    "network::a_server_on_the_hosts_loopback_is_not_reached_directly",
    "network::an_entry_with_a_port_allows_that_port_only",
    "network::servers_of_the_command_on_its_own_loopback_work",
    "network::the_only_interface_is_lo",
    "transparent::a_name_that_is_not_allowed_does_not_exist_and_one_event_says_so",
    "unix_socket_paths::exactly_one_event_tells_of_a_denied_socket",
    "unix_sockets::",
    // Denials that the kernel's own program reports.
    "ebpf::a_write_is_told",
    "ebpf::every_way_to_read",
];

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
    LeftOut { tests: "a_signal_at_the_moment_of_the_end", reason: "120 runs to meet one moment" },
    LeftOut { tests: "a_protected_name_comes_to_be_at_no_depth", reason: "hundreds of names; other tests of name_rules_git do some" },
    LeftOut { tests: "a_reader_that_does_not_read_does_not_hold_the_command_up", reason: "a hundred thousand lines" },
    LeftOut { tests: "java_reaches_it", reason: "a Java machine" },
];
