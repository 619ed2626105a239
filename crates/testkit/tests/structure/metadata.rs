//! `cargo metadata` as far as the rules ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// How one package depends on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Normal,
    Dev,
    Build,
}

/// A package of ours or of the registry.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) manifest: PathBuf,
    /// As written in its manifest: name of the package, kind.
    pub(crate) wanted: Vec<(String, Kind)>,
    /// As resolved for this machine: ids of normal and build dependencies.
    pub(crate) resolved: Vec<String>,
}

impl Package {
    /// Whether it is one of ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.source.is_none()
    }

    /// Whether it lives under `services/`.
    pub(crate) fn is_service(&self) -> bool {
        self.is_ours() && self.manifest.starts_with(repository().join("services"))
    }
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// All packages of the build on this machine, by id.
pub(crate) fn packages() -> &'static BTreeMap<String, Package> {
    static PACKAGES: OnceLock<BTreeMap<String, Package>> = OnceLock::new();
    PACKAGES.get_or_init(read)
}

/// Our own packages.
pub(crate) fn ours() -> impl Iterator<Item = &'static Package> {
    packages().values().filter(|package| package.is_ours())
}

/// Names of everything that `package` is built from, itself not included.
pub(crate) fn closure(package: &Package) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut next: Vec<&str> = package.resolved.iter().map(String::as_str).collect();
    while let Some(id) = next.pop() {
        if !seen.insert(id.to_owned()) {
            continue;
        }
        let package = &packages()[id];
        names.insert(package.name.as_str());
        next.extend(package.resolved.iter().map(String::as_str));
    }
    names
}

fn read() -> BTreeMap<String, Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = Command::new("rustc").arg("-vV").output().expect("rustc");
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("a host");
    // Offline: the build that made this test has fetched all of it.
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            host,
        ])
        .current_dir(repository())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let wanted = package["dependencies"].as_array().unwrap();
        let wanted = wanted
            .iter()
            .map(|wanted| (text(&wanted["name"]).unwrap(), kind(&wanted["kind"])))
            .collect();
        let id = text(&package["id"]).unwrap();
        let package = Package {
            id: id.clone(),
            name: text(&package["name"]).unwrap(),
            version: text(&package["version"]).unwrap(),
            licence: text(&package["license"]),
            source: text(&package["source"]),
            manifest: text(&package["manifest_path"]).unwrap().into(),
            wanted,
            resolved: Vec::new(),
        };
        packages.insert(id, package);
    }
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let used = node["deps"].as_array().unwrap().iter().filter(|dependency| {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            kinds.iter().any(|of| kind(&of["kind"]) != Kind::Dev)
        });
        let used = used.map(|dependency| text(&dependency["pkg"]).unwrap()).collect();
        packages.get_mut(node["id"].as_str().unwrap()).unwrap().resolved = used;
    }
    packages
}

fn kind(value: &Value) -> Kind {
    match value.as_str() {
        None => Kind::Normal,
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        Some(other) => panic!("cargo knows a new kind of dependency: {other}"),
    }
}
