//! Rulesets: entry points, versions, positions, trials, limits, and what overrides come to.

use cf_sim::{Permissions, SimConfig};
use serde_json::{Value, json};

use crate::{Answer, Desk, answer};

const MANAGED: &str = "3b64149bfa6e4220bbbc2bd6db589552";
const ENTRY: &str = "/rulesets/phases/ddos_l4/entrypoint";
/// Generic high-volume UDP.
const UDP: &str = "599dab0942ff4898ac1b7797e954e98b";
/// Flood of SYN packets.
const SYN: &str = "9da0fb429a25436fa543519f4570f19f";

fn rule(expression: &str, overrides: Value) -> Value {
    json!({"action": "execute", "expression": expression, "description": "for a test", "enabled": true,
        "action_parameters": {"id": MANAGED, "overrides": overrides}})
}

fn low(id: &str) -> Value {
    json!({"rules": [{"id": id, "sensitivity_level": "low"}]})
}

fn ids(answer: &Answer) -> Vec<String> {
    let rules = answer.body["result"]["rules"].as_array().unwrap();
    rules.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect()
}

fn error(answer: &Answer) -> (u16, u64) {
    assert_eq!(answer.body["success"], false, "{}", answer.body);
    (answer.status, answer.body["errors"][0]["code"].as_u64().unwrap())
}

#[tokio::test]
async fn the_managed_ruleset_is_listed_and_read_but_never_written() {
    let desk = Desk::new().await;
    let first = desk.rest("GET", "/rulesets?per_page=1", None).await;
    assert_eq!(first.body["result"].as_array().unwrap().len(), 1);
    assert_eq!(first.body["result"][0]["id"], MANAGED);
    assert!(first.body["result"][0].get("rules").is_none());
    let cursor = first.body["result_info"]["cursors"]["after"].as_str().unwrap();
    let second = desk
        .rest("GET", &format!("/rulesets?per_page=1&cursor={cursor}"), None)
        .await;
    assert_eq!(second.body["result"][0]["phase"], "ddos_l7");
    assert!(second.body["result_info"].get("cursors").is_none());
    let whole = desk.rest("GET", &format!("/rulesets/{MANAGED}"), None).await;
    let rules = whole.body["result"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 124);
    let udp = rules.iter().find(|r| r["id"] == UDP).unwrap();
    assert_eq!(
        (&udp["ref"], &udp["allowed_override_actions"]),
        (&json!("UDP-0001"), &json!(["block", "ddos_dynamic", "log"]))
    );
    let version = whole.body["result"]["version"].as_str().unwrap();
    let tagged = desk
        .rest(
            "GET",
            &format!("/rulesets/{MANAGED}/versions/{version}/by_tag/gre"),
            None,
        )
        .await;
    assert_eq!(ids(&tagged).len(), 5);
    let refused = desk
        .rest(
            "POST",
            &format!("/rulesets/{MANAGED}/rules"),
            Some(rule("true", low(UDP))),
        )
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(error(&desk.rest("GET", &format!("/rulesets/{UDP}"), None).await).0, 404);
}

#[tokio::test]
async fn an_entry_point_begins_with_its_first_write_and_keeps_its_versions() {
    let desk = Desk::new().await;
    let absent = desk.rest("GET", ENTRY, None).await;
    assert_eq!(error(&absent), (404, 10_003));
    let trial = desk
        .rest(
            "PUT",
            &format!("{ENTRY}?dry_run=true"),
            Some(json!({"rules": [rule("true", low(UDP))]})),
        )
        .await;
    assert_eq!((trial.status, &trial.body["result"]), (200, &Value::Null));
    assert_eq!(desk.rest("GET", ENTRY, None).await.status, 404);
    assert_eq!(
        desk.rest("PUT", &format!("{ENTRY}?dry_run=1"), Some(json!({})))
            .await
            .status,
        400
    );

    let made = desk
        .rest("PUT", ENTRY, Some(json!({"rules": [rule("true", low(UDP))]})))
        .await;
    assert_eq!((made.status, &made.body["result"]["version"]), (200, &json!("1")));
    assert_eq!(made.body["result"]["kind"], "root");
    let id = made.body["result"]["id"].as_str().unwrap().to_owned();
    let first = ids(&made)[0].clone();
    assert_eq!(made.body["result"]["rules"][0]["ref"], json!(first));

    // A single rule is added; the answer is the whole ruleset.
    let path = format!("/rulesets/{id}/rules");
    let added = desk
        .rest("POST", &path, Some(rule("ip.dst in {192.0.2.0/24}", low(SYN))))
        .await;
    assert_eq!((ids(&added).len(), &added.body["result"]["version"]), (2, &json!("2")));
    assert_eq!(added.body["result"]["rules"][0]["version"], "1");
    let second = ids(&added)[1].clone();

    // Moved only: the rule keeps its version, the ruleset gets a new one.
    let one = format!("{path}/{second}");
    let moved = desk
        .rest("PATCH", &one, Some(json!({"position": {"before": ""}})))
        .await;
    assert_eq!(ids(&moved), [second.clone(), first.clone()]);
    assert_eq!(
        (
            &moved.body["result"]["version"],
            &moved.body["result"]["rules"][0]["version"]
        ),
        (&json!("3"), &json!("1"))
    );
    for (position, wanted) in [
        (json!({"index": 2}), [&first, &second]),
        (json!({"before": first}), [&second, &first]),
        (json!({"after": first}), [&first, &second]),
        (json!({"index": 1}), [&second, &first]),
        (json!({"after": ""}), [&first, &second]),
    ] {
        let moved = desk.rest("PATCH", &one, Some(json!({"position": position}))).await;
        assert_eq!(ids(&moved).iter().collect::<Vec<_>>(), wanted, "{position}");
    }
    for position in [
        json!({}),
        json!({"index": 3}),
        json!({"index": 0}),
        json!({"before": "", "index": 1}),
        json!({"after": UDP}),
    ] {
        let refused = desk.rest("PATCH", &one, Some(json!({"position": position}))).await;
        assert_eq!(refused.status, 400, "{position}");
    }

    // A change must be complete, and raises the rule's version.
    let partial = desk.rest("PATCH", &one, Some(json!({"enabled": false}))).await;
    assert_eq!(partial.status, 400);
    let mut changed = rule("ip.dst in {192.0.2.0/24}", low(SYN));
    changed["enabled"] = json!(false);
    let done = desk.rest("PATCH", &one, Some(changed)).await;
    assert_eq!(
        (
            &done.body["result"]["rules"][1]["version"],
            &done.body["result"]["rules"][1]["enabled"]
        ),
        (&json!("2"), &json!(false))
    );

    // Old versions stay readable; the ruleset written back whole keeps its rules' identity and versions.
    let versions = desk.rest("GET", &format!("{ENTRY}/versions"), None).await;
    let newest = versions.body["result"][0]["version"].as_str().unwrap().to_owned();
    assert_eq!(versions.body["result"].as_array().unwrap().len(), 9);
    let old = desk.rest("GET", &format!("{ENTRY}/versions/1"), None).await;
    assert_eq!(ids(&old).first(), Some(&first));
    let now = desk.rest("GET", ENTRY, None).await;
    let back = desk
        .rest(
            "PUT",
            &format!("/rulesets/{id}"),
            Some(json!({"rules": now.body["result"]["rules"]})),
        )
        .await;
    assert_eq!(back.body["result"]["rules"], now.body["result"]["rules"]);
    assert_ne!(back.body["result"]["version"], json!(newest));
    assert_eq!(
        desk.rest("DELETE", &format!("/rulesets/{id}/versions/1"), None)
            .await
            .status,
        204
    );
    assert_eq!(
        error(&desk.rest("GET", &format!("/rulesets/{id}/versions/1"), None).await).0,
        404
    );
    assert_eq!(
        desk.rest("DELETE", &format!("/rulesets/{id}/versions/10"), None)
            .await
            .status,
        400
    );

    let gone = desk.rest("DELETE", &one, None).await;
    assert_eq!(ids(&gone), [first]);
    assert_eq!(error(&desk.rest("DELETE", &one, None).await), (404, 10_002));
    let trial = desk.rest("DELETE", &format!("/rulesets/{id}?dry_run=true"), None).await;
    assert_eq!((trial.status, desk.rest("GET", ENTRY, None).await.status), (204, 200));
    assert_eq!(desk.rest("DELETE", &format!("/rulesets/{id}"), None).await.status, 204);
    assert_eq!(desk.rest("GET", ENTRY, None).await.status, 404);
}

#[tokio::test]
async fn what_an_override_may_not_be_is_refused_with_its_place() {
    let desk = Desk::new().await;
    let read_only = {
        let whole = desk.rest("GET", &format!("/rulesets/{MANAGED}"), None).await;
        let rules = whole.body["result"]["rules"].as_array().unwrap().clone();
        let found = rules
            .into_iter()
            .find(|r| r["allowed_override_actions"] == json!([]))
            .unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let with = |change: &dyn Fn(&mut Value)| {
        let mut given = rule("true", json!({}));
        change(&mut given);
        given
    };
    let overriding = |overrides: Value| rule("true", overrides);
    let cases = [
        (
            overriding(json!({"action": "ddos_dynamic"})),
            "action_parameters/overrides/action",
        ),
        (
            overriding(json!({"action": "managed_challenge"})),
            "action_parameters/overrides/action",
        ),
        (
            overriding(json!({"sensitivity_level": "high"})),
            "action_parameters/overrides/sensitivity_level",
        ),
        (
            overriding(json!({"enabled": false})),
            "action_parameters/overrides/enabled",
        ),
        (
            overriding(json!({"categories": [{"category": "nonsense"}]})),
            "action_parameters/overrides/categories/0/category",
        ),
        (
            overriding(json!({"rules": [{"id": "0".repeat(32)}]})),
            "action_parameters/overrides/rules/0/id",
        ),
        (
            overriding(json!({"rules": [{"id": read_only, "action": "log"}]})),
            "action_parameters/overrides/rules/0/id",
        ),
        (
            overriding(json!({"rules": [{"id": UDP}, {"id": UDP}]})),
            "action_parameters/overrides/rules/1/id",
        ),
        (
            overriding(json!({"rules": [{"id": UDP, "action": "ddos_dynamic"}]})),
            "action_parameters/overrides/rules/0/action",
        ),
        (rule("ip.dst.port eq 53", low(UDP)), "expression"),
        (rule("ip.dst eq 192.0.2.0/24", low(UDP)), "expression"),
        (rule("", low(UDP)), "expression"),
        (
            rule(&format!("ip.dst in {{{}}}", "192.0.2.1 ".repeat(401)), low(UDP)),
            "expression",
        ),
        (with(&|r| r["action"] = json!("skip")), "action"),
        (
            with(&|r| r["action_parameters"]["id"] = json!("4d21379b4f9f4bb088e0729962c8b3cf")),
            "action_parameters/id",
        ),
        (
            with(&|r| {
                r.as_object_mut().unwrap().remove("action_parameters");
            }),
            "action_parameters",
        ),
        (with(&|r| r["enabled"] = json!("yes")), "enabled"),
    ];
    for (given, pointer) in cases {
        let refused = desk
            .rest("PUT", &format!("{ENTRY}?dry_run=true"), Some(json!({"rules": [given]})))
            .await;
        assert_eq!(refused.status, 400, "{given}");
        assert_eq!(
            refused.body["errors"][0]["source"]["pointer"],
            format!("/rules/0/{pointer}"),
            "{given}"
        );
    }
    let stranger = with(&|r| r["priority"] = json!(1));
    assert_eq!(
        desk.rest("PUT", ENTRY, Some(json!({"rules": [stranger]}))).await.status,
        400
    );
    // A firewall phase of packets has actions of its own.
    let skip =
        json!({"action": "skip", "action_parameters": {"ruleset": "current"}, "expression": "ip.proto.num eq 6"});
    let firewall = "/rulesets/phases/magic_transit/entrypoint";
    assert_eq!(
        desk.rest("PUT", firewall, Some(json!({"rules": [skip]}))).await.status,
        200
    );
    let custom = json!({"kind": "custom", "name": "blocklist", "phase": "magic_transit",
        "rules": [{"action": "block", "expression": "ip.src in {198.51.100.0/24}"}]});
    assert_eq!(
        desk.rest("POST", "/rulesets", Some(custom)).await.body["result"]["kind"],
        "custom"
    );
}

#[tokio::test]
async fn one_override_without_the_add_on_and_ten_with_it() {
    for most in [1, 10] {
        let desk = Desk::with(SimConfig {
            override_rules: most,
            ..SimConfig::default()
        })
        .await;
        let rules = |n: usize| json!({"rules": vec![rule("true", low(UDP)); n]});
        let made = desk.rest("PUT", ENTRY, Some(rules(most))).await;
        assert_eq!(made.status, 200);
        assert_eq!(
            error(&desk.rest("PUT", ENTRY, Some(rules(most + 1))).await),
            (400, 20_217)
        );
        let path = format!("/rulesets/{}/rules", made.body["result"]["id"].as_str().unwrap());
        assert_eq!(
            error(&desk.rest("POST", &path, Some(rule("true", low(UDP)))).await),
            (400, 20_217)
        );
    }
}

#[tokio::test]
async fn the_first_match_decides_and_the_most_specific_level_wins() {
    let desk = Desk::new().await;
    let levels = json!({"sensitivity_level": "medium", "action": "log",
        "categories": [{"category": "tcp", "sensitivity_level": "low"}],
        "rules": [{"id": SYN, "action": "block"}]});
    let rules = json!({"rules": [
        rule("ip.dst in {192.0.2.0/25}", low(UDP)),
        rule("ip.dst in {192.0.2.0/24}", levels),
    ]});
    let made = desk.rest("PUT", ENTRY, Some(rules)).await;
    let roots = ids(&made);
    let effect = async |rule: &str, to: &str| {
        let answer = desk
            .control("GET", &format!("overrides/{rule}?ip.dst={to}"), None)
            .await;
        let field = |name: &str| answer.body[name].as_str().unwrap_or("none").to_owned();
        (field("action"), field("sensitivity_level"), field("decided_by"))
    };
    let wanted = |a: &str, s: &str, d: &str| (a.to_owned(), s.to_owned(), d.to_owned());
    assert_eq!(effect(UDP, "192.0.2.5").await, wanted("ddos_dynamic", "low", &roots[0]));
    // The second rule is not asked when the first one matches.
    assert_eq!(
        effect(SYN, "192.0.2.5").await,
        wanted("ddos_dynamic", "default", &roots[0])
    );
    assert_eq!(effect(SYN, "192.0.2.200").await, wanted("block", "low", &roots[1]));
    assert_eq!(effect(UDP, "192.0.2.200").await, wanted("log", "medium", &roots[1]));
    assert_eq!(
        effect(UDP, "198.51.100.1").await,
        wanted("ddos_dynamic", "default", "none")
    );
}

#[tokio::test]
async fn rulesets_have_permissions_of_their_own() {
    let desk = Desk::with(SimConfig {
        permissions: Permissions {
            rulesets_write: false,
            ..Permissions::default()
        },
        ..SimConfig::default()
    })
    .await;
    assert_eq!(desk.rest("GET", "/rulesets", None).await.status, 200);
    let refused = desk.rest("PUT", ENTRY, Some(json!({"rules": []}))).await;
    assert_eq!(error(&refused), (403, 10_000));
    let unknown = desk.send("PATCH", &desk.account("/rulesets"), None).await.unwrap();
    assert_eq!(answer(unknown).await.status, 403);
}
