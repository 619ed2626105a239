//! What stands in the file or the environment and is no key: misspelt, retired, or foreign.

use std::path::Path;

use crate::environment::Environment;
use crate::files::Document;
use crate::json::{Data, Node};
use crate::keys::{self, KEYS, Known, VARIABLE_PREFIX};
use crate::nearest::nearest;
use crate::report::{Code, Place};
use crate::site::{Problems, Site, shown_unknown};

/// Names every key of the file that nothing reads.
pub(crate) fn report_unknown_keys(document: &Document, problems: &mut Problems) {
    let walk = Walk {
        file: &document.path,
        paths: keys::all_paths(),
    };
    walk.members("", &document.root, problems);
}

/// Finds what does not belong into the file.
struct Walk<'a> {
    file: &'a Path,
    paths: Vec<String>,
}

impl Walk<'_> {
    fn members(&self, section: &str, node: &Node, problems: &mut Problems) {
        let Data::Object(members) = &node.data else {
            return;
        };
        for (name, member) in members {
            // JSON has no comments: an underscore in front marks one; `$schema` helps editors.
            if name.starts_with('_') || (section.is_empty() && name == "$schema") {
                continue;
            }
            let path = if section.is_empty() {
                name.clone()
            } else {
                format!("{section}.{name}")
            };
            let site = Site::key(Place::line(self.file, member.line), &path);
            if let Some((what, remedy)) = keys::retired(&path) {
                // Keys inside speak for themselves; the section does only where none is known.
                if !self.retired_members(&path, member, problems) {
                    problems.warning(Code::RetiredKey, &site, what, remedy);
                }
                continue;
            }
            match keys::known(&path) {
                Known::Key | Known::SecretFile => {}
                Known::Section => match &member.data {
                    Data::Object(_) => self.members(&path, member, problems),
                    Data::Null => {}
                    other => problems.error(
                        Code::WrongType,
                        &site.with_value(shown_unknown(&path, None, member)),
                        format!("this section must be an object, found {}", other.found()),
                        "write it as { \"key\": value, … }",
                    ),
                },
                Known::Nothing => self.unknown(&path, &site, member, problems),
            }
        }
    }

    /// Hints for the keys inside a retired section; whether there was any.
    fn retired_members(&self, section: &str, node: &Node, problems: &mut Problems) -> bool {
        let Data::Object(members) = &node.data else {
            return false;
        };
        let mut any = false;
        for (name, member) in members {
            let path = format!("{section}.{name}");
            if let Some((what, remedy)) = keys::retired(&path) {
                let site = Site::key(Place::line(self.file, member.line), &path);
                problems.warning(Code::RetiredKey, &site, what, remedy);
                any = true;
            }
        }
        any
    }

    fn unknown(&self, path: &str, site: &Site, node: &Node, problems: &mut Problems) {
        let meant = nearest(path, self.paths.iter().map(String::as_str));
        let site = site.clone().with_value(shown_unknown(path, meant, node));
        let remedy = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => "remove it; docs/30-configuration.md lists every key".to_owned(),
        };
        problems.warning(
            Code::UnknownKey,
            &site,
            "nothing reads this key, so it has no effect",
            remedy,
        );
    }
}

/// Names every variable of ours that nothing reads.
pub(crate) fn report_unknown_variables(environment: &Environment, problems: &mut Problems) {
    let known: Vec<String> = KEYS
        .iter()
        .flat_map(|key| {
            let variable = key.variable();
            let file = key.file_path().map(|_| format!("{variable}_FILE"));
            file.into_iter().chain([variable])
        })
        .chain(keys::OTHER_VARIABLES.map(str::to_owned))
        .collect();
    for name in environment.variables.keys() {
        if !name.starts_with(VARIABLE_PREFIX) || known.contains(name) {
            continue;
        }
        let remedy = match nearest(name, known.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("unset it; variables are {VARIABLE_PREFIX}<SECTION>_<KEY>"),
        };
        let place = Place::Variable { name: name.clone() };
        problems.warning(
            Code::UnknownVariable,
            &Site {
                place,
                key: None,
                value: None,
            },
            "nothing reads this variable, so it has no effect",
            remedy,
        );
    }
}
