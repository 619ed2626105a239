//! The table of event names against the sources of the whole workspace and against the page made from it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use daemon::events::{self, EventLevel, scan};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust sources under `src` of every crate and service; tests and examples log what they like.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for family in ["crates", "services"] {
        for member in fs::read_dir(workspace().join(family)).expect("a family of members") {
            collect(&member.expect("a member").path().join("src"), &mut found);
        }
    }
    assert!(found.len() > 10, "the sources are where this test looks");
    found
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.file_name().unwrap() != "tests.rs"
        {
            found.push(path);
        }
    }
}

#[test]
fn every_logged_event_is_in_the_table_with_its_level_and_every_entry_is_logged() {
    let mut problems = Vec::new();
    // The name given to messages of libraries is not written by a macro.
    let mut used = BTreeSet::from(["library.message".to_owned()]);
    for path in sources() {
        let source = fs::read_to_string(&path).expect("a readable source");
        for call in scan::calls(&source) {
            let file = path.strip_prefix(workspace()).unwrap_or(&path).display();
            let place = format!("{file}:{}", call.line);
            let Some(name) = call.event else {
                problems.push(format!(
                    "{place}: a {}! without a literal `event = \"area.thing.happened\"`",
                    call.level
                ));
                continue;
            };
            match events::find(&name) {
                None => problems.push(format!(
                    "{place}: {name} is not in a table in crates/daemon/src/events/table"
                )),
                Some(entry) if entry.level != EventLevel::Library && entry.level.as_str() != call.level => {
                    problems.push(format!(
                        "{place}: {name} is {} in the table, {} here",
                        entry.level.as_str(),
                        call.level
                    ));
                }
                Some(_) => {}
            }
            used.insert(name);
        }
    }
    for entry in events::all() {
        if !used.contains(entry.name) {
            problems.push(format!(
                "crates/daemon/src/events/table: {} is logged nowhere",
                entry.name
            ));
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn the_page_is_up_to_date() {
    let path = workspace().join("docs/50-log-events.md");
    let page = events::page();
    if std::env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1") {
        fs::write(&path, &page).expect("writes the page");
    }
    let have = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        have == page,
        "docs/50-log-events.md is old: UPDATE_GENERATED=1 cargo test -p daemon --test log_events"
    );
}
