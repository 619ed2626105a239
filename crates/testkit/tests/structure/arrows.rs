//! Which of our packages may see which (the arrows), and who may see the database and the network.

use std::collections::{BTreeMap, BTreeSet};

use crate::metadata::{Kind, Package, closure, ours};

/// What each library may be built from, of our own.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("domain", &[][..]),
        ("settings", &["domain"][..]),
        ("db", &["domain"]),
        ("cf-api", &["domain"]),
        ("geoip", &["domain"]),
        ("notify", &["domain", "db"]),
        ("prefix-ops", &["domain", "db", "cf-api"]),
        ("rules", &["domain", "db", "cf-api"]),
        ("daemon", &["settings", "db"]),
        (
            "assembly",
            &["domain", "settings", "db", "cf-api", "notify", "prefix-ops", "daemon"],
        ),
        ("cli", &["domain", "settings", "db", "daemon"]),
        // Shares no type with the product: one misreading of the API cannot hide in both.
        ("cf-sim", &[]),
    ])
}

/// Command lines: they may use every library, as services may.
const COMMANDS: [&str; 3] = ["prefix-manager", "rules-manager", "mt-admin"];

/// What only the command lines use, and the one service that has commands of its own.
const FOR_COMMANDS: &str = "cli";

/// For tests only; may see everything.
const TESTKIT: &str = "testkit";

/// May stand in dev-dependencies only.
const FOR_TESTS: [&str; 2] = [TESTKIT, "cf-sim"];

fn of_ours(package: &Package) -> impl Iterator<Item = (&str, Kind)> {
    let names: BTreeSet<&str> = ours().map(|package| package.name.as_str()).collect();
    package
        .wanted
        .iter()
        .map(|(name, kind)| (name.as_str(), *kind))
        .filter(move |(name, _)| names.contains(name))
}

#[test]
fn every_package_has_its_place() {
    let allowed = allowed();
    for package in ours().filter(|package| !package.is_service()) {
        let name = package.name.as_str();
        let known = allowed.contains_key(name) || COMMANDS.contains(&name) || name == TESTKIT;
        assert!(
            known,
            "{name} stands in no list of this file: which arrows may lead from it?"
        );
    }
}

#[test]
fn arrows_point_one_way() {
    let allowed = allowed();
    let libraries: BTreeSet<&str> = allowed.keys().copied().filter(|name| *name != "cf-sim").collect();
    let mut wrong = Vec::new();
    for package in ours().filter(|package| package.name != TESTKIT) {
        for (to, kind) in of_ours(package).filter(|(_, kind)| *kind != Kind::Dev) {
            let fine = match allowed.get(package.name.as_str()) {
                Some(allowed) => allowed.contains(&to),
                None => {
                    libraries.contains(to)
                        && (to != FOR_COMMANDS || !package.is_service() || package.name.as_str() == "autowithdraw")
                }
            };
            if !fine {
                wrong.push(format!("{} -> {to} ({kind:?})", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_service_sees_another_not_even_in_tests() {
    let services: BTreeSet<&str> = ours().filter(|p| p.is_service()).map(|p| p.name.as_str()).collect();
    assert_eq!(services.len(), 4, "{services:?}");
    for package in ours().filter(|package| package.name != TESTKIT) {
        for (to, _) in of_ours(package) {
            assert!(!services.contains(to), "{} -> {to}", package.name);
        }
    }
}

#[test]
fn what_is_for_tests_stays_in_tests() {
    for package in ours().filter(|package| package.name != TESTKIT) {
        for (to, kind) in of_ours(package) {
            assert!(
                !FOR_TESTS.contains(&to) || kind == Kind::Dev,
                "{} -> {to} ({kind:?})",
                package.name
            );
        }
    }
}

#[test]
fn the_simulator_uses_nothing_of_ours_even_in_tests() {
    let simulator = ours().find(|package| package.name == "cf-sim").unwrap();
    assert_eq!(of_ours(simulator).collect::<Vec<_>>(), []);
}

/// Crates that only these packages of ours may name.
const HOMES: [(&str, &[&str]); 8] = [
    ("rusqlite", &["db"]),
    ("libsqlite3-sys", &["db"]),
    ("r2d2", &["db"]),
    ("r2d2_sqlite", &["db"]),
    ("rusqlite_migration", &["db"]),
    ("graphql_client", &["cf-api"]),
    // The simulator's own tests ask it with the library that our users' messages go through.
    ("teloxide", &["notify", "cf-sim"]),
    ("maxminddb", &["geoip"]),
];

#[test]
fn special_crates_have_one_home() {
    let homes: BTreeMap<&str, &[&str]> = HOMES.into();
    for package in ours() {
        for (name, kind) in &package.wanted {
            if let Some(homes) = homes.get(name.as_str()) {
                let at_home = homes.contains(&package.name.as_str());
                assert!(at_home, "{} -> {name} ({kind:?}): only {homes:?} may", package.name);
            }
        }
    }
}

/// Runtimes, databases, HTTP, logging, randomness.
const NOT_IN_DOMAIN: [&str; 12] = [
    "tokio",
    "mio",
    "hyper",
    "axum",
    "reqwest",
    "rusqlite",
    "libsqlite3-sys",
    "tracing",
    "tracing-subscriber",
    "rand",
    "getrandom",
    "fastrand",
];

#[test]
fn the_domain_is_pure() {
    let domain = ours().find(|package| package.name == "domain").unwrap();
    let built_from = closure(domain);
    assert!(built_from.contains("jiff"), "the list is complete: {built_from:?}");
    let impure: Vec<&str> = NOT_IN_DOMAIN
        .into_iter()
        .filter(|name| built_from.contains(name))
        .collect();
    assert!(impure.is_empty(), "{impure:?}");
}
