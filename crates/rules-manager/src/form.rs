//! The form of a rules file: TOML, YAML, or saved JSON of monitoring rules, by the name of the file or as asked for.
//!
//! Must hold: all forms hold the same, and unknown keys are refused in each. YAML of strangers is bounded by its reader:
//! depth, aliases, size.

use std::path::Path;

use rules::file::{FileError, RulesFile, SCHEMA};

use crate::args::Form;

/// What was asked for, else what the name says.
pub fn of(path: &Path, asked: Option<Form>) -> Option<Form> {
    let named = |extension: &str| path.extension().is_some_and(|it| it.eq_ignore_ascii_case(extension));
    asked.or_else(|| {
        if named("yaml") || named("yml") {
            Some(Form::Yaml)
        } else if named("toml") {
            Some(Form::Toml)
        } else {
            None
        }
    })
}

/// Reads a rules file. TOML and JSON are told apart by their text.
///
/// # Errors
/// Where and why it cannot be read.
pub fn read(text: &str, form: Option<Form>) -> Result<RulesFile, FileError> {
    if form != Some(Form::Yaml) {
        return RulesFile::read(text);
    }
    let file: RulesFile = serde_saphyr::from_str(text).map_err(|error| FileError(error.to_string()))?;
    if file.schema == SCHEMA {
        return Ok(file);
    }
    let schema = file.schema.escape_debug();
    Err(FileError(format!(
        "its schema is '{schema}'; this program reads '{SCHEMA}'"
    )))
}

/// Writes a rules file.
///
/// # Errors
/// A value that has no such form.
pub fn write(file: &RulesFile, form: Form) -> Result<String, FileError> {
    match form {
        Form::Yaml => serde_saphyr::to_string(file).map_err(|error| FileError(error.to_string())),
        Form::Toml | Form::Json => file.to_toml(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that are something else to one or another reader of YAML.
    const HARD: [&str; 14] = [
        "no",
        "on",
        "null",
        "~",
        "1e3",
        "0x10",
        "012",
        "12:30:45",
        "2026-12-01",
        "a: b",
        "- x",
        "# none",
        "'",
        "*anchor",
    ];

    fn file() -> RulesFile {
        let mut text = format!("schema = \"{SCHEMA}\"\n");
        for name in HARD {
            text.push_str(&format!(
                "[[override]]\nname = \"{name}\"\nexpression = \"ip.dst eq 203.0.113.53 and udp.dstport eq 53\"\n\
                 expires = \"2026-12-01T00:00:00Z\"\nrules = [{{ rule = \"DNS-0002\", sensitivity = \"low\" }}]\n"
            ));
        }
        text.push_str(
            "[[mnm]]\nname = \"bps\"\nprefixes = [\"203.0.113.0/24\", \"2001:db8::/32\"]\nautomatic_advertisement = false\n\
             bandwidth_threshold = \"2.5 Gbps\"\npacket_threshold = 18446744073709551\nduration = \"5m\"\n\
             [global]\nsensitivity = \"medium\"\n",
        );
        RulesFile::read(&text).unwrap()
    }

    #[test]
    fn both_forms_hold_the_same() {
        let file = file();
        for form in [Form::Toml, Form::Yaml] {
            let text = write(&file, form).unwrap();
            assert_eq!(read(&text, Some(form)).unwrap(), file, "{text}");
        }
        let empty = RulesFile::empty();
        assert_eq!(
            read(&write(&empty, Form::Yaml).unwrap(), Some(Form::Yaml)).unwrap(),
            empty
        );
    }

    #[test]
    fn yaml_as_people_write_it() {
        let text = "\
# ours
mnm:
  - name: bps
    prefixes: [203.0.113.0/24]
    automatic_advertisement: true
    bandwidth_threshold: 2.5 Gbps
    packet_threshold: 500000
    duration: 5m
override: []
global: {}
";
        let file = read(text, Some(Form::Yaml)).unwrap();
        let rule = &file.mnm.as_ref().unwrap()[0];
        assert_eq!(rule.fields().unwrap().bandwidth_threshold, Some(2_500_000_000));
        assert_eq!(rule.fields().unwrap().packet_threshold, Some(500_000));
        assert_eq!(file.overrides, Some(Vec::new()));
        assert!(file.global.is_some());
    }

    #[test]
    fn what_is_no_rules_file_is_refused_and_named() {
        let refused = |text: &str| read(text, Some(Form::Yaml)).unwrap_err().to_string();
        assert!(refused("mnm:\n  - nmae: x\n").contains("nmae"), "a misspelt key");
        assert!(refused("schema: other/1\n").contains("other/1"));
        assert!(refused("mnm: [\n").contains("line"), "{}", refused("mnm: [\n"));
        assert!(refused("mnm: []\nmnm: []\n").contains("mnm"), "the same key twice");
        // A few lines that would be gigabytes.
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\nmnm: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
        assert!(read(bomb, Some(Form::Yaml)).is_err());
    }

    #[test]
    fn the_name_says_the_form_unless_it_is_asked_for() {
        let of = |name: &str, asked| of(Path::new(name), asked);
        assert_eq!(of("rules.yaml", None), Some(Form::Yaml));
        assert_eq!(of("RULES.YML", None), Some(Form::Yaml));
        assert_eq!(of("rules.toml", None), Some(Form::Toml));
        assert_eq!(of("-", None), None);
        assert_eq!(of("-", Some(Form::Yaml)), Some(Form::Yaml));
        assert_eq!(of("rules.yaml", Some(Form::Json)), Some(Form::Json));
    }
}
