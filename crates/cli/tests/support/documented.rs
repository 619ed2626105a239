//! The forms of docs/52-command-line.md, and what every help must have. Shared by the tests of all command lines (`#[path]`).
#![allow(dead_code)]

const PAGE: &str = include_str!("../../../../docs/52-command-line.md");

/// What the table of the predecessor's commands says to type now, for one program, split as a shell would.
pub(crate) fn new_forms(program: &str) -> Vec<Vec<String>> {
    let table = PAGE
        .split("## Commands of the Python system")
        .nth(1)
        .expect("the chapter")
        .split("\n## ")
        .next()
        .expect("its end");
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut forms = Vec::new();
    for row in rows {
        let now = row
            .trim_matches(['|', ' '])
            .split(" | ")
            .nth(1)
            .expect("a second column");
        let codes = now.split('`').skip(1).step_by(2);
        forms.extend(
            codes
                .map(split)
                .filter(|words| words.first().is_some_and(|first| first == program)),
        );
    }
    forms
}

/// Words of a command line; single quotes keep what is between them together.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut quoted) = (Vec::new(), false);
    let mut word = String::new();
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Asserts that each of them is understood. `parse` takes a whole command line.
pub(crate) fn assert_understood(program: &str, least: usize, parse: impl Fn(&[String]) -> Result<(), String>) {
    let forms = new_forms(program);
    assert!(
        forms.len() >= least,
        "only {} forms of {program} are in the table",
        forms.len()
    );
    for form in forms {
        if let Err(error) = parse(&form) {
            panic!("{}: {error}", form.join(" "));
        }
    }
}

/// Columns that a help is broken at.
const WIDTH: usize = 100;

/// Asserts that the program understands every example of its own helps, and that none is broken there, because they are
/// copied. `parse` takes a whole command line.
pub(crate) fn assert_examples(command: &clap::Command, least: usize, parse: impl Fn(&[String]) -> Result<(), String>) {
    let found = examples(command, command.get_name());
    assert!(
        found.len() >= least,
        "only {} examples in the helps: {found:#?}",
        found.len()
    );
    for (line, example) in found {
        assert!(line.len() <= WIDTH, "{line} has {} characters", line.len());
        if let Err(error) = parse(&split(&example)) {
            panic!("{example}: {error}");
        }
    }
}

/// Calls of `program` in the helps of a command and of those below it, with their lines.
fn examples(command: &clap::Command, program: &str) -> Vec<(String, String)> {
    let shown = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut found = Vec::new();
    for line in shown.lines() {
        let call = line.trim().trim_start_matches("Example: ");
        if !call.starts_with(&format!("{program} ")) && call != program {
            continue;
        }
        // Up to a remark or to another program; of two commands each.
        let call = call.split(" # ").next().unwrap_or(call);
        let call = call.split(" | ").next().unwrap_or(call).trim_end();
        let calls = call.split(" && ").map(|one| one.replace("$(date +%F)", "2026-11-22"));
        found.extend(calls.map(|one| (line.to_owned(), one)));
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        found.extend(examples(below, program));
    }
    found
}

/// Commands whose help shows no example.
pub(crate) fn without_example(command: &clap::Command) -> Vec<String> {
    let mut found = Vec::new();
    let shown = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if !shown.contains("Example") {
        found.push(command.get_name().to_owned());
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        for name in without_example(below) {
            found.push(format!("{} {name}", command.get_name()));
        }
    }
    found
}
