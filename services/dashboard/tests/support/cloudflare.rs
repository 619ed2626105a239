//! A dashboard whose Cloudflare is simulated in the same process, and what can go wrong with its calls.

use cf_sim::{FaultKind, Sim, SimConfig};
use db::users::{self, Role};
use db::{WriteTx, audit};
use jiff::Timestamp;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Browser, Plan, Site};

/// A dashboard whose Cloudflare is simulated in this process.
pub async fn stage() -> (Sim, Site) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let fill = |tx: &WriteTx<'_>, now: Timestamp| {
        users::add(tx, "someone", "*", Role::Viewer, false, now)?;
        super::seed::fill(tx, &super::seed::Words::default(), now)
    };
    let site = Plan::new()
        .set("/cloudflare/api_base_url", json!(sim.api_base_url()))
        .set("/cloudflare/account_id", json!(sim.config().account_id))
        .set("/cloudflare/api_token", json!(sim.config().api_token))
        .prepared(fill)
        .await;
    (sim, site)
}

/// Sends a form as a page without script does, and follows nothing.
pub async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
    let mut all = vec![("csrf", browser.csrf.as_str())];
    all.extend(fields);
    let answer = browser.form(path, &all).await;
    (answer.status(), answer.text().await.unwrap())
}

/// The account's object or list at this path, as Cloudflare has it now; null when there is none.
pub async fn at_cloudflare(sim: &Sim, path: &str) -> Value {
    let answer = call(sim, Method::GET, path).await;
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    body.get("result")
        .or_else(|| body.get("items"))
        .cloned()
        .unwrap_or_default()
}

/// A call that somebody else makes, past the dashboard.
pub async fn call(sim: &Sim, method: Method, path: &str) -> Response {
    let url = format!("{}/accounts/{}{path}", sim.api_base_url(), sim.config().account_id);
    let client = reqwest::Client::builder().build().unwrap();
    let request = client.request(method, url).bearer_auth(&sim.config().api_token);
    request.send().await.unwrap()
}

/// The overrides as Cloudflare has them; null when there is no entry point.
pub async fn entry_point(sim: &Sim) -> Value {
    at_cloudflare(sim, "/rulesets/phases/ddos_l4/entrypoint").await
}

/// Everything that people can change, as Cloudflare has it.
pub async fn everything(sim: &Sim) -> Value {
    let mut found = vec![entry_point(sim).await["rules"].clone()];
    for path in ["/mnm/rules", "/magic/gre_tunnels", "/magic/ipsec_tunnels", "/cni/cnis"] {
        found.push(at_cloudflare(sim, path).await);
    }
    Value::Array(found)
}

/// Makes an override as a person does.
pub async fn make(browser: &Browser, name: &str, expression: &str) -> Value {
    let path = "/ddos-rules/override/new";
    let seen = value_of(&browser.html(path).await, "seen").to_owned();
    let fields = [
        ("seen", seen.as_str()),
        ("name", name),
        ("expression", expression),
        ("sensitivity", "low"),
        ("act", "send"),
        ("reason", "a false positive"),
    ];
    let (status, page) = send(browser, path, &fields).await;
    assert_eq!(status, StatusCode::FOUND, "{name}: {page}");
    named(&overrides(browser).await, name).clone()
}

/// The overrides as the API lists them.
pub async fn overrides(browser: &Browser) -> Vec<Value> {
    let told = browser.json("/api/ddos-overrides").await;
    told["overrides"].as_array().unwrap_or_else(|| panic!("{told}")).clone()
}

/// The one of this name.
pub fn named<'a>(all: &'a [Value], name: &str) -> &'a Value {
    let found = all.iter().find(|one| one["description"] == name || one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {all:?}"))
}

/// Calls to Cloudflare that change something.
pub fn changes(sim: &Sim) -> usize {
    let all = sim.requests_since(0);
    let rest = all.iter().filter(|call| call.path.contains("/client/v4/accounts/"));
    rest.filter(|call| matches!(call.method.as_str(), "PUT" | "PATCH" | "POST" | "DELETE"))
        .count()
}

pub fn value_of<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('"').next().unwrap()
}

pub async fn audited(site: &Site) -> audit::Entry {
    site.read(|tx| audit::newest(tx, 1)).await.remove(0)
}

/// What can go wrong with one call.
pub fn faults() -> [(&'static str, FaultKind); 5] {
    [
        ("no answer", FaultKind::Hang),
        (
            "403",
            FaultKind::Status {
                status: 403,
                body: None,
            },
        ),
        ("429", FaultKind::RateLimited { retry_after: Some(1) }),
        (
            "500",
            FaultKind::Status {
                status: 500,
                body: None,
            },
        ),
        ("garbage", FaultKind::Garbage),
    ]
}
