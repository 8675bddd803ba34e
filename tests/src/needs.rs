//! What tests are about, where it is a layer that some hosts lack: there they are counted skips.

use crate::layers::Layer;

/// The beginning of a test's name, and the layer.
const NEEDS: &[(&str, Layer)] = &[
    ("broker_", Layer::Broker),
    ("name_patterns.", Layer::Broker),
    ("name_rules", Layer::Broker),
    ("transparent.", Layer::Broker),
    ("unix_socket_paths.", Layer::Broker),
    ("unix_socket_races.", Layer::Broker),
    // Events of calls. Those of the proxies are in other areas, which run.
    ("violations.", Layer::Broker),
    ("ebpf.a_write_is_told_by_the_broker_alone", Layer::Broker),
    ("top.an_observer_hears_what_happened_and_what_happens_and_the_end", Layer::Broker),
    ("top.denials_appear_as_they_come_and_quitting_restores_the_terminal", Layer::Broker),
    ("top.the_table_shows_a_run_to_its_user_and_to_root_and_to_nobody_else", Layer::Broker),
    // A path that does not exist is a name.
    ("filesystem.a_write_root_that_does_not_exist_may_be_made_by_its_name", Layer::Broker),
    ("protocol.rules_on_names_change_while_the_command_runs", Layer::Broker),
    ("layers.names_are_judged_for_all_threads_of_a_container", Layer::Broker),
    // They compare with a host that has it.
    ("doctor_explain_check.check_says_where_a_rule_on_a_name_is_not_enforced", Layer::Broker),
    ("doctor_explain_check.explain_lists_the_names_that_are_not_enforced", Layer::Broker),
    // They want nothing on standard error; there every run says what it runs without.
    ("cli.a_quiet_run_says_nothing_on_standard_error", Layer::Broker),
    ("cli.the_three_ways_of_violations_write_what_they_say", Layer::Broker),
    ("signals.a_signal_at_the_moment_of_the_end_does_not_change_the_status", Layer::Broker),
    ("settings.keys_of_other_platforms_are_accepted_and_said_under_debug", Layer::Broker),
];

/// The layer that the running test is about and this host lacks.
pub(crate) fn missing(test: &str) -> Option<Layer> {
    let mut rows = NEEDS.iter().filter(|(name, _)| test.starts_with(name));
    rows.find(|(_, layer)| layer.is_missing()).map(|(_, layer)| *layer)
}
