//! One value per key out of all sources: variables, secret files, credentials, the file, defaults.
//!
//! This is the middle of the three forms a configuration takes (raw documents, merged values,
//! validated settings). Nothing is interpreted here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::files::{self, Document};
use crate::json::{self, Data, Node};
use crate::keys::{self, KEYS, Key, Kind};
use crate::provenance::{Origin, Provenance};
use crate::report::{Code, Place};
use crate::site::{Problems, Site, shown};
use crate::unknown::{report_unknown_keys, report_unknown_variables};

/// Name of the main file.
pub(crate) const SETTINGS_FILE: &str = "settings.json";

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Sourced {
    pub(crate) node: Node,
    pub(crate) origin: Origin,
    pub(crate) place: Place,
}

/// One value per key.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    values: BTreeMap<&'static str, Sourced>,
    /// Keys that were given but whose value could not be obtained: reported already.
    broken: BTreeSet<&'static str>,
    settings_path: PathBuf,
}

impl Merged {
    pub(crate) fn get(&self, path: &str) -> Option<&Sourced> {
        self.values.get(path)
    }

    /// Whether somebody gave the key a value, usable or not. Defaults do not count.
    pub(crate) fn is_given(&self, path: &str) -> bool {
        self.broken.contains(path)
            || self
                .values
                .get(path)
                .is_some_and(|sourced| sourced.origin != Origin::Default)
    }

    /// The key's value at its place; for an absent key the place where it should stand.
    pub(crate) fn site(&self, path: &str) -> Site {
        match (self.values.get(path), keys::key(path)) {
            (Some(sourced), Some(key)) => {
                Site::key(sourced.place.clone(), path).with_value(shown(key.kind, &sourced.node))
            }
            _ => Site::key(Place::file(&self.settings_path), path),
        }
    }

    pub(crate) fn provenance(&self) -> Provenance {
        let origin = |key: &Key| match self.values.get(key.path) {
            Some(sourced) => sourced.origin.clone(),
            None if key.path == "organisation.server" => Origin::HostName,
            None => Origin::Unset,
        };
        Provenance(KEYS.iter().map(|key| (key.path, origin(key))).collect())
    }
}

/// Brings the sources together.
pub(crate) fn merge(
    directory: &Path,
    document: Option<&Document>,
    environment: &Environment,
    problems: &mut Problems,
) -> Merged {
    let settings_path = directory.join(SETTINGS_FILE);
    if let Some(document) = document {
        report_unknown_keys(document, problems);
    }
    report_unknown_variables(environment, problems);
    let mut merged = Merged {
        settings_path,
        ..Merged::default()
    };
    for key in KEYS {
        let mut sources = Sources {
            key,
            directory,
            document,
            environment,
            problems,
        };
        match sources.find() {
            Found::Value(sourced) => {
                merged.values.insert(key.path, *sourced);
            }
            Found::Unusable => {
                merged.broken.insert(key.path);
            }
            Found::Nothing => {}
        }
    }
    merged
}

enum Found {
    Value(Box<Sourced>),
    Unusable,
    Nothing,
}

/// Everything one key's value can come from.
struct Sources<'a> {
    key: &'static Key,
    directory: &'a Path,
    document: Option<&'a Document>,
    environment: &'a Environment,
    problems: &'a mut Problems,
}

impl Sources<'_> {
    fn find(&mut self) -> Found {
        let variable = self.key.variable();
        if let Some(text) = self.environment.variable(&variable) {
            return self.variable(&variable, text.to_owned());
        }
        if self.key.kind.is_secret()
            && let Some(found) = self.secret_from_elsewhere(&variable)
        {
            return found;
        }
        if let Some(document) = self.document
            && let Some(node) = document.root.at(self.key.path)
        {
            return Found::Value(Box::new(Sourced {
                node: node.clone(),
                origin: Origin::File { line: node.line },
                place: Place::line(&document.path, node.line),
            }));
        }
        match self.key.absent.json() {
            Some(value) => Found::Value(Box::new(Sourced {
                node: Node::made(value),
                origin: Origin::Default,
                place: Place::Default,
            })),
            None => Found::Nothing,
        }
    }

    fn variable(&mut self, name: &str, text: String) -> Found {
        let place = Place::Variable { name: name.to_owned() };
        let site = Site::key(place.clone(), self.key.path);
        if text.is_empty() {
            let code = if self.key.kind.is_secret() {
                Code::EmptySecret
            } else {
                Code::EmptyValue
            };
            self.problems.error(
                code,
                &site.with_value("\"\"".to_owned()),
                "the variable is set but empty",
                "unset it, or give it a value; an empty list is written []",
            );
            return Found::Unusable;
        }
        match text_to_node(self.key.kind, text) {
            Ok(node) => Found::Value(Box::new(Sourced {
                node,
                origin: Origin::Variable { name: name.to_owned() },
                place,
            })),
            Err(what) => {
                self.problems.error(
                    Code::Syntax,
                    &site,
                    format!("the variable must hold JSON here: {what}"),
                    format!("write {} as JSON", self.key.kind.expected()),
                );
                Found::Unusable
            }
        }
    }

    /// `…_FILE` variable, systemd credential, `…_file` key: in this order.
    fn secret_from_elsewhere(&mut self, variable: &str) -> Option<Found> {
        let file_variable = format!("{variable}_FILE");
        if let Some(path) = self.environment.variable(&file_variable) {
            let place = Place::Variable {
                name: file_variable.clone(),
            };
            let path = path.to_owned();
            return Some(self.secret_file(place, &path));
        }
        if let Some(folder) = self.environment.credentials() {
            let path = folder.join(self.key.path);
            let site = Site::key(Place::file(&path), self.key.path);
            match files::read_text(&path) {
                Ok(None) => {}
                Ok(Some(file)) => {
                    let origin = Origin::Credential { name: self.key.path };
                    return Some(self.secret_text(&file.text, origin, &site));
                }
                Err(error) => {
                    self.problems.error(
                        Code::SecretFile,
                        &site,
                        format!("the credential cannot be read: {error}"),
                        "correct LoadCredential= of the unit",
                    );
                    return Some(Found::Unusable);
                }
            }
        }
        let document = self.document?;
        let file_key = self.key.file_path()?;
        let node = document.root.at(&file_key)?;
        let place = Place::line(&document.path, node.line);
        let site = Site::key(place.clone(), &file_key);
        if document.root.at(self.key.path).is_some() {
            self.problems.error(
                Code::Contradiction,
                &site,
                format!("{} is given as well, so it is unclear which one counts", self.key.path),
                "keep one of the two",
            );
            return Some(Found::Unusable);
        }
        let Data::Text(path) = &node.data else {
            self.problems.error(
                Code::WrongType,
                &site,
                format!("a path as text is expected, found {}", node.data.found()),
                "name the file that holds the secret",
            );
            return Some(Found::Unusable);
        };
        Some(self.secret_file(place, &path.clone()))
    }

    fn secret_file(&mut self, place: Place, written: &str) -> Found {
        let site = Site::key(place, &format!("{}_file", self.key.path))
            .with_value(crate::site::cut(&format!("\"{written}\"")));
        // A relative name is looked up beside settings.json, not in some working directory.
        let path = self.directory.join(written);
        match files::read_text(&path) {
            Ok(Some(file)) => {
                files::check_readers(&path, file.access, &self.environment.trusted_groups, self.problems);
                let origin = Origin::SecretFile { path };
                self.secret_text(&file.text, origin, &site)
            }
            Ok(None) => {
                self.problems.error(
                    Code::SecretFile,
                    &site,
                    "the file does not exist",
                    "create it with the secret as its only line, or correct the path",
                );
                Found::Unusable
            }
            Err(error) => {
                self.problems.error(
                    Code::SecretFile,
                    &site,
                    format!("the file cannot be read: {error}"),
                    "let the service read it: chown root:cloudflare-mt and chmod 640 it",
                );
                Found::Unusable
            }
        }
    }

    /// The lines of a secret file: one secret, or up to two where the key takes a list.
    fn secret_text(&mut self, text: &str, origin: Origin, site: &Site) -> Found {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let most = if self.key.kind == Kind::Secrets { 2 } else { 1 };
        let value: serde_json::Value = match lines.as_slice() {
            [] => {
                self.problems.error(
                    Code::EmptySecret,
                    site,
                    "the file holds no secret",
                    "write the secret into it as its only line",
                );
                return Found::Unusable;
            }
            [one] => (*one).into(),
            lines if lines.len() <= most => lines.to_vec().into(),
            lines => {
                self.problems.error(
                    Code::SecretFile,
                    site,
                    format!("the file has {} lines, at most {most} can be used", lines.len()),
                    "leave one secret in a line and nothing else",
                );
                return Found::Unusable;
            }
        };
        Found::Value(Box::new(Sourced {
            node: Node::made(value),
            origin,
            place: site.place.clone(),
        }))
    }
}

/// A variable's text as the JSON the file would have: lists may be separated by commas.
fn text_to_node(kind: Kind, text: String) -> Result<Node, String> {
    let looks_like = |opening: char| text.trim_start().starts_with(opening);
    match kind {
        Kind::DirectRoutes => json::read(&text).map_err(|error| error.what),
        Kind::Clients | Kind::Prefixes | Kind::Secrets | Kind::Systems if looks_like('[') => {
            json::read(&text).map_err(|error| error.what)
        }
        Kind::Clients | Kind::Prefixes => {
            let items: Vec<&str> = text.split(',').map(str::trim).collect();
            Ok(Node::made(items.into()))
        }
        Kind::Count { .. } | Kind::ChatId | Kind::Flag => Ok(match text.trim() {
            "true" => Node::made(true.into()),
            "false" => Node::made(false.into()),
            other => match serde_json::from_str::<serde_json::Number>(other) {
                Ok(number) => Node::made(serde_json::Value::Number(number)),
                Err(_) => Node::made(text.into()),
            },
        }),
        _ => Ok(Node::made(text.into())),
    }
}
