//! A dashboard whose Cloudflare is simulated in the same process, and what can go wrong with its calls.

use cf_sim::{FaultKind, Sim, SimConfig};
use db::users::{self, Role};
use db::{WriteTx, audit};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::json;

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
