//! `import predecessor`: a rehearsal changes nothing; what is taken is whole; repeating it takes nothing twice.
//!
//! `fixtures/predecessor.db` is made of db's fixture `base.sql` (as the Python code creates it) and a few more rows.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testkit::Site;
use testkit::site::PREFIX;

use crate::support::{self, Run};
use crate::world::{run, site};

/// A folder as the Python system leaves it, with the settings of the site except for where the database is.
fn predecessor(site: &Site) -> PathBuf {
    let folder = site.path().join("Cloudflare_MT_Integration");
    for below in ["config", "db", "logs/webhooks"] {
        fs::create_dir_all(folder.join(below)).unwrap();
    }
    let ours = fs::read_to_string(site.config_dir().join("settings.json")).unwrap();
    let mut settings: Value = serde_json::from_str(&ours).unwrap();
    // It does not know this key; here it keeps the test's files together.
    settings["database"] = json!({"path": site.path().join("new/magic_transit.db")});
    settings["polling"] = json!({"interval_seconds": 180});
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("config/settings.json", &settings.to_string());
    let wrapped = json!({"prefixes": {PREFIX: {"prefix_id": "aa", "bgp_prefix_id": "bb", "description": "Hosting"}}});
    write("config/prefix_mapping.json", &wrapped.to_string());
    let hash = "$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    write(
        "config/auth.json",
        &json!({"username": "soc", "password_hash": hash}).to_string(),
    );
    write(
        "config/dashboard_prefs.json",
        &json!({"my_prefixes_only": false}).to_string(),
    );
    let body = json!({"alert_type": "dos_attack_l4", "ts": 1_774_576_800, "data": {"attack_id": "a9"}});
    write("logs/webhooks/webhook_20260327_030000.json", &body.to_string());
    write(
        "logs/webhooks/webhook_20260327_033000.json",
        "{\"alert_type\": \"dos_att",
    );
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/predecessor.db");
    fs::copy(fixture, folder.join("db/magic_transit.db")).unwrap();
    fs::create_dir(site.path().join("new")).unwrap();
    folder
}

/// The command with a configuration folder that does not exist yet.
fn import(site: &Site, arguments: &[&str]) -> Run {
    let target = site.path().join("etc");
    let mut command: Command =
        support::program(env!("CARGO_BIN_EXE_cloudflare-mt"), &target, &["import", "predecessor"]);
    command.args(arguments);
    support::run(command)
}

fn outcome(run: &Run, what: &str) -> String {
    let items = run.json()["items"].as_array().unwrap().clone();
    let item = items.iter().find(|item| item["what"] == what);
    item.unwrap_or_else(|| panic!("{what}: {}", run.shown()))["outcome"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_is_rehearsed_taken_over_and_left_alone_afterwards() {
    let site = site().await;
    let folder = predecessor(&site);
    let from = folder.to_str().unwrap();
    let untouched = fs::read(folder.join("db/magic_transit.db")).unwrap();

    let rehearsal = import(&site, &["--json", from]);
    assert_eq!(rehearsal.code, 0, "{}", rehearsal.shown());
    for what in [
        "settings.json",
        "prefix_mapping.json",
        "auth.json",
        "dashboard_prefs.json",
        "database",
        "notifications",
    ] {
        assert_eq!(outcome(&rehearsal, what), "would_take", "{what}: {}", rehearsal.shown());
    }
    assert!(!site.path().join("etc").exists() && fs::read_dir(site.path().join("new")).unwrap().next().is_none());
    for odd in [
        "polling",
        "scheduled withdrawals",
        "webhook_20260327_033000.json",
        "'soc'",
    ] {
        assert!(rehearsal.stdout.contains(odd), "{odd}: {}", rehearsal.shown());
    }
    assert!(
        !rehearsal.stdout.contains("$2b$"),
        "no hash is shown: {}",
        rehearsal.shown()
    );

    let taken = import(&site, &["--apply", from]);
    assert_eq!(taken.code, 0, "{}", taken.shown());
    assert!(taken.stdout.contains("10 events"), "{}", taken.shown());
    for name in [
        "settings.json",
        "prefix_mapping.json",
        "auth.json",
        "dashboard_prefs.json",
    ] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(site.path().join("etc").join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o007, 0, "{name} holds secrets: {mode:o}");
    }
    assert_eq!(
        fs::read(folder.join("db/magic_transit.db")).unwrap(),
        untouched,
        "its folder is only read"
    );

    let again = import(&site, &["--apply", "--json", from]);
    assert_eq!(again.code, 0, "{}", again.shown());
    for what in ["settings.json", "auth.json", "database", "notifications"] {
        assert_eq!(outcome(&again, what), "there", "{what}: {}", again.shown());
    }
    let target = site.path().join("etc");
    let asked = support::run(support::program(
        env!("CARGO_BIN_EXE_cloudflare-mt"),
        &target,
        &[
            "db",
            "query",
            "SELECT count(*), (SELECT count(*) FROM audit WHERE action = 'import.predecessor') FROM attack_events",
            "--json",
        ],
    ));
    assert_eq!(
        asked.json()["rows"][0],
        json!([11, 1]),
        "one of the kept files is an event: {}",
        asked.shown()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_not_taken() {
    let site = site().await;
    let nothing = import(&site, &[site.path().join("nowhere").to_str().unwrap()]);
    assert_eq!(nothing.code, 1, "{}", nothing.shown());
    let folder = predecessor(&site);
    let from = folder.to_str().unwrap();
    fs::write(folder.join("db/magic_transit.db"), "this is no database").unwrap();
    let damaged = import(&site, &["--apply", "--json", from]);
    assert_eq!(damaged.code, 1, "{}", damaged.shown());
    assert_eq!(outcome(&damaged, "database"), "failed");
    assert!(
        !site.path().join("new/magic_transit.db").exists(),
        "{}",
        damaged.shown()
    );
    fs::write(folder.join("config/settings.json"), "{").unwrap();
    fs::remove_file(site.path().join("etc/settings.json")).unwrap();
    let broken = import(&site, &["--apply", from]);
    assert_eq!(broken.code, 78, "{}", broken.shown());
    assert!(!site.path().join("etc/settings.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_in_the_spool() {
    let site = site().await;
    let none = run(&site, &["import", "spool"]);
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, "nothing waits\n"),
        "{}",
        none.shown()
    );
}
