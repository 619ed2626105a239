//! Every change that people make at Cloudflare, against every way in which Cloudflare can fail it: nothing is half written,
//! nothing is inferred, input is kept, the record says so; and then the same form goes through.

use crate::support::cloudflare::{changes, entry_point, everything, faults, make, send, stage, value_of};
use crate::support::{Browser, Site};
use cf_sim::{FaultSpec, Sim, Target};
use db::users::Role;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;

/// A tunnel of the simulated account.
const TUNNEL: &str = "c0000000000000000000000000000001";

/// A form that is ready to be sent.
struct Form {
    path: String,
    fields: Vec<(&'static str, String)>,
}

/// One change: what it is called, and what has to be there before.
const CHANGES: [&str; 13] = [
    "make a monitoring rule",
    "edit a monitoring rule",
    "delete a monitoring rule",
    "make the first override",
    "make another override",
    "edit an override",
    "switch an override",
    "move an override",
    "delete an override",
    "set a category",
    "set all rules",
    "change a tunnel",
    "change an interconnect",
];

async fn form(change: &str, sim: &Sim, otto: &Browser) -> Form {
    let needs_override = change.contains("override") && change != "make the first override";
    let mut host = Value::Null;
    if needs_override {
        make(otto, "another", "ip.dst eq 192.0.2.9").await;
        host = make(otto, "one host", "ip.dst eq 192.0.2.7").await;
    }
    let of_host = || format!("/ddos-rules/override/{}", host["id"].as_str().unwrap());
    let rule = async || {
        let told = otto.json("/api/mnm-rules").await;
        let lists = told["rules"].as_object().unwrap().values();
        lists.flat_map(|list| list.as_array().unwrap().clone()).next().unwrap()
    };
    let (path, mut fields): (String, Vec<(&str, &str)>) = match change {
        "make a monitoring rule" => (
            "/mnm-rules/new".into(),
            vec![
                ("kind", "bps"),
                ("bits", "7"),
                ("bits_unit", "Gbps"),
                ("p:2001:db8:10::/48", "on"),
                ("duration", "5"),
                ("name", "made-by-form"),
                ("automatic_advertisement", "true"),
            ],
        ),
        "edit a monitoring rule" => (
            format!("/mnm-rules/{}", rule().await["id"].as_str().unwrap()),
            vec![("bits", "7"), ("bits_unit", "Gbps")],
        ),
        "delete a monitoring rule" => (format!("/mnm-rules/{}", rule().await["id"].as_str().unwrap()), vec![]),
        "make the first override" | "make another override" => (
            "/ddos-rules/override/new".into(),
            vec![
                ("name", "a name of mine"),
                ("expression", "ip.dst eq 192.0.2.8"),
                ("sensitivity", "low"),
            ],
        ),
        "edit an override" => (
            of_host(),
            vec![
                ("name", "a name of mine"),
                ("expression", "ip.dst eq 192.0.2.8"),
                ("sensitivity", "low"),
                ("expires", "2026-12-01T00:00"),
            ],
        ),
        "switch an override" => (of_host(), vec![("act", "switch")]),
        "move an override" => ("/ddos-rules/order".into(), vec![("after", "first")]),
        "delete an override" => (of_host(), vec![("act", "delete"), ("confirm", "one host")]),
        "set a category" => (
            "/ddos-rules/category/udp".into(),
            vec![("scope", "everywhere"), ("sensitivity", "medium")],
        ),
        "set all rules" => (
            "/ddos-rules/ruleset".into(),
            vec![("scope", "everywhere"), ("sensitivity", "medium")],
        ),
        "change a tunnel" => (format!("/connectors/gre/{TUNNEL}"), vec![("mtu", "1400")]),
        "change an interconnect" => {
            let links = otto.json("/api/connectors/interconnects").await;
            let rows = links["interconnects"].as_array().unwrap().clone();
            let link = rows.into_iter().find(|row| row["seen"].is_string()).expect("a link");
            (
                format!("/connectors/link/{}", link["id"].as_str().unwrap()),
                vec![("description", "words of mine"), ("mtu", "1400")],
            )
        }
        other => panic!("nobody knows how to {other}"),
    };
    let mut owned: Vec<(&'static str, String)> = Vec::new();
    if change == "move an override" {
        owned.push(("moved", host["id"].as_str().unwrap().to_owned()));
        owned.push(("seen", entry_point(sim).await["version"].as_str().unwrap().to_owned()));
    } else if change != "make a monitoring rule" {
        owned.push(("seen", value_of(&otto.html(&path).await, "seen").to_owned()));
    }
    if change == "delete a monitoring rule" {
        owned.push(("confirm", rule().await["name"].as_str().unwrap().to_owned()));
        fields.push(("act", "delete"));
    }
    if !fields.iter().any(|(name, _)| *name == "act") {
        fields.push(("act", "send"));
    }
    fields.push(("reason", "ticket 4711"));
    owned.extend(fields.into_iter().map(|(name, text)| (name_of(name), text.to_owned())));
    Form { path, fields: owned }
}

/// Names live as long as the program.
fn name_of(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}

impl Form {
    async fn send(&self, browser: &Browser) -> (StatusCode, String) {
        let fields: Vec<(&str, &str)> = self.fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
        send(browser, &self.path, &fields).await
    }

    /// What a person typed into the form and would have to type again.
    fn typed(&self) -> impl Iterator<Item = &str> {
        let words = ["reason", "name", "expression", "description", "mtu", "expires"];
        let typed = self.fields.iter().filter(move |(name, _)| words.contains(name));
        typed.map(|(_, text)| text.as_str())
    }
}

/// The calls by which Cloudflare is asked or changed.
const METHODS: [&[&str]; 2] = [&["GET"], &["PUT", "PATCH", "POST", "DELETE"]];

async fn play(change: &'static str) {
    let (sim, site): (Sim, Site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let form = form(change, &sim, &otto).await;
    let before = everything(&sim).await;
    for (name, kind) in faults() {
        for methods in METHODS {
            // A new monitoring rule rests on nothing that is read.
            if change == "make a monitoring rule" && methods == ["GET"] {
                continue;
            }
            let what = format!("{change}, {name} of {}", methods.join(", "));
            let written = changes(&sim);
            for method in methods {
                sim.set_fault(FaultSpec::new(Target::Rest, kind.clone()).method(method));
            }
            let (status, page) = form.send(&otto).await;
            assert!(status.is_client_error() || status.is_server_error(), "{what}: {status}");
            assert!(page.contains("role=\"alert\""), "{what}: it is told: {page}");
            for typed in form.typed() {
                assert!(page.contains(typed), "{what}: {typed} is kept: {page}");
            }
            let calls = sim.requests_since(0);
            let checks = calls.iter().filter(|call| call.query.contains("dry_run=true")).count();
            if methods == ["GET"] {
                assert!(
                    changes(&sim) - written <= checks,
                    "{what}: never a write after a failed read"
                );
            }
            sim.clear_faults();
            assert_eq!(everything(&sim).await, before, "{what}: nothing is half written");
            let rows = site.read(|tx| db::audit::newest(tx, 1)).await;
            let result = rows.first().map(|row| row.result.clone()).unwrap_or_default();
            assert!(
                result != "ok" || rows[0].reason.as_deref() != Some("ticket 4711"),
                "{what}: {rows:?}"
            );
            // Waits that Cloudflare asked for, and the pause after a failed read.
            site.pass(120);
        }
    }
    let (status, page) = form.send(&otto).await;
    assert_eq!(
        status,
        StatusCode::FOUND,
        "{change}: the same form goes through: {page}"
    );
    assert_ne!(everything(&sim).await, before, "{change}");
    let rows = site.read(|tx| db::audit::newest(tx, 2)).await;
    assert!(
        rows.iter()
            .any(|row| row.result == "ok" && row.reason.as_deref() == Some("ticket 4711")),
        "{change}: {rows:?}"
    );
}

#[tokio::test]
async fn no_failure_of_cloudflare_half_writes_infers_or_loses_input() {
    join_all(CHANGES.map(play)).await;
}
