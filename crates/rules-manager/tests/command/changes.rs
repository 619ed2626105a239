//! Changes by scripts: each sub-command, backup and undo, plan and apply, and what is refused.

use serde_json::json;
use testkit::{Pace, Site};

use crate::run;

async fn site() -> Site {
    Site::new(Pace::fast()).await
}

/// Runs it, expects success, and returns its document.
fn done(site: &Site, arguments: &[&str]) -> serde_json::Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    let run = run(site, &all);
    assert_eq!(run.code, 0, "{arguments:?}\n{}", run.shown());
    run.json()
}

fn sent(site: &Site) -> usize {
    let all = site.sim.requests_since(0);
    all.iter()
        .filter(|it| it.method != "GET" && !it.path.contains("graphql"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn monitoring_rules_are_created_edited_deleted_and_taken_back() {
    let site = site().await;
    let made = done(
        &site,
        &[
            "create",
            "bps",
            "203.0.113.0/24",
            "2001:db8:1::/48",
            "--threshold",
            "2.5 Gbps",
            "--duration",
            "5m",
            "--yes",
            "--reason",
            "drill",
        ],
    );
    assert_eq!(made["changes"].as_array().unwrap().len(), 2);
    let shown = done(&site, &["show", "bps-203.0.113.0_24"]);
    assert_eq!(shown["rule"]["bandwidth_threshold"], 2.5e9);
    assert_eq!(shown["rule"]["duration"], "5m");
    done(
        &site,
        &[
            "edit",
            "bps-203.0.113.0_24",
            "--bandwidth",
            "500 Mbps",
            "--advertise",
            "no",
            "--yes",
        ],
    );
    let shown = done(&site, &["show", "bps-203.0.113.0_24"]);
    assert_eq!(
        (&shown["rule"]["bandwidth_threshold"], &shown["rule"]["duration"]),
        (&json!(5e8), &json!("5m"))
    );
    assert_eq!(shown["rule"]["automatic_advertisement"], false);
    done(&site, &["undo", "--yes"]);
    assert_eq!(
        done(&site, &["show", "bps-203.0.113.0_24"])["rule"]["bandwidth_threshold"],
        2.5e9
    );
    for (kind, more) in [
        ("pps", &["--threshold", "500 kpps"][..]),
        ("zscore", &["--sensitivity", "low", "--target", "packets"][..]),
        ("advanced-ddos", &["--match", "exact", "--together"][..]),
    ] {
        let mut arguments = vec!["create", kind, "192.0.2.0/24", "--yes"];
        arguments.extend(more);
        done(&site, &arguments);
    }
    done(&site, &["delete", "bps-203.0.113.0_24", "bps-2001.db8.1.._48", "--yes"]);
    assert_eq!(run(&site, &["show", "bps-203.0.113.0_24"]).code, 1);
    let changes = done(&site, &["changes"]);
    let first = changes["changes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&first["what"], &first["reason"], &first["state"]),
        (&json!("create"), &json!("drill"), &json!("done"))
    );
    let text = run(&site, &["changes"]);
    assert!(text.stdout.contains("taken back by"), "{}", text.shown());
    let audit = site.db();
    let rows = audit.read("audit", |tx| db::audit::newest(tx, 50)).await.unwrap();
    assert!(
        rows.iter()
            .any(|it| it.action == "mnm.create" && it.reason.as_deref() == Some("drill") && it.role == "shell")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn managed_rules_and_overrides() {
    let site = site().await;
    done(&site, &["managed", "set", "UDP-0001", "--sensitivity", "low", "--yes"]);
    done(
        &site,
        &[
            "overrides",
            "create",
            "resolver",
            "--template",
            "dns",
            "--to",
            "203.0.113.53,2001:db8:1::53",
            "--rule",
            "DNS-0002",
            "--sensitivity",
            "medium",
            "--expires",
            "2020-01-01T00:00:00Z",
            "--yes",
        ],
    );
    done(
        &site,
        &[
            "overrides",
            "create",
            "web",
            "--expression",
            "ip.dst eq 203.0.113.80",
            "--action",
            "log",
            "--yes",
        ],
    );
    let list = done(&site, &["overrides", "list"]);
    let names: Vec<&str> = list["overrides"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["resolver", "web", "global"]);
    assert_eq!(
        list["overrides"][0]["expression"],
        "ip.dst in {203.0.113.53 2001:db8:1::53} and udp.dstport eq 53"
    );
    let shown = run(&site, &["managed", "show", "UDP-0001"]);
    assert!(
        shown.stdout.contains("everything else (global): ") && shown.stdout.contains("low (set)"),
        "{}",
        shown.shown()
    );
    let found = done(&site, &["managed", "list", "udp-0001"]);
    assert_eq!(
        found["rules"][0]["sensitivity"],
        json!({"value": "low", "source": "rule"})
    );
    done(&site, &["overrides", "move", "web", "--first", "--yes"]);
    done(&site, &["overrides", "disable", "web", "--yes"]);
    done(
        &site,
        &[
            "overrides",
            "edit",
            "web",
            "--expression",
            "ip.dst eq 203.0.113.81",
            "--expires",
            "never",
            "--yes",
        ],
    );
    let list = done(&site, &["overrides", "list"]);
    let web = &list["overrides"][0];
    assert_eq!(
        (&web["name"], &web["enabled"], &web["expression"]),
        (&json!("web"), &json!(false), &json!("ip.dst eq 203.0.113.81"))
    );
    // What is over its time goes.
    done(&site, &["overrides", "expire", "--yes"]);
    done(&site, &["overrides", "delete", "web", "--yes"]);
    done(&site, &["managed", "reset", "UDP-0001", "--yes"]);
    let list = done(&site, &["overrides", "list"]);
    assert_eq!(list["overrides"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["overrides"][0]["overrides"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_before_anything_is_sent() {
    let site = site().await;
    for (arguments, code, words) in [
        (
            &["create", "bps", "203.0.113.1/24", "--threshold", "1 Gbps", "--yes"][..],
            2,
            "203.0.113.0/24",
        ),
        (
            &["create", "bps", "203.0.113.0/24", "--threshold", "1 Gb", "--yes"],
            2,
            "Gbps",
        ),
        (&["create", "bps", "203.0.113.0/24", "--yes"], 2, "--threshold"),
        (
            &[
                "create",
                "bps",
                "203.0.113.0/24",
                "--threshold",
                "1 Gbps",
                "--duration",
                "2m",
                "--yes",
            ],
            3,
            "1, 5, 10",
        ),
        (
            &[
                "create",
                "bps",
                "203.0.113.0/24",
                "--threshold",
                "1 Gbps",
                "--name",
                "a b",
                "--yes",
            ],
            3,
            "a space",
        ),
        (
            &["create", "bps", "203.0.113.0/24", "--threshold", "1 Gbps"],
            2,
            "no terminal",
        ),
        (&["delete", "nowhere", "--yes"], 1, "no rule with the name"),
        (
            &["managed", "set", "UDP-0001", "--action", "managed_challenge", "--yes"],
            3,
            "HTTP",
        ),
        (&["managed", "set", "UDP-0001", "--yes"], 2, "--action"),
        (
            &["managed", "set", "UDP-9999", "--action", "log", "--yes"],
            1,
            "no managed rule",
        ),
        (
            &[
                "overrides",
                "create",
                "x",
                "--expression",
                "ip.dst eq 192.0.2.0/24",
                "--action",
                "log",
                "--yes",
            ],
            2,
            "ip.dst in",
        ),
        (
            &[
                "overrides",
                "create",
                "x",
                "--expression",
                "tcp.flags.syn",
                "--rule",
                "UDP-0001",
                "--action",
                "log",
                "--yes",
            ],
            3,
            "about UDP",
        ),
        (
            &[
                "overrides",
                "create",
                "x",
                "--template",
                "nothing",
                "--to",
                "192.0.2.1",
                "--yes",
            ],
            2,
            "templates",
        ),
        (&["overrides", "delete", "x", "--yes"], 1, "no override"),
        (&["undo", "--yes"], 3, "no change to take back"),
        (&["plan", "/nowhere.toml"], 1, "cannot be read"),
    ] {
        let run = run(&site, arguments);
        assert_eq!(run.code, code, "{arguments:?}\n{}", run.shown());
        assert!(run.stderr.contains(words), "{words}\n{}", run.shown());
    }
    assert_eq!(sent(&site), 0);
    let bad = run(&site, &["check", "ip.dst eq 192.0.2.1 and ip.dst.port eq 80", "--json"]);
    assert_eq!(
        (bad.code, bad.json()["column"].clone()),
        (1, json!(25)),
        "{}",
        bad.shown()
    );
    assert_eq!(done(&site, &["check", "ip.dst eq 192.0.2.1"])["valid"], true);
    assert!(done(&site, &["templates"])["templates"].as_array().unwrap().len() >= 70);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rules_file_is_exported_planned_and_applied() {
    let site = site().await;
    let path = |name: &str| site.path().join(name).to_str().unwrap().to_owned();
    let file = path("rules.toml");
    assert_eq!(run(&site, &["export", &file]).code, 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("bandwidth_threshold = \"1 Gbps\"") && text.contains("rules-file/1"),
        "{text}"
    );
    // What is there is not ours before it is adopted.
    assert_eq!(run(&site, &["plan", &file, "--exit-code"]).code, 5);
    let refused = run(&site, &["apply", &file, "--yes"]);
    assert!(
        refused.code == 3 && refused.stderr.contains("--adopt"),
        "{}",
        refused.shown()
    );
    assert_eq!(sent(&site), 0);
    done(&site, &["apply", &file, "--adopt", "--yes"]);
    assert_eq!(run(&site, &["plan", &file, "--exit-code"]).code, 0);
    let more = format!(
        "{}\n[[override]]\nname = \"dns\"\nexpression = \"ip.dst eq 203.0.113.53 and udp.dstport eq 53\"\nsensitivity = \"low\"\n",
        text.replace("1 Gbps", "2.5 Gbps").replace("override = []", "")
    );
    std::fs::write(&file, more).unwrap();
    let plan = run(&site, &["plan", &file]);
    assert!(
        plan.stdout.contains("bandwidth_threshold: 1 Gbps -> 2.5 Gbps"),
        "{}",
        plan.shown()
    );
    assert!(plan.stdout.contains("create override dns"), "{}", plan.shown());
    let applied = done(&site, &["apply", &file, "--yes", "--reason", "review"]);
    assert_eq!(applied["steps"].as_array().unwrap().len(), 5);
    let again = done(&site, &["plan", &file]);
    assert_eq!((&again["steps"], &again["not_owned"]), (&json!([]), &json!([])));
    // A list as the Python system saved it.
    let old = path("mnm_rules_backup_20251122_030000.json");
    let list = json!([{"id": "0a".repeat(16), "name": "net-192.0.2.0_24", "prefixes": ["192.0.2.0/24"], "bandwidth_threshold": 4_000_000_000_u64,
        "packet_threshold": null, "duration": "1m0s", "automatic_advertisement": true, "type": "threshold"}]);
    std::fs::write(&old, list.to_string()).unwrap();
    let plan = done(&site, &["plan", &old]);
    let steps: Vec<String> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {}", it["what"], it["name"]))
        .collect();
    assert!(
        steps.contains(&"\"edit\" \"net-192.0.2.0_24\"".to_owned()) && steps.len() == 4,
        "{steps:?}"
    );
}
