//! The forms that docs/52-command-line.md promises.

use std::process::ExitCode;

use autowithdraw::commands::asked;

#[path = "../../../../crates/cli/tests/support/documented.rs"]
mod page;

#[test]
fn every_documented_form_is_understood() {
    page::assert_understood("cloudflare-autowithdraw", 8, |form| {
        match asked(form.iter().map(Into::into)) {
            Ok(_) => Ok(()),
            // Help was asked for, and is printed.
            Err(code) if code == ExitCode::SUCCESS => Ok(()),
            Err(_) => Err("it is not understood".to_owned()),
        }
    });
}
