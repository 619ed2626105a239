//! Which foreign crates may come in: licences, sources, second copies, and those that were decided against.

use std::collections::{BTreeMap, BTreeSet};

use crate::licence::permits;
use crate::metadata::{Package, packages};

/// Licences that allow what we do: MIT binaries, with notices.
const LICENCES: [&str; 11] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
];

/// Crates under a licence that asks for more than a notice, which was looked at for each: name, licence, why it is fine.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "colored",
    "MPL-2.0",
    "comes with teloxide; its own files are not changed, and their source is public",
)];

/// Names without a licence field whose licence file was read: name, licence.
const READ_BY_HAND: [(&str, &str); 1] = [("jsonpath-rust", "MIT")];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Two copies of these would not share their state or their types.
const ONE_COPY: [&str; 17] = [
    "tokio",
    "hyper",
    "hyper-util",
    "axum",
    "reqwest",
    "rustls",
    "ring",
    "rusqlite",
    "libsqlite3-sys",
    "r2d2",
    "tracing",
    "tracing-core",
    "tracing-subscriber",
    "jiff",
    "serde",
    "teloxide-core",
    "clap",
];

/// Crate, and why it must not come in.
const BANNED: [(&str, &str); 10] = [
    ("openssl-sys", "rustls with ring needs no system library"),
    ("native-tls", "rustls with ring needs no system library"),
    (
        "aws-lc-rs",
        "a second cryptography library beside ring, and ten times the C units",
    ),
    (
        "aws-lc-sys",
        "a second cryptography library beside ring, and ten times the C units",
    ),
    (
        "h2",
        "HTTP/2 is never switched on: its rapid-reset surface serves nobody here",
    ),
    ("wirefilter-engine", "a 40 kB expression overflows its stack"),
    ("failure", "unsound and unmaintained"),
    ("async-std", "a second runtime"),
    ("smol", "a second runtime"),
    ("sqlx", "a second way to the database"),
];

fn foreign() -> impl Iterator<Item = &'static Package> {
    packages().values().filter(|package| !package.is_ours())
}

#[test]
fn every_licence_is_one_of_ours() {
    let by_hand: BTreeMap<&str, &str> = READ_BY_HAND.into();
    let mut wrong = Vec::new();
    for package in packages().values() {
        let licence = package
            .licence
            .as_deref()
            .or_else(|| by_hand.get(package.name.as_str()).copied());
        match licence {
            Some(licence) if permits(licence, &LICENCES) => {}
            Some(licence)
                if EXCEPTIONS
                    .iter()
                    .any(|(name, of, _)| *name == package.name && *of == licence) => {}
            licence => wrong.push(format!("{} {}: {licence:?}", package.name, package.version)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn everything_comes_from_the_registry() {
    let mut wrong = Vec::new();
    for package in foreign() {
        if package.source.as_deref() != Some(REGISTRY) {
            wrong.push(&package.id);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_was_decided_against_stays_out() {
    for package in foreign() {
        let banned = BANNED.iter().find(|(name, _)| *name == package.name);
        assert!(banned.is_none(), "{}: {banned:?}", package.id);
    }
}

/// The same lists for cargo-deny, which not every machine has.
#[test]
fn deny_toml_says_the_same() {
    let file = include_str!("../../../../deny.toml");
    let quoted = |name: &str| file.contains(&format!("\"{name}\""));
    let licences = LICENCES
        .iter()
        .copied()
        .chain(EXCEPTIONS.iter().map(|(_, licence, _)| *licence));
    let missing: Vec<&str> = licences
        .chain(EXCEPTIONS.iter().map(|(name, ..)| *name))
        .chain(READ_BY_HAND.iter().map(|(name, _)| *name))
        .chain(BANNED.iter().map(|(name, _)| *name))
        .filter(|name| !quoted(name))
        .collect();
    assert_eq!(missing, Vec::<&str>::new(), "not in deny.toml");
    let banned = file
        .lines()
        .filter(|line| line.contains("{ crate =") && !line.contains("wrappers") && line.contains("reason"));
    assert_eq!(
        banned.count(),
        BANNED.len(),
        "deny.toml bans something that this list does not"
    );
}

#[test]
fn what_holds_state_comes_once() {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in foreign() {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    for name in ONE_COPY {
        let found = versions.get(name);
        assert!(found.is_some(), "{name} is not used any more; take it off this list");
        assert_eq!(found.map(BTreeSet::len), Some(1), "{name}: {found:?}");
    }
}
