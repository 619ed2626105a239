//! Everything red leads to a runbook: error codes of programs and of the database, parts of the health page, links.
//!
//! What there is is read from the sources, so that whoever adds a code or a check hears of it here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Up to where a constructor's code stands behind its bracket.
const NEAR: usize = 300;

fn top() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("the repository").to_owned()
}

fn runbooks() -> String {
    std::fs::read_to_string(top().join("docs/40-runbooks.md")).unwrap()
}

/// Sources of programs and libraries without their tests, by path from the top.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !matches!(name.as_str(), "tests" | "examples" | "cf-sim" | "testkit") {
                walk(&path, found);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                found.push(path);
            }
        }
    }
    let (top, mut files) = (top(), Vec::new());
    for folder in ["crates", "services"] {
        walk(&top.join(folder), &mut files);
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        (path.strip_prefix(&top).unwrap().display().to_string(), code)
    };
    files.into_iter().map(read).collect()
}

fn is_code(text: &str) -> bool {
    text.contains('.')
        && text
            .split('.')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

/// The texts in quotation marks of a piece of source.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// What follows each place where one of the words stands.
fn behind<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(word).map(move |(at, _)| {
        let rest = &text[at + word.len()..];
        let end = rest
            .char_indices()
            .map(|(at, _)| at)
            .take_while(|at| *at < NEAR)
            .last()
            .unwrap_or(0);
        &rest[..end]
    })
}

/// The codes with which commands end, and those of the database.
fn codes() -> BTreeMap<String, String> {
    let mut codes = BTreeMap::new();
    for (path, text) in sources() {
        for constructor in ["failed", "usage", "blocked", "new"] {
            for rest in behind(&text, &format!("Trouble::{constructor}(")) {
                if let Some(code) = quoted(rest).find(|text| is_code(text)) {
                    codes.insert(code.to_owned(), path.clone());
                }
            }
        }
        for rest in behind(&text, "=> \"db.") {
            let word = rest.split('"').next().unwrap_or_default();
            codes.insert(format!("db.{word}"), path.clone());
        }
    }
    codes
}

#[test]
fn every_error_code_has_a_runbook() {
    let (runbooks, codes) = (runbooks(), codes());
    assert!(codes.len() > 60, "codes were found: {codes:?}");
    let has = |code: &str| {
        let family = code.split('.').next().unwrap_or_default();
        runbooks.contains(&format!("`{code}`")) || runbooks.contains(&format!("`{family}.*`"))
    };
    let missing: Vec<String> = codes
        .iter()
        .filter(|(code, _)| !has(code))
        .map(|(code, path)| format!("{code} ({path})"))
        .collect();
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "docs/40-runbooks.md says nothing of these codes"
    );
}

#[test]
fn every_part_of_the_health_page_has_a_runbook() {
    let mut checks = BTreeSet::new();
    for text in sources().values() {
        for rest in behind(text, ".check(") {
            let name = rest
                .trim_start()
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next());
            checks.extend(name.filter(|name| !name.contains(' ')).map(str::to_owned));
        }
    }
    assert!(checks.contains("mitigations") && checks.len() > 12, "{checks:?}");
    let runbooks = runbooks();
    let section = runbooks
        .split("\n## ")
        .find(|section| section.starts_with("Health says failing"));
    let section = section.expect("a section about health");
    let missing: Vec<&String> = checks
        .iter()
        .filter(|name| !section.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(
        missing,
        Vec::<&String>::new(),
        "'Health says failing' does not lead on from these checks"
    );
}

#[test]
fn every_runbook_says_what_it_means_and_what_to_do() {
    for section in runbooks().split("\n## ").skip(1) {
        let title = section.lines().next().unwrap_or_default();
        for part in ["Consequence", "Steps"] {
            assert!(section.contains(part), "{title}: no {part}");
        }
        let has_time = section.contains("Time left") || section.contains("it is") || section.contains("| Code |");
        assert!(has_time, "{title}: how much time is left?");
    }
}

/// The anchors that a page has, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let titles = page.lines().filter_map(|line| line.strip_prefix('#'));
    titles
        .map(|title| {
            let title = title.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let top = top();
    let mut pages = vec![top.join("README.md")];
    for entry in std::fs::read_dir(top.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    let mut wrong = Vec::new();
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(file)
            };
            let is_there = target.exists()
                && (anchor.is_empty() || anchors(&std::fs::read_to_string(&target).unwrap()).contains(anchor));
            if !is_there {
                wrong.push(format!("{}: {link}", page.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
