//! What the files are called, how long they are, and what may stand at the top.

use std::path::{Path, PathBuf};

use crate::metadata::repository;

/// Never longer; most are far shorter.
const MOST_LINES: usize = 600;

/// Entry points only order things.
const MOST_LINES_OF_MAIN: usize = 60;

/// Names that grow without end because they say nothing. Test support shared by several test programs must be called
/// `common/mod.rs` or the like for cargo's sake, so tests are excepted.
const SAY_NOTHING: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];

/// What may stand at the top besides files that begin with a dot.
const TOP: [&str; 14] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "crates",
    "deny.toml",
    "services",
    "systemd",
    "cron",
    "config",
    "docs",
    "scripts", // made by tools, ignored by git:
    "target",
    "node_modules",
];

/// All files below `folder` with one of these endings (all files when none is given), without what tools made.
pub(crate) fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                if !["target", "node_modules", ".git"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A path as people write it, from the top of the repository.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap().display().to_string()
}

/// Rust sources of ours.
pub(crate) fn sources() -> Vec<PathBuf> {
    let mut found = files(&repository().join("crates"), &[".rs"]);
    found.extend(files(&repository().join("services"), &[".rs"]));
    assert!(found.len() > 100, "the sources were found");
    found
}

#[test]
fn no_file_has_grown_beyond_one_reason_to_change() {
    let mut long = Vec::new();
    for path in sources() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        let most = if path.ends_with("src/main.rs") {
            MOST_LINES_OF_MAIN
        } else {
            MOST_LINES
        };
        if lines > most {
            long.push(format!("{}: {lines} lines, at most {most}", shown(&path)));
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn names_say_what_a_file_holds() {
    let mut silent = Vec::new();
    for path in sources() {
        let shown = shown(&path);
        let parts = shown.split('/').filter(|_| !shown.contains("/tests/"));
        if parts
            .clone()
            .any(|part| SAY_NOTHING.contains(&part.trim_end_matches(".rs")))
        {
            silent.push(shown.clone());
        }
    }
    // The socket's other end is a service manager.
    silent.retain(|path| path != "crates/testkit/src/manager.rs");
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_top_is_a_table_of_contents() {
    for entry in std::fs::read_dir(repository()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || TOP.contains(&name.as_str()),
            "{name} does not belong at the top"
        );
    }
}

#[test]
fn every_source_says_what_it_is_for() {
    let mut silent = Vec::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.trim_start().starts_with("//!") {
            silent.push(shown(&path));
        }
    }
    assert!(silent.is_empty(), "no header comment: {silent:#?}");
}

/// Where all tests of a package are one program, a file that its `main.rs` does not name would never be compiled.
#[test]
fn no_test_is_left_out() {
    let root = repository();
    let mains: Vec<_> = files(root, &["main.rs"])
        .into_iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "tests"))
        .collect();
    assert!(mains.len() > 10, "{mains:?}");
    let mut left_out = Vec::new();
    for main in mains {
        let named = std::fs::read_to_string(&main).unwrap();
        for entry in std::fs::read_dir(main.parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            let source = path.extension().is_some_and(|ending| ending == "rs") || path.join("mod.rs").exists();
            let module = path.file_stem().unwrap().to_string_lossy().into_owned();
            if source && module != "main" && !named.contains(&format!("mod {module};")) {
                left_out.push(shown(&path));
            }
        }
    }
    assert!(left_out.is_empty(), "tests/main.rs does not name {left_out:#?}");
}
