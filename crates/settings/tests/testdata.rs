//! Every folder of `config/testdata` gives exactly the report that lies in it as `report.txt`.
//!
//! `bad` holds configurations that `--check-config` refuses, `good` those that can be used, with
//! the settings in effect as `printed.json`. Rewrite expectations with
//! `UPDATE_GENERATED=1 cargo test -p settings --test testdata`, and read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{Folder, repository};
use settings::{ConfigReport, Loaded, Need, Severity, load, print_config, print_mapping};

fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = repository().join("config/testdata").join(kind);
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    cases
}

/// What `--check-config` would print, and the settings if there are any.
fn check(folder: &Folder) -> (ConfigReport, Option<Loaded>) {
    let options = folder.options(&[Need::CloudflareApi, Need::WebhookSecret]);
    match load(&options) {
        Err(report) => (report, None),
        Ok(loaded) => match loaded.check() {
            Err(report) => (report, Some(loaded)),
            Ok(()) => (loaded.report(), Some(loaded)),
        },
    }
}

/// Compares with the file, or writes it. Returns what is wrong.
fn compare(case: &Path, file: &str, got: &str) -> Option<String> {
    let path = case.join(file);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    (wanted != got).then(|| format!("{} differs.\n--- expected\n{wanted}\n--- got\n{got}", path.display()))
}

#[test]
fn wrong_configurations_give_one_clear_report() {
    let cases = cases("bad");
    assert!(cases.len() >= 25, "{} cases", cases.len());
    let mut faults = Vec::new();
    for case in cases {
        let folder = Folder::copy_of(&case);
        let (report, _) = check(&folder);
        if report.errors().next().is_none() {
            faults.push(format!("{} is accepted", case.display()));
        }
        for problem in &report.problems {
            if problem.what.is_empty() || problem.remedy.is_empty() {
                faults.push(format!("{}: {problem:?} explains nothing", case.display()));
            }
        }
        faults.extend(compare(&case, "report.txt", &folder.shown(&report.to_string())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn good_configurations_are_accepted_with_their_warnings() {
    let mut faults = Vec::new();
    for case in cases("good") {
        let folder = Folder::copy_of(&case);
        let (report, loaded) = check(&folder);
        faults.extend(compare(&case, "report.txt", &folder.shown(&report.to_string())));
        let Some(loaded) = loaded.filter(|_| report.errors().next().is_none()) else {
            faults.push(format!("{} is refused:\n{report}", case.display()));
            continue;
        };
        assert!(
            loaded
                .warnings
                .iter()
                .all(|problem| problem.severity == Severity::Warning)
        );
        faults.extend(compare(&case, "printed.json", &print_config(&loaded.settings)));

        let mut printed = Folder::new();
        printed.write("settings.json", &print_config(&loaded.settings));
        printed.write("prefix_mapping.json", &print_mapping(&loaded.settings));
        for name in ["auth.json", "dashboard_prefs.json"] {
            if let Ok(text) = std::fs::read_to_string(case.join(name)) {
                printed.write(name, &text);
            }
        }
        let mut options = printed.options(&[]);
        options.accept_masked_secrets = true;
        match load(&options) {
            Err(report) => faults.push(format!("{}: printed form: {report}", case.display())),
            Ok(again) if !again.settings.same_except_secrets(&loaded.settings) => {
                faults.push(format!("{} does not print back equal", case.display()));
            }
            Ok(_) => {}
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Secrets of the test folders, as they are written there.
#[test]
fn no_report_shows_a_secret() {
    let secrets = [
        "example-token-not-a-real-one",
        "example-webhook-secret",
        "example-bot-token",
        "example-global-key",
        "ExampleHashNotARealOne",
        "hunter2",
    ];
    for case in cases("bad").into_iter().chain(cases("good")) {
        let folder = Folder::copy_of(&case);
        let (report, loaded) = check(&folder);
        let mut shown = format!("{report}{report:?}");
        if let Some(loaded) = loaded {
            shown.push_str(&print_config(&loaded.settings));
            shown.push_str(&settings::print_provenance(&loaded));
            shown.push_str(&format!("{loaded:?}"));
        }
        for secret in secrets {
            assert!(!shown.contains(secret), "{}: {secret}", case.display());
        }
    }
}
