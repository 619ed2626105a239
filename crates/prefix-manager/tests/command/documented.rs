//! The forms that docs/52-command-line.md promises, and examples in every help.

use clap::{CommandFactory, Parser};
use prefix_manager::Cli;

#[path = "../../../cli/tests/support/documented.rs"]
mod page;

fn understood(form: &[String]) -> Result<(), String> {
    Cli::try_parse_from(form).map(drop).map_err(|error| error.to_string())
}

#[test]
fn every_documented_form_is_understood() {
    page::assert_understood("cloudflare-prefix-manager", 14, understood);
}

#[test]
fn every_help_has_an_example_that_is_understood() {
    let without = page::without_example(&Cli::command());
    assert!(without.is_empty(), "{without:#?}");
    page::assert_examples(&Cli::command(), 16, understood);
}
