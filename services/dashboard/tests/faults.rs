//! Every fault that the predecessor's dashboard had in what it showed and changed is a test somewhere, wherever its cause now
//! lives; [`FAULTS`] says which and where, and a test here checks that those tests exist.

use std::path::Path;

/// A fault: its number, what went wrong, and the tests (`file::function`, files from the root of the repository) that
/// fail if it comes back.
type Fault = (&'static str, &'static str, &'static [&'static str]);

/// In the order of their numbers, none left out.
const FAULTS: [Fault; 41] = [
    (
        "C1",
        "a state that could not be read was shown as withdrawn",
        &[
            "services/dashboard/src/overview/tests.rs::an_empty_picture_is_unknown_and_not_calm",
            "services/dashboard/tests/pages.rs::an_empty_database_claims_nothing",
        ],
    ),
    (
        "C2",
        "tunnels without figures were healthy",
        &[
            "services/dashboard/src/connectors.rs::no_figures_are_no_health",
            "services/dashboard/tests/rules.rs::what_cannot_be_read_is_unknown_and_never_healthy_or_empty",
        ],
    ),
    (
        "C3",
        "the shipped example was not what the code read",
        &["crates/settings/tests/testdata.rs::good_configurations_are_accepted_with_their_warnings"],
    ),
    (
        "C4",
        "tables that the program read were made by nobody",
        &[
            "crates/db/src/migrate/tests.rs::a_migrated_file_has_the_schema_of_a_new_one",
            "crates/db/src/migrate/tests.rs::every_kind_of_predecessor_file_opens_and_keeps_every_row",
        ],
    ),
    (
        "C5",
        "after a search another rule was edited than the one clicked",
        &["services/dashboard/tests/overrides/mod.rs::exactly_the_rule_meant_is_set_in_exactly_the_scope_meant"],
    ),
    (
        "C6",
        "in a filtered list most rules could not be edited",
        &["services/dashboard/tests/overrides/mod.rs::exactly_the_rule_meant_is_set_in_exactly_the_scope_meant"],
    ),
    (
        "C7",
        "a global setting was written into one host's override",
        &["services/dashboard/tests/overrides/mod.rs::exactly_the_rule_meant_is_set_in_exactly_the_scope_meant"],
    ),
    (
        "C8",
        "overrides of all scopes were mixed, disabled ones too",
        &[
            "crates/rules/src/effective.rs::scopes_are_never_mixed",
            "crates/rules/src/effective.rs::a_table_of_levels",
        ],
    ),
    (
        "C9",
        "changing one of two settings lost the other, and nothing led back to the default",
        &["services/dashboard/tests/overrides/mod.rs::exactly_the_rule_meant_is_set_in_exactly_the_scope_meant"],
    ),
    (
        "C10",
        "a write after a failed read deleted every override; edits of others were lost",
        &[
            "services/dashboard/tests/failures.rs::no_failure_of_cloudflare_half_writes_infers_or_loses_input",
            "services/dashboard/tests/overrides/mod.rs::overrides_are_moved_among_all_and_the_second_of_two_is_told",
        ],
    ),
    (
        "C11",
        "the target rule of an override was never sent, and did not follow the service",
        &["services/dashboard/tests/overrides/mod.rs::an_override_is_read_by_the_parser_and_fits_its_rule"],
    ),
    (
        "C12",
        "the order left out the global rule, and new overrides came after it",
        &[
            "services/dashboard/tests/overrides/standing.rs::another_order_is_looked_at_with_what_it_makes_unreachable",
            "services/dashboard/tests/overrides/mod.rs::overrides_are_moved_among_all_and_the_second_of_two_is_told",
            "services/dashboard/tests/overrides/mod.rs::exactly_the_rule_meant_is_set_in_exactly_the_scope_meant",
        ],
    ),
    (
        "C13",
        "saving a tunnel wiped other fields, left the probe behind and claimed what was ignored",
        &[
            "services/dashboard/src/connectors/edit/tests.rs::everything_that_is_not_changed_goes_back",
            "services/dashboard/src/connectors/edit/tests.rs::the_probe_follows_the_endpoint_only_where_it_did",
            "services/dashboard/src/connectors/edit/tests.rs::what_was_not_taken_over_is_found",
            "services/dashboard/tests/rules.rs::a_tunnel_is_changed_with_its_difference_shown_first",
        ],
    ),
    (
        "C14",
        "the description of a rule was lost in the details",
        &["services/dashboard/tests/predecessor.rs::every_answer_has_the_predecessors_keys"],
    ),
    (
        "C15",
        "counts and rates were mixed",
        &["services/dashboard/tests/predecessor.rs::amounts_and_rates_are_not_mixed"],
    ),
    (
        "C16",
        "three notions of what is ours, one of them by text, and the unknown counted as ours",
        &[
            "crates/domain/src/evidence.rs::rows_go_to_the_most_specific_advertised_owner_in_both_families",
            "crates/domain/src/prefix.rs::a_row_wider_than_the_owners_counts_for_each",
        ],
    ),
    (
        "C17",
        "thresholds were rounded and an hour became a minute",
        &[
            "services/dashboard/src/monitoring.rs::an_untouched_rule_comes_out_as_it_was",
            "services/dashboard/src/monitoring.rs::decimals_and_small_rates_are_what_they_say",
            "services/dashboard/tests/rules.rs::rules_of_all_kinds_are_made_changed_deleted_and_taken_back",
        ],
    ),
    (
        "C18",
        "durations, names and prefixes that Cloudflare refuses were sent",
        &[
            "services/dashboard/src/monitoring.rs::what_cannot_be_meant_is_named_by_field",
            "crates/rules/src/mnm/draft.rs::what_cloudflare_refuses_is_named_by_field",
        ],
    ),
    (
        "C19",
        "times were written in a fixed zone or none",
        &["services/dashboard/src/words.rs::the_day_and_the_year_are_named_when_they_are_not_this_one"],
    ),
    (
        "C20",
        "a time that could not be read meant no cool-down",
        &["services/dashboard/src/readiness/tests.rs::soon_after_a_withdrawal_there_is_a_doubt"],
    ),
    (
        "C21",
        "the countdown ran although nobody would act",
        &["services/dashboard/src/overview/prefix/tests.rs::a_deadline_runs_only_while_the_automation_is_seen"],
    ),
    (
        "C22",
        "a negative limit returned whole tables",
        &["services/dashboard/src/api/params.rs::limits_and_cursors_are_checked_and_never_lifted"],
    ),
    (
        "C23",
        "numbers with separators were cut at the first",
        &["services/dashboard/src/overview/log.rs::the_predecessors_numbers_are_read_whole"],
    ),
    (
        "C24",
        "interconnects: wrong method, both forms of addresses, pages, a constant status",
        &[
            "crates/cf-api/src/rest/connectors.rs::addresses_in_both_forms",
            "services/dashboard/src/connectors/edit/tests.rs::a_link_keeps_its_description_in_its_own_place",
            "services/dashboard/tests/failures.rs::no_failure_of_cloudflare_half_writes_infers_or_loses_input",
        ],
    ),
    (
        "C25",
        "IPv4 only, and 999.1.1.1 was an address",
        &[
            "services/dashboard/src/connectors/edit/tests.rs::what_cannot_be_meant_is_named_by_field",
            "services/dashboard/tests/overrides/mod.rs::an_override_is_read_by_the_parser_and_fits_its_rule",
            "services/dashboard/src/overrides/builder.rs::a_table_of_conditions_that_read_back",
        ],
    ),
    (
        "C26",
        "one person's view changed what everybody was told",
        &[
            "services/dashboard/tests/predecessor.rs::what_the_eye_wants_is_each_persons_and_announcements_are_an_admins",
        ],
    ),
    (
        "C27",
        "numbers did not fit the lists under them: tiles counted defaults, lists showed what is in force",
        &[
            "services/dashboard/tests/overrides/mod.rs::categories_and_all_rules_are_set_with_what_that_changes",
            "services/dashboard/tests/predecessor.rs::both_sources_are_read_in_pages_without_gap_or_repetition",
        ],
    ),
    (
        "C28",
        "the average of a day was called real time, and errors were hidden",
        &[
            "services/dashboard/src/flow.rs::a_rate_is_over_the_time_that_was_reported",
            "services/dashboard/tests/flow.rs::what_cannot_be_read_is_unknown_and_the_rest_is_shown",
            "services/dashboard/src/plot.rs::what_was_not_read_is_a_gap_and_not_zero",
        ],
    ),
    (
        "C29",
        "a null broke a whole answer",
        &[
            "crates/cf-api/src/rest/rulesets_rule.rs::null_is_nothing_and_spoils_no_other_rule",
            "services/dashboard/src/connectors/edit/tests.rs::a_tunnel_without_probes_settings_can_get_some",
            "services/dashboard/src/api/attacks/payload.rs::a_payload_without_data_hurts_nobody",
        ],
    ),
    (
        "C30",
        "the validator took nonsense, and weakening everything needed no word",
        &[
            "services/dashboard/tests/overrides/mod.rs::an_override_is_read_by_the_parser_and_fits_its_rule",
            "services/dashboard/tests/overrides/mod.rs::exactly_the_rule_meant_is_set_in_exactly_the_scope_meant",
        ],
    ),
    (
        "C31",
        "templates led to rules of another protocol",
        &["crates/rules/src/target.rs::every_template_fits_its_target"],
    ),
    (
        "C32",
        "a service was active or not, and nothing else",
        &["services/dashboard/src/overview/sign.rs::a_service_is_there_only_while_it_is_seen"],
    ),
    (
        "C33",
        "a withdrawal under attack needed only a click",
        &["services/dashboard/tests/acts.rs::a_withdrawal_wants_the_prefix_typed_and_leaves_a_record"],
    ),
    (
        "C34",
        "messages with markup in them were refused and lost",
        &["crates/notify/tests/delivery.rs::refused_markup_is_sent_as_plain_text"],
    ),
    (
        "C35",
        "networks were sorted as text",
        &["services/dashboard/tests/api.rs::prefixes_have_the_predecessors_keys_and_more"],
    ),
    (
        "C36",
        "a tunnel that is down in one place was healthy on average",
        &["services/dashboard/src/connectors.rs::a_place_that_is_down_is_not_averaged_away"],
    ),
    (
        "C37",
        "any name in the figures counted as an interconnect",
        &["services/dashboard/src/connectors.rs::no_figures_are_no_health"],
    ),
    (
        "C38",
        "what is unknown was counted nowhere, old numbers stayed as new ones",
        &[
            "services/dashboard/tests/rules.rs::what_cannot_be_read_is_unknown_and_never_healthy_or_empty",
            "services/dashboard/tests/rules.rs::old_figures_stay_with_their_age_when_the_next_read_fails",
        ],
    ),
    (
        "C39",
        "an action was offered that cannot be set",
        &["services/dashboard/tests/overrides/mod.rs::only_what_cloudflare_permits_is_offered_and_taken"],
    ),
    (
        "C40",
        "begin and end of an attack were not one thing",
        &["services/dashboard/tests/pages.rs::the_incident_page_tells_the_story"],
    ),
    (
        "C41",
        "a click was shown as done at once",
        &["services/dashboard/tests/pages.rs::the_main_page_says_every_state_in_its_words"],
    ),
];

#[test]
fn every_fault_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (number, what, tests) in FAULTS {
        assert!(!tests.is_empty(), "{number}: {what}");
        for test in tests {
            let (file, function) = test.split_once("::").unwrap();
            let text =
                std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{number}: {file}: {error}"));
            assert!(
                text.contains(&format!("fn {function}(")),
                "{number}: there is no {test}"
            );
        }
    }
}

#[test]
fn every_number_is_here_once() {
    let known: Vec<&str> = FAULTS.iter().map(|(number, ..)| *number).collect();
    let all: Vec<String> = (1..=41).map(|number| format!("C{number}")).collect();
    assert_eq!(known, all);
}
