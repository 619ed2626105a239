//! What is wrong with a configuration, said so that it can be mended at 3 a.m.
//!
//! Every problem names where it stands, which key and value are meant, what is wrong and what to
//! do. Values of secrets never get here: whoever makes a [`Problem`] masks them first
//! (see `site`). Codes are stable: logs, JSON and the runbook use the same words.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Exit code of every program whose configuration cannot be used (`EX_CONFIG` of sysexits.h). The
/// units name it in `RestartPreventExitStatus=`, because starting again mends nothing.
pub const EXIT_BAD_CONFIG: u8 = 78;

macro_rules! codes {
    ($($name:ident = $text:literal, $meaning:literal;)*) => {
        /// Which kind of problem it is, as a stable word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// Every code, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable word, `config.…`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// One sentence for the reference.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    FileMissing = "config.file_missing", "The configuration folder or `settings.json` does not exist.";
    FileUnreadable = "config.file_unreadable", "A file exists but cannot be read, is not UTF-8 text or is far too large.";
    Syntax = "config.syntax", "A file is not valid JSON.";
    DuplicateKey = "config.duplicate_key", "A key stands twice in one object; JSON readers would silently take the last.";
    UnknownKey = "config.unknown_key", "Nothing reads this key; it is probably misspelt.";
    RetiredKey = "config.retired_key", "A key of the predecessor that nothing reads any more, or never did.";
    UnknownVariable = "config.unknown_variable", "An environment variable begins with `CLOUDFLARE_MT_` but names no key.";
    MissingKey = "config.missing_key", "A key without default is absent.";
    NotConfigured = "config.not_configured", "An optional part is switched off because its keys are absent.";
    WrongType = "config.wrong_type", "The value has another JSON type than the key needs.";
    InvalidValue = "config.invalid_value", "The type is right, the content cannot be what was meant.";
    OutOfRange = "config.out_of_range", "A number, duration or list lies outside its limits.";
    Contradiction = "config.contradiction", "Two settings exclude each other.";
    HostBits = "config.host_bits", "A network has bits set below its prefix length.";
    DuplicatePrefix = "config.duplicate_prefix", "A network is listed twice, perhaps in two spellings.";
    OverlappingPrefixes = "config.overlapping_prefixes", "A network lies inside another of the same list.";
    EmptyValue = "config.empty_value", "A value is present but empty.";
    EmptySecret = "config.empty_secret", "A secret is present but empty; an empty secret would let everybody in.";
    Placeholder = "config.placeholder", "A value of the shipped example was not replaced.";
    MaskedSecret = "config.masked_secret", "A secret is the mask that `--print-config` writes instead of it.";
    SecretFile = "config.secret_file", "A file or credential that should hold a secret cannot be used.";
    RiskyValue = "config.risky_value", "Allowed, but with a consequence one should know.";
    ReadableByOthers = "config.readable_by_others", "A file that holds secrets can be read by users it is not meant for.";
    WritableByOthers = "config.writable_by_others", "A file can be changed by users it is not meant for.";
    LegacyFile = "config.legacy_file", "A file of the predecessor cannot be imported; nothing else depends on it.";
    Internal = "config.internal", "The loader contradicts itself; please report it.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Whether a problem stops the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The programs start; somebody should look.
    Warning,
}

/// Where the value at fault stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A file, and the line in it where that is known (1 is the first).
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: Option<u32>,
        /// The column in characters, for syntax errors.
        column: Option<u32>,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// A default of ours (seen in conflicts between a default and a given value).
    Default,
}

impl Place {
    pub(crate) fn file(path: &Path) -> Self {
        Self::File {
            path: path.to_owned(),
            line: None,
            column: None,
        }
    }

    pub(crate) fn line(path: &Path, line: u32) -> Self {
        Self::File {
            path: path.to_owned(),
            line: Some(line),
            column: None,
        }
    }

    /// The place as people write it, files of `directory` by their name alone.
    fn shown(&self, directory: &Path) -> String {
        match self {
            Self::File { path, line, column } => {
                let mut text = path
                    .strip_prefix(directory)
                    .ok()
                    .filter(|rest| !rest.as_os_str().is_empty())
                    .unwrap_or(path)
                    .display()
                    .to_string();
                for number in [line, column].into_iter().flatten() {
                    text.push_str(&format!(":{number}"));
                }
                text
            }
            Self::Variable { name } => format!("environment variable {name}"),
            Self::Default => "built-in default".to_owned(),
        }
    }
}

/// One thing that is wrong, or that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which kind, as a stable word.
    pub code: Code,
    /// Whether it stops the start.
    pub severity: Severity,
    /// Where it stands.
    pub place: Place,
    /// The key, with dots; absent for a whole file.
    pub key: Option<String>,
    /// The value as written, cut if long, never a secret.
    pub value: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    /// Whether `--check-config` fails on it: all errors, and what is most likely a typing error.
    pub fn fails_check(&self) -> bool {
        self.severity == Severity::Error || matches!(self.code, Code::UnknownKey | Code::UnknownVariable)
    }

    /// One line for a log: where, which key, what, remedy.
    pub fn one_line(&self, directory: &Path) -> String {
        let key = self.key.as_ref().map_or_else(String::new, |key| format!(" {key}"));
        let value = self
            .value
            .as_ref()
            .map_or_else(String::new, |value| format!(" = {value}"));
        format!(
            "{}:{key}{value}: {}; {}",
            self.place.shown(directory),
            self.what,
            self.remedy
        )
    }
}

/// Everything that is wrong with a configuration, at once.
///
/// The text form is meant for a console and for the journal; the JSON form has the same fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigReport {
    /// The configuration folder that was read.
    pub directory: PathBuf,
    /// Errors first, then warnings; each group in file order.
    pub problems: Vec<Problem>,
}

impl ConfigReport {
    pub(crate) fn new(directory: &Path, mut problems: Vec<Problem>) -> Self {
        sort(&mut problems);
        Self {
            directory: directory.to_owned(),
            problems,
        }
    }

    /// Problems that stop the start.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.of(Severity::Error)
    }

    /// Problems that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.of(Severity::Warning)
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(move |problem| problem.severity == severity)
    }

    /// The code programs exit with: [`EXIT_BAD_CONFIG`].
    pub fn exit_code(&self) -> u8 {
        EXIT_BAD_CONFIG
    }
}

impl std::error::Error for ConfigReport {}

/// Errors before warnings, then by place: people mend a file from top to bottom.
pub(crate) fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| (a.severity, &a.place, &a.key, a.code).cmp(&(b.severity, &b.place, &b.key, b.code)));
}

const WIDTH: usize = 96;
const LABEL: usize = 14;

impl fmt::Display for ConfigReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (errors, warnings) = (self.errors().count(), self.warnings().count());
        let directory = self.directory.display();
        match (errors, warnings) {
            (0, 0) => return writeln!(f, "The configuration in {directory} is good."),
            (0, _) => writeln!(
                f,
                "The configuration in {directory} can be used, with {}.",
                count(warnings, "warning")
            )?,
            (_, 0) => writeln!(
                f,
                "The configuration in {directory} cannot be used: {}.",
                count(errors, "error")
            )?,
            _ => writeln!(
                f,
                "The configuration in {directory} cannot be used: {}, {}.",
                count(errors, "error"),
                count(warnings, "warning")
            )?,
        }
        for (position, problem) in self.problems.iter().enumerate() {
            let severity = match problem.severity {
                Severity::Error => "ERROR",
                Severity::Warning => "WARNING",
            };
            writeln!(f, "\n{:>3}. {severity:<8} {}", position + 1, problem.code)?;
            field(f, "where", &problem.place.shown(&self.directory))?;
            if let Some(key) = &problem.key {
                field(f, "key", key)?;
            }
            if let Some(value) = &problem.value {
                field(f, "value", value)?;
            }
            field(f, "problem", &problem.what)?;
            field(f, "remedy", &problem.remedy)?;
        }
        Ok(())
    }
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A labelled text, wrapped at words under its own first column.
fn field(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    let mut lines = wrap(text, WIDTH - LABEL).into_iter();
    let first = lines.next().unwrap_or_default();
    writeln!(f, "     {label:<8} {first}")?;
    for line in lines {
        writeln!(f, "{:LABEL$}{line}", "")?;
    }
    Ok(())
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(severity: Severity, line: u32) -> Problem {
        Problem {
            code: Code::WrongType,
            severity,
            place: Place::line(Path::new("/etc/mt/settings.json"), line),
            key: Some("autowithdraw.calm_period".to_owned()),
            value: Some("15".to_owned()),
            what: "a duration is text with a unit, this is a number".to_owned(),
            remedy: "write \"15m\"".to_owned(),
        }
    }

    #[test]
    fn errors_come_first_and_in_file_order() {
        let report = ConfigReport::new(
            Path::new("/etc/mt"),
            vec![
                problem(Severity::Warning, 1),
                problem(Severity::Error, 9),
                problem(Severity::Error, 3),
            ],
        );
        let lines: Vec<_> = report
            .problems
            .iter()
            .map(|p| p.place.shown(&report.directory))
            .collect();
        assert_eq!(lines, ["settings.json:3", "settings.json:9", "settings.json:1"]);
        let text = report.to_string();
        assert!(text.starts_with("The configuration in /etc/mt cannot be used: 2 errors, 1 warning.\n"));
        assert!(text.contains("  1. ERROR    config.wrong_type\n     where    settings.json:3\n"));
    }

    #[test]
    fn a_log_line_holds_everything() {
        assert_eq!(
            problem(Severity::Error, 3).one_line(Path::new("/etc/mt")),
            "settings.json:3: autowithdraw.calm_period = 15: a duration is text with a unit, this is a number; write \"15m\""
        );
    }

    #[test]
    fn long_texts_wrap_under_their_column() {
        let mut long = problem(Severity::Error, 1);
        long.remedy = "word ".repeat(40);
        let text = ConfigReport::new(Path::new("/etc/mt"), vec![long]).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().last().unwrap().starts_with("              word"));
    }

    #[test]
    fn codes_are_unique_and_named_alike() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(words.iter().all(|word| word.starts_with("config.")));
    }
}
