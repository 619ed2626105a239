//! Words that may stand in some places only: calls that change BGP, clocks, SQL's own clock, marks of unfinished work.
//!
//! A search for text is crude, but it needs no compiler and a reviewer can repeat it with grep.

use std::path::Path;

use crate::files::{files, shown, sources};
use crate::metadata::repository;

struct Rule {
    /// What may not be written. In two parts where this file would otherwise break its own rule.
    words: &'static [&'static str],
    /// Where the rule holds: beginnings of paths. Empty is everywhere.
    within: &'static [&'static str],
    /// Where they may be written all the same: parts of paths.
    except: &'static [&'static str],
    why: &'static str,
}

const RULES: [Rule; 7] = [
    Rule {
        words: &["AdvertisePermit::issued_by_prefix_ops"],
        within: &[],
        except: &["crates/prefix-ops/", "crates/cf-api/"],
        why: "only prefix-ops changes BGP: it alone writes the intent first and reads back afterwards",
    },
    Rule {
        words: &[".set_advertised("],
        within: &[],
        except: &["crates/prefix-ops/", "crates/cf-api/", "crates/cf-sim/", "/tests/"],
        why: "only prefix-ops changes BGP (the simulator has a call of the same name for tests)",
    },
    Rule {
        words: &["rusqlite::", "use rusqlite"],
        within: &[],
        except: &["crates/db/"],
        why: "SQL lives in db alone",
    },
    Rule {
        words: &["Timestamp::now", "SystemTime::now", "Instant::now", "Zoned::now"],
        within: &[
            "crates/domain/src",
            "crates/db/src/tables",
            "crates/prefix-ops/src",
            "crates/notify/src",
        ],
        // These are loops at the edge: how long they rest is monotonic time, what they decide is not.
        except: &[
            "crates/notify/src/drain",
            "crates/notify/src/channels.rs",
            "crates/notify/src/ask.rs",
        ],
        why: "instants are passed in: a decision that reads a clock cannot be replayed",
    },
    Rule {
        words: &["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX:"],
        within: &[],
        except: &[],
        why: "unfinished work is not handed in",
    },
    Rule {
        words: &["#[ignore]"],
        within: &[],
        except: &[],
        why: "a test that nobody runs proves nothing; roles for a second process say so as their reason",
    },
    Rule {
        words: &["std::thread::sleep", "thread::sleep("],
        within: &[],
        except: &["crates/db/src/connection.rs", "crates/cli/tests/support"],
        why: "waits look at what they wait for; SQLite's locks and another process have no wake-up call",
    },
];

#[test]
fn words_stand_where_they_belong() {
    let mut found = Vec::new();
    for path in sources() {
        let place = shown(&path);
        if place == "crates/testkit/tests/structure/words.rs" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for rule in &RULES {
            let inside = rule.within.is_empty() || rule.within.iter().any(|within| place.starts_with(within));
            if !inside || rule.except.iter().any(|except| place.contains(except)) {
                continue;
            }
            for (number, line) in text.lines().enumerate() {
                if let Some(word) = rule.words.iter().find(|word| line.contains(*word)) {
                    found.push(format!("{place}:{}: {word}: {}", number + 1, rule.why));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn sql_gets_its_times_as_parameters() {
    let predecessors = [
        "crates/db/migrations/0001_predecessor_tables.sql",
        "crates/db/src/migrate/adopt.rs",
    ];
    let own_clock = [
        "datetime('now",
        "CURRENT_TIMESTAMP",
        "strftime('%",
        "julianday('now",
        "unixepoch('now",
    ];
    let mut found = Vec::new();
    let mut looked_at = sources();
    looked_at.extend(files(&repository().join("crates"), &[".sql"]));
    for path in looked_at {
        let place = shown(&path);
        // The predecessor's own defaults must stay for its tools, are recognised in files it made, and fixtures are such.
        if predecessors.contains(&place.as_str()) || place.contains("/tests/") || place.ends_with("/tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        found.extend(
            own_clock
                .iter()
                .filter(|word| text.contains(*word))
                .map(|word| format!("{place}: {word}")),
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_speaks_of_the_machine_it_was_written_on() {
    let here = repository().display().to_string();
    let foreign = [here.as_str(), concat!("/", "root/"), concat!("/", "home/")];
    let mut found = Vec::new();
    for folder in [
        "crates", "services", "systemd", "cron", "config", "docs", "scripts", ".ci", ".config",
    ] {
        for path in files(&repository().join(folder), &[]) {
            found.extend(mentions(&path, &foreign));
        }
    }
    for file in ["README.md", "Cargo.toml"] {
        found.extend(mentions(&repository().join(file), &foreign));
    }
    assert!(found.is_empty(), "{found:#?}");
}

fn mentions(path: &Path, words: &[&str]) -> Vec<String> {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let found = words.iter().filter(|word| text.contains(*word));
    found.map(|word| format!("{}: {word}", shown(path))).collect()
}
