//! The forms that docs/52-command-line.md promises, and examples in every help.

use clap::{CommandFactory, Parser};
use prefix_manager::Cli;

#[path = "../../../cli/tests/support/documented.rs"]
mod page;

#[test]
fn every_documented_form_is_understood() {
    page::assert_understood("cloudflare-prefix-manager", 14, |form| {
        Cli::try_parse_from(form).map(drop).map_err(|error| error.to_string())
    });
}

#[test]
fn every_help_has_an_example() {
    let without = page::without_example(&Cli::command());
    assert!(without.is_empty(), "{without:#?}");
}
