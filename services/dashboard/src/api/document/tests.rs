//! The kept description is the generated one, and it describes every route and no other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{document, reference};
use crate::api::analytics::Analytics;
use crate::api::attacks::Attacks;
use crate::api::changes::Changes;
use crate::api::deliveries::Deliveries;
use crate::api::incidents::Incidents;
use crate::api::listing::{List, PAGING};
use crate::api::messages::Messages;
use crate::api::routes::ROUTES;
use crate::api::withdrawals::Withdrawals;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn described() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// The file says this, or is made to say it.
fn kept(file: &Path, text: &str) {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(file, text).unwrap();
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == text,
        "{} is out of date: UPDATE_GENERATED=1 cargo test -p dashboard --lib document",
        file.display()
    );
}

#[test]
fn the_served_description_is_the_generated_one() {
    let text = serde_json::to_string_pretty(&described()).unwrap() + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    kept(&file, &text);
}

#[test]
fn the_reference_is_generated() {
    kept(&repository().join("docs/51-http-api.md"), &reference::of(&described()));
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described = described();
    let mut found = BTreeSet::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            found.insert(format!("{method} {path}"));
        }
    }
    let routed: BTreeSet<String> = ROUTES
        .iter()
        .map(|(method, path)| format!("{method} {}", path.replace("{*", "{")))
        .collect();
    assert_eq!(found, routed);
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_and_answers() {
    let described = described();
    let mut names = BTreeSet::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} twice");
            assert!(operation["summary"].is_string(), "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}");
            assert!(answers.contains_key("401"), "{method} {path}");
        }
    }
}

/// The parameters and columns of a list are those of its description.
fn is_described<L: List>(path: &str) {
    let described = described();
    let operation = &described["paths"][path]["get"];
    let named: BTreeSet<&str> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    let taken: BTreeSet<&str> = L::FILTERS.iter().chain(&PAGING).copied().collect();
    assert_eq!(named, taken, "{path}");
    let schema = |reference: &Value| {
        let name = reference["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        described["components"]["schemas"][name].clone()
    };
    let answer = schema(&operation["responses"]["200"]["content"]["application/json"]["schema"]);
    let row = schema(&answer["properties"][L::NAME]["items"]);
    let keys: BTreeSet<&str> = row["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let columns: BTreeSet<&str> = L::COLUMNS.iter().copied().collect();
    assert_eq!(keys, columns, "{path}");
    assert_eq!(L::COLUMNS.len(), columns.len(), "{path}: a column twice");
}

#[test]
fn lists_take_and_export_what_is_described() {
    is_described::<Attacks>("/api/attacks");
    is_described::<Analytics>("/api/analytics");
    is_described::<Incidents>("/api/incidents");
    is_described::<Withdrawals>("/api/withdrawals");
    is_described::<Deliveries>("/api/deliveries");
    is_described::<Messages>("/api/messages");
    is_described::<Changes>("/api/audit");
}
