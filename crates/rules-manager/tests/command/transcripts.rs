//! What the commands say: helps, text and JSON, as snapshots.

use serde_json::json;
use testkit::{Pace, Site};

use crate::{all_filters, command, run, support};

#[tokio::test(flavor = "multi_thread")]
async fn help_of_every_command() {
    let site = Site::new(Pace::fast()).await;
    let help = |arguments: &[&str]| {
        let mut command = command(&site, arguments);
        // Help shows the values of variables.
        command.env_remove("CLOUDFLARE_MT_CONFIG_DIR");
        support::run(command).shown()
    };
    insta::assert_snapshot!("help", help(&["--help"]));
    for path in [
        "list",
        "show",
        "create",
        "edit",
        "delete",
        "managed",
        "managed list",
        "managed set",
        "overrides",
        "overrides create",
        "overrides move",
        "overrides expire",
        "check",
        "templates",
        "plan",
        "apply",
        "export",
        "changes",
        "undo",
    ] {
        let mut arguments: Vec<&str> = path.split(' ').collect();
        arguments.push("--help");
        insta::assert_snapshot!(format!("help-{}", path.replace(' ', "-")), help(&arguments));
    }
}

/// One night's work, from the first look to taking a change back.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_as_text_and_json() {
    let mut site = Site::new(Pace::fast()).await;
    site.set("/autowithdraw/managed", json!(["203.0.113.0/24"]));
    let file = site.path().join("rules.yaml");
    let text = "\
mnm:
  - name: bps-203.0.113.0_24
    prefixes: [203.0.113.0/24]
    automatic_advertisement: true
    bandwidth_threshold: 2.5 Gbps
    duration: 5m
override:
  - name: resolver
    expression: ip.dst eq 203.0.113.53 and udp.dstport eq 53
    rules: [{rule: DNS-0002, sensitivity: low}]
";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let written = !site.database().exists();
    let steps: &[(&str, &[&str])] = &[
        ("plan", &["plan", file]),
        ("plan-json", &["plan", file, "--json"]),
        ("plan-exit-code", &["plan", file, "--exit-code"]),
        ("changes-none", &["changes"]),
        ("overrides-none", &["overrides", "list"]),
        ("unconfirmed", &["apply", file]),
    ];
    insta::with_settings!({filters => all_filters()}, {
        for (name, arguments) in steps {
            insta::assert_snapshot!(*name, run(&site, arguments).shown());
        }
        assert_eq!(!site.database().exists(), written, "who only looks makes no database");
        let steps: &[(&str, &[&str])] = &[
            ("apply", &["apply", file, "--yes", "--reason", "review"]),
            ("apply-again", &["apply", file, "--yes", "--json"]),
            ("plan-nothing", &["plan", file]),
            ("overrides-list", &["overrides", "list"]),
            ("overrides-list-json", &["overrides", "list", "--json"]),
            ("managed-list", &["managed", "list", "dns", "--in", "resolver"]),
            ("managed-show", &["managed", "show", "DNS-0002"]),
            ("managed-show-json", &["managed", "show", "DNS-0002", "--json"]),
            ("create", &["create", "pps", "203.0.113.0/24", "--threshold", "500 kpps", "--yes", "--reason", "drill"]),
            ("edit-json", &["edit", "bps-203.0.113.0_24", "--bandwidth", "4 Gbps", "--yes", "--json"]),
            ("drift", &["plan", file, "--exit-code"]),
            ("undo", &["undo", "--yes"]),
            ("changes", &["changes"]),
            ("check", &["check", "ip.src eq 192.0.2.1 and udp.dstport eq 53"]),
            ("check-wrong", &["check", "ip.dst eq 192.0.2.1 and ip.dst.port eq 80"]),
            ("export-yaml", &["export", "--format", "yaml", "-"]),
            ("delete-unknown", &["delete", "bps-nowhere", "--yes", "--json"]),
        ];
        for (name, arguments) in steps {
            insta::assert_snapshot!(*name, run(&site, arguments).shown());
        }
    });
}
