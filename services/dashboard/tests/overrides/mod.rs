//! Managed DDoS rules and overrides against a simulated Cloudflare: exactly the rule meant in exactly the scope meant, order
//! among all, two people at once, what weakens everything, ends, categories. How Cloudflare can fail a call is in `failures`.

mod programs;
mod standing;

use crate::support::cloudflare::{audited, call, changes, entry_point, make, named, overrides, send, stage, value_of};
use cf_sim::{FaultSpec, Target};
use db::users::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Generic high-volume UDP; its id is the same in every account.
const UDP: &str = "599dab0942ff4898ac1b7797e954e98b";

#[tokio::test]
async fn exactly_the_rule_meant_is_set_in_exactly_the_scope_meant() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    make(&otto, "one host", "ip.dst eq 192.0.2.7").await;
    let host = named(&overrides(&otto).await, "one host").clone();

    // What was searched for is what the link leads to.
    let page = otto.html("/ddos-rules?q=UDP-0001").await;
    assert!(page.contains(&format!("/ddos-rules/rule/{UDP}")), "{page}");
    assert!(!page.contains("TCP-0001"));
    let path = format!("/ddos-rules/rule/{UDP}");
    let seen = value_of(&otto.html(&path).await, "seen").to_owned();
    let set = [
        ("scope", "everywhere"),
        ("seen", seen.as_str()),
        ("action", "log"),
        ("sensitivity", "keep"),
    ];
    let (status, page) = send(&otto, &path, &[&set[..], &[("act", "review")]].concat()).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(
        page.contains("log (set for the rule)") && page.contains("weakens protection for every destination"),
        "{page}"
    );
    let sent = [&set[..], &[("act", "send"), ("reason", "ticket 4711")]].concat();
    let (status, page) = send(&otto, &path, &sent).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "weakening everything is typed out");
    assert!(page.contains("ticket 4711"), "input is kept");
    let (status, page) = send(&otto, &path, &[&sent[..], &[("confirm", "UDP-0001")]].concat()).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    let all = overrides(&otto).await;
    assert_eq!(
        named(&all, "one host")["overrides"],
        host["overrides"],
        "the host's override is not touched"
    );
    let global = all.iter().find(|one| one["expression"] == "true").unwrap();
    assert_eq!(global["overrides"]["rules"], json!([{"id": UDP, "action": "log"}]));
    assert!(
        global["position"].as_u64() > named(&all, "one host")["position"].as_u64(),
        "the global rule comes last"
    );

    // Only the sensitivity changes, the action stays.
    let seen = value_of(&otto.html(&path).await, "seen").to_owned();
    let fields = [
        ("scope", "everywhere"),
        ("seen", seen.as_str()),
        ("sensitivity", "medium"),
        ("act", "send"),
        ("reason", "ticket 4711"),
    ];
    let (status, page) = send(&otto, &path, &fields).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    let all = overrides(&otto).await;
    let global = all.iter().find(|one| one["expression"] == "true").unwrap();
    assert_eq!(
        global["overrides"]["rules"],
        json!([{"id": UDP, "action": "log", "sensitivity_level": "medium"}])
    );
    // What a host has does not show as everybody's.
    let page = otto.html("/ddos-rules?q=UDP-0001").await;
    assert!(page.contains("medium"), "{page}");

    // Reset to the default.
    let seen = value_of(&otto.html(&path).await, "seen").to_owned();
    let fields = [
        ("scope", "everywhere"),
        ("seen", seen.as_str()),
        ("action", "reset"),
        ("sensitivity", "reset"),
        ("act", "send"),
        ("reason", "over"),
    ];
    let (status, page) = send(&otto, &path, &fields).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    let point = entry_point(&sim).await;
    assert!(!point.to_string().contains(UDP), "{point}");
    let row = audited(&site).await;
    assert_eq!(
        (row.actor.as_str(), row.result.as_str(), row.reason.as_deref()),
        ("otto", "ok", Some("over"))
    );
    assert!(row.before.is_some() && row.after.is_some());
}

#[tokio::test]
async fn only_what_cloudflare_permits_is_offered_and_taken() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let path = format!("/ddos-rules/rule/{UDP}");
    let page = otto.html(&path).await;
    let offered = page
        .split("<option")
        .filter(|option| option.contains("ddos_dynamic</option>"));
    assert_eq!(offered.count(), 0, "it cannot be set");
    let seen = value_of(&page, "seen").to_owned();
    for (action, sensitivity) in [
        ("ddos_dynamic", "keep"),
        ("managed_challenge", "keep"),
        ("skip", "keep"),
        ("keep", "high"),
    ] {
        let fields = [
            ("scope", "everywhere"),
            ("seen", seen.as_str()),
            ("action", action),
            ("sensitivity", sensitivity),
            ("act", "send"),
            ("reason", "because"),
        ];
        let (status, page) = send(&otto, &path, &fields).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{action} {sensitivity}: {page}");
    }
    for (path, expected) in [
        ("/ddos-rules/%5C", StatusCode::NOT_FOUND),
        ("/ddos-rules/block", StatusCode::OK),
    ] {
        assert_eq!(otto.page(path).await.0, expected, "{path}");
    }
    assert_eq!(changes(&sim), 0);
}

#[tokio::test]
async fn an_override_is_read_by_the_parser_and_fits_its_rule() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let path = "/ddos-rules/override/new";
    let seen = value_of(&otto.html(path).await, "seen").to_owned();
    let with = |extra: Vec<(&'static str, &'static str)>| {
        let mut fields = vec![("name", "a host"), ("sensitivity", "low"), ("act", "review")];
        fields.extend(extra);
        fields
    };
    for (extra, told) in [
        (vec![("expression", "hello world } foo.bar eq")], "Expression"),
        (vec![("expression", "ip.dst.port eq 53")], "tcp.dstport"),
        (vec![("expression", "")], "Expression"),
        (vec![("expression", "tcp.dstport eq 80"), ("rule", UDP)], "is about UDP"),
        (
            vec![("expression", "udp.dstport eq 53"), ("rule", "no such rule")],
            "no such rule",
        ),
        (
            vec![("expression", "ip.dst eq 192.0.2.1"), ("sensitivity", "")],
            "sets nothing",
        ),
        (vec![("expression", "ip.dst eq 192.0.2.1"), ("name", "")], "Name"),
        (vec![("act", "build"), ("destinations", "999.1.1.1")], "no address"),
    ] {
        let mut fields = with(extra.clone());
        fields.push(("seen", Box::leak(seen.clone().into_boxed_str())));
        let (status, page) = send(&otto, path, &fields).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{extra:?}");
        assert!(page.contains(told), "{extra:?}: {page}");
    }
    // The builder takes both families, networks and several of them, and switches the rule with the service.
    let fields = with(vec![
        ("act", "build"),
        ("service", "dns"),
        ("destinations", "2001:db8:10::/48, 192.0.2.7"),
        ("rule", UDP),
    ]);
    let (status, page) = send(&otto, path, &fields[1..]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains("ip.dst in {2001:db8:10::/48 192.0.2.7} and udp.dstport eq 53"),
        "{page}"
    );
    // Cloudflare's own check comes before the change.
    let body = json!({"success": false, "errors": [{"code": 20217, "message": "not for <b>your</b> plan"}], "messages": [], "result": null});
    let kind = cf_sim::FaultKind::Status {
        status: 400,
        body: Some(body),
    };
    for method in ["POST", "PUT"] {
        sim.set_fault(FaultSpec::new(Target::Rest, kind.clone()).method(method));
    }
    let fields = [
        ("seen", seen.as_str()),
        ("name", "a host"),
        ("expression", "ip.dst eq 192.0.2.1"),
        ("sensitivity", "low"),
        ("act", "send"),
        ("reason", "because"),
    ];
    let (status, page) = send(&otto, path, &fields).await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");
    assert!(
        page.contains("not for") && !page.contains("<b>your"),
        "Cloudflare's words, as text: {page}"
    );
    let calls = sim.requests_since(0);
    let written = calls
        .iter()
        .filter(|call| call.method != "GET" && call.surface == "rest");
    assert!(
        written.into_iter().all(|call| call.query.contains("dry_run=true")),
        "nothing but the check was sent"
    );
}

#[tokio::test]
async fn overrides_are_moved_among_all_and_the_second_of_two_is_told() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    for (number, name) in ["first", "second", "third"].into_iter().enumerate() {
        make(&otto, name, &format!("ip.dst eq 192.0.2.{number}")).await;
    }
    let order = |all: &[Value]| {
        all.iter()
            .map(|one| one["description"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let before = order(&overrides(&otto).await);
    let third = named(&overrides(&otto).await, "third")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/ddos-rules/override/{third}");
    let seen = value_of(&otto.html(&path).await, "seen").to_owned();
    let fields = [
        ("seen", seen.as_str()),
        ("act", "first"),
        ("reason", "it is the narrowest"),
    ];
    let (status, page) = send(&otto, &path, &fields).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    assert_eq!(order(&overrides(&otto).await)[0], "third", "{before:?}");
    // The same page again: it is not what it was.
    let down = [("seen", seen.as_str()), ("act", "down"), ("reason", "no, later")];
    let (status, page) = send(&otto, &path, &down).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        page.contains("Somebody changed the overrides") && page.contains("no, later"),
        "{page}"
    );
    assert_eq!(order(&overrides(&otto).await)[0], "third");
    // Somebody else at Cloudflare, after our last reading.
    let seen = value_of(&otto.html(&path).await, "seen").to_owned();
    let point = entry_point(&sim).await;
    let rule = format!(
        "/rulesets/{}/rules/{}",
        point["id"].as_str().unwrap(),
        point["rules"][1]["id"].as_str().unwrap()
    );
    assert!(call(&sim, Method::DELETE, &rule).await.status().is_success());
    let last = [("seen", seen.as_str()), ("act", "last"), ("reason", "last of all")];
    let (status, page) = send(&otto, &path, &last).await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");
    assert_eq!(
        entry_point(&sim).await["rules"][0]["id"],
        json!(third),
        "nothing was moved"
    );
}

#[tokio::test]
async fn without_the_overrides_nothing_is_said_to_be_in_force() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let kind = cf_sim::FaultKind::Status {
        status: 500,
        body: None,
    };
    sim.set_fault(FaultSpec::new(Target::Rest, kind).path("/entrypoint"));
    let page = otto.html("/ddos-rules").await;
    assert!(page.contains("UDP-0001") && page.contains("unknown"), "{page}");
    assert!(
        !page.contains("Cloudflare&#39;s default<") && !page.contains("Cloudflare's default<"),
        "{page}"
    );
    let told = otto.json("/api/ddos-rules").await;
    assert_eq!((&told["scopes"], &told["version"]), (&Value::Null, &Value::Null));
    let (status, _) = otto.page("/ddos-rules/override/new").await;
    assert_eq!(
        status,
        StatusCode::SERVICE_UNAVAILABLE,
        "no form where nothing was read"
    );
}

#[tokio::test]
async fn categories_and_all_rules_are_set_with_what_that_changes() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    make(&otto, "one host", "ip.dst eq 192.0.2.7").await;
    let host = named(&overrides(&otto).await, "one host").clone();
    let page = otto.html("/ddos-rules").await;
    assert!(
        page.contains("/ddos-rules/category/udp?scope=everywhere") && page.contains("/ddos-rules/ruleset"),
        "{page}"
    );
    // A category: which rules change is shown, weakening everything is typed out.
    let path = "/ddos-rules/category/udp";
    let seen = value_of(&otto.html(path).await, "seen").to_owned();
    let set = [
        ("scope", "everywhere"),
        ("seen", seen.as_str()),
        ("action", "log"),
        ("sensitivity", "medium"),
    ];
    let (status, page) = send(&otto, path, &[&set[..], &[("act", "review")]].concat()).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(
        page.contains("UDP-0001") && page.contains("log (set for udp), medium (set for udp)"),
        "{page}"
    );
    let sent = [&set[..], &[("act", "send"), ("reason", "ticket 4711")]].concat();
    let (status, page) = send(&otto, path, &sent).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{page}");
    assert!(page.contains("Type udp") && page.contains("ticket 4711"), "{page}");
    let (status, page) = send(&otto, path, &[&sent[..], &[("confirm", "udp")]].concat()).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    // The numbers over the list are those of the list: what is in force, and not what Cloudflare set.
    let page = otto.html("/ddos-rules").await;
    let (_, rest) = page.split_once("href=\"/ddos-rules/log?").expect("a filter");
    let shown = rest.split_once(">log ").unwrap().1.split('<').next().unwrap();
    let logged: usize = shown.trim().parse().unwrap();
    assert!(logged > 17, "the category's rules are among them: {logged}");
    let list = otto.html("/ddos-rules/log").await;
    assert!(list.contains(&format!("{logged} of 124")), "{logged}: {list}");
    // All rules, in the scope of the host only: no word has to be typed.
    let scope = host["id"].as_str().unwrap();
    let path = "/ddos-rules/ruleset";
    let seen = value_of(&otto.html(&format!("{path}?scope={scope}")).await, "seen").to_owned();
    let fields = [
        ("scope", scope),
        ("seen", &seen),
        ("action", "block"),
        ("act", "send"),
        ("reason", "only this host"),
    ];
    let (status, page) = send(&otto, path, &fields).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    let all = overrides(&otto).await;
    let global = all.iter().find(|one| one["expression"] == "true").unwrap();
    assert_eq!(
        global["overrides"],
        json!({"categories": [{"category": "udp", "action": "log", "sensitivity_level": "medium"}]})
    );
    assert_eq!(
        named(&all, "one host")["overrides"],
        json!({"action": "block", "sensitivity_level": "low"})
    );
    // The rule's page says what is in force where, and which level says so.
    let page = otto.html(&format!("/ddos-rules/rule/{UDP}")).await;
    for words in [
        "category udp",
        "log (set for udp), medium (set for udp)",
        "block (set for the ruleset), low (set for the ruleset)",
        "Cloudflare&#39;s defaults",
    ] {
        assert!(
            page.contains(words) || page.contains(&words.replace("&#39;", "'")),
            "{words}: {page}"
        );
    }
    // Reset by the API; what nobody can change and what is not there is refused.
    let version = otto.json("/api/ddos-rules").await["version"].clone();
    let reset = json!({"scope": "everywhere", "action": "reset", "sensitivity_level": "reset", "seen": version, "reason": "over"});
    for (name, expected) in [
        ("read-only", StatusCode::BAD_REQUEST),
        ("no-such", StatusCode::NOT_FOUND),
        ("udp", StatusCode::OK),
    ] {
        let (status, told) = otto.post(&format!("/api/ddos-categories/{name}/update"), &reset).await;
        assert_eq!(status, expected, "{name}: {told}");
    }
    assert!(!entry_point(&sim).await.to_string().contains("categories"));
    let whole = json!({"scope": "everywhere", "sensitivity_level": "eoff", "seen": "none", "reason": "over"});
    let (status, told) = otto.post("/api/ddos-ruleset/update", &whole).await;
    assert_eq!(
        (status, &told["code"]),
        (StatusCode::CONFLICT, &json!("changed_meanwhile")),
        "{told}"
    );
}
