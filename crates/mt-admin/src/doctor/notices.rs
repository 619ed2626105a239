//! The way of a notification: from Cloudflare's policies over the destination to our receiver.
//!
//! Nothing is posted: the receiver's public address is asked with GET, which it answers with "method not allowed".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use cf_api::rest::alerting::{AlertPolicy, WebhookDestination};
use cf_api::{CfError, CloudflareClient, Transport};
use jiff::Timestamp;
use serde_json::Value;
use settings::Settings;

use super::finding::{Finding, Severity};
use crate::alert_kinds::{Coverage, RECEIVER_PATH, WANTED, coverage, our_destinations};
use cli::words::{self, clock};

/// Longest answer that is looked at.
const MOST_ANSWER: usize = 64 * 1024;

const DEAF: &str = "attacks are not announced as they begin; only the analytics monitor sees them, minutes later";

const MEND: &str = "cloudflare-mt setup notifications creates what is missing";

/// Policies and destinations, judged; and the destinations that lead to our receiver.
pub async fn policies(api: &CloudflareClient, now: Timestamp) -> (Vec<Finding>, Vec<WebhookDestination>) {
    let (policies, destinations) = tokio::join!(api.list_alert_policies(), api.list_webhook_destinations());
    judge(&policies, &destinations, now)
}

fn judge(
    policies: &Result<Vec<AlertPolicy>, CfError>,
    destinations: &Result<Vec<WebhookDestination>, CfError>,
    now: Timestamp,
) -> (Vec<Finding>, Vec<WebhookDestination>) {
    const CHECK: &str = "cloudflare.notifications";
    let means = "whether Cloudflare tells us of attacks is not known";
    let (policies, destinations) = match (policies, destinations) {
        (Ok(policies), Ok(destinations)) => (policies, destinations),
        (Err(error), _) | (_, Err(error)) => {
            let finding = Finding::cloudflare(CHECK, error, means, "Notifications: Read");
            return (vec![finding], Vec::new());
        }
    };
    let ours = our_destinations(destinations, None);
    if ours.is_empty() {
        let text = format!("no destination at Cloudflare ends in {RECEIVER_PATH}: nothing is sent to the receiver");
        let finding = Finding::of(Severity::Critical, "cloudflare.destination", text, DEAF, MEND);
        return (vec![finding], Vec::new());
    }
    let mut findings: Vec<Finding> = ours.iter().flat_map(|ours| destination(ours, now)).collect();
    let before = findings.len();
    for wanted in &WANTED {
        let kinds = wanted.any_of.join(" or ");
        let means = format!("nobody is told of {}", wanted.tells);
        match coverage(wanted.any_of, policies, &ours) {
            Coverage::Covered(_) => {}
            Coverage::Disabled(policy) => findings.push(Finding::of(
                Severity::Critical,
                CHECK,
                format!(
                    "the policy '{}' ({kinds}) is switched off",
                    words::outside(&policy.name, 80)
                ),
                means,
                "switch it on at Cloudflare, under Notifications",
            )),
            Coverage::Elsewhere(policy) => findings.push(Finding::of(
                Severity::Critical,
                CHECK,
                format!(
                    "the policy '{}' ({kinds}) does not post to the receiver",
                    words::outside(&policy.name, 80)
                ),
                means,
                MEND,
            )),
            Coverage::Missing => findings.push(Finding::of(
                Severity::Critical,
                CHECK,
                format!("there is no policy for {kinds}"),
                means,
                MEND,
            )),
        }
    }
    for policy in policies
        .iter()
        .filter(|policy| policy.enabled && !policy.filters.is_empty())
    {
        let is_wanted = WANTED
            .iter()
            .any(|wanted| wanted.any_of.contains(&policy.alert_type.as_str()));
        if is_wanted {
            let limits: Vec<String> = policy
                .filters
                .iter()
                .map(|(key, values)| format!("{key} {}", values.join("/")))
                .collect();
            findings.push(Finding::of(
                Severity::Info,
                CHECK,
                format!(
                    "the policy '{}' is limited to {}",
                    words::outside(&policy.name, 80),
                    words::outside(&limits.join(", "), 200)
                ),
                "what is outside of that limit is not announced",
                "look at it under Notifications, if that is not meant",
            ));
        }
    }
    if findings
        .iter()
        .skip(before)
        .all(|finding| finding.severity == Severity::Info)
    {
        findings.push(Finding::ok(
            CHECK,
            "every needed notification is on and posts to the receiver",
        ));
    }
    (findings, ours.into_iter().cloned().collect())
}

fn destination(found: &WebhookDestination, now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "cloudflare.destination";
    let url = words::outside(&found.url, 200);
    let mut findings = Vec::new();
    if found.url.starts_with("http://") && !is_loopback(&found.url) {
        findings.push(Finding::of(
            Severity::Warning,
            CHECK,
            format!("Cloudflare posts to {url} without TLS"),
            "the secret crosses the network in the clear: whoever reads it can invent attacks",
            "put a TLS proxy in front of the receiver and change the destination to https",
        ));
    }
    match (found.last_success, found.last_failure) {
        (success, Some(failure)) if success.is_none_or(|success| success < failure) => {
            let success = success.map_or_else(
                || "and none was ever taken".to_owned(),
                |success| format!("the last one taken was of {}", clock(success, now)),
            );
            findings.push(Finding::of(
                Severity::Critical,
                CHECK,
                format!(
                    "Cloudflare's last message to {url} failed ({}); {success}",
                    clock(failure, now)
                ),
                DEAF,
                "is the receiver reachable there, and is its cloudflare.webhook_secret the destination's?",
            ));
        }
        (Some(success), _) => findings.push(Finding::ok(
            CHECK,
            format!("Cloudflare's last message to {url} was taken, {}", clock(success, now)),
        )),
        (None, _) => findings.push(Finding::of(
            Severity::Info,
            CHECK,
            format!("Cloudflare has not sent anything to {url} yet"),
            "whether notifications arrive is shown by none yet",
            "send a test from Cloudflare: Notifications, Destinations, Test",
        )),
    }
    findings
}

fn is_loopback(url: &str) -> bool {
    let Some(host) = reqwest::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
    else {
        return false;
    };
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// Whether the receiver of this host answers.
pub async fn receiver_here(transport: &Transport, settings: &Settings, limit: Duration) -> Vec<Finding> {
    const CHECK: &str = "receiver.local";
    let listen = settings.webhook.listen;
    if listen.port() == 0 {
        return vec![Finding::unknown(
            CHECK,
            "webhook.listen leaves the port to the system, so it is not known where the receiver listens",
            DEAF,
        )];
    }
    let url = format!("http://{}/health", reached_at(listen));
    let remedy = "systemctl status cloudflare-webhook, and its journal";
    let (status, body) = match get(transport, &url, limit).await {
        Ok(answer) => answer,
        Err(error) => {
            let text = format!("the receiver does not answer at {listen}: {error}");
            return vec![Finding::of(Severity::Critical, CHECK, text, DEAF, remedy)];
        }
    };
    let document: Value = serde_json::from_slice(&body).unwrap_or_default();
    if document["service"] != cli::life::WEBHOOK {
        let text = format!("something else than the receiver answers at {listen} (HTTP {status})");
        return vec![Finding::of(Severity::Critical, CHECK, text, DEAF, remedy)];
    }
    match document["status"].as_str() {
        Some("ok") => vec![Finding::ok(CHECK, format!("the receiver answers at {listen}"))],
        Some("degraded") => vec![Finding::of(
            Severity::Warning,
            CHECK,
            format!("the receiver at {listen} works with less: {}", failing(&document)),
            "notifications are still taken",
            remedy,
        )],
        _ => vec![Finding::of(
            Severity::Critical,
            CHECK,
            format!(
                "the receiver at {listen} says that it does not work: {}",
                failing(&document)
            ),
            DEAF,
            remedy,
        )],
    }
}

fn failing(document: &Value) -> String {
    let checks = document["checks"].as_array().cloned().unwrap_or_default();
    let failing: Vec<String> = checks
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| {
            format!(
                "{} {}",
                words::outside(check["name"].as_str().unwrap_or_default(), 40),
                words::outside(check["detail"].as_str().unwrap_or_default(), 120)
            )
        })
        .collect();
    if failing.is_empty() {
        "it does not say why".to_owned()
    } else {
        failing.join("; ")
    }
}

/// Where something that listens there is reached from this host.
pub fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Whether the address that Cloudflare posts to leads to a receiver, as seen from this host.
pub async fn receiver_from_outside(transport: &Transport, ours: &WebhookDestination, limit: Duration) -> Finding {
    const CHECK: &str = "receiver.public";
    let url = words::outside(&ours.url, 200);
    let status = match get(transport, &ours.url, limit).await {
        Ok((status, _)) => status,
        Err(error) => {
            // A host behind its own proxy often cannot reach its public address.
            return Finding::of(
                Severity::Warning,
                CHECK,
                format!("{url} cannot be reached from this host: {error}"),
                "if Cloudflare cannot reach it either, attacks are not announced as they begin",
                "look at DNS, firewall, proxy and certificate; ask it from another host too",
            );
        }
    };
    match status {
        405 => Finding::ok(CHECK, format!("{url} leads to the receiver")),
        401 | 403 => Finding::of(
            Severity::Info,
            CHECK,
            format!("{url} lets this host not in (HTTP {status})"),
            "nothing, if the proxy lets only Cloudflare in",
            "see whether Cloudflare's last message was taken (cloudflare.destination)",
        ),
        404 => Finding::of(
            Severity::Critical,
            CHECK,
            format!("{url} does not lead to the receiver: HTTP 404"),
            DEAF,
            "pass the path /webhook/cloudflare on to the receiver in the proxy",
        ),
        500.. => Finding::of(
            Severity::Critical,
            CHECK,
            format!("{url} answers HTTP {status}: the proxy does not reach the receiver"),
            DEAF,
            "is cloudflare-webhook running, and does the proxy know its address?",
        ),
        _ => Finding::of(
            Severity::Warning,
            CHECK,
            format!("{url} answers HTTP {status}, as the receiver never does to a question"),
            "something else may take the notifications",
            "look at what answers there",
        ),
    }
}

async fn get(transport: &Transport, url: &str, limit: Duration) -> Result<(u16, Vec<u8>), String> {
    let client = transport.client().map_err(|error| cli::trouble::chain(&error))?;
    let asking = async {
        let mut answer = client
            .get(url)
            .send()
            .await
            .map_err(|error| words::outside(&cli::trouble::chain(&error.without_url()), 300))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            if body.len() + chunk.len() > MOST_ANSWER {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    };
    match tokio::time::timeout(limit, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {}", domain::duration::human(limit))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    fn ours() -> WebhookDestination {
        WebhookDestination {
            id: "d".into(),
            name: "Receiver".into(),
            url: "https://mt.example.net/webhook/cloudflare".into(),
            kind: None,
            last_success: at("2026-11-22T02:00:00Z"),
            last_failure: None,
        }
    }

    fn worst(destination: WebhookDestination, policies: Vec<AlertPolicy>) -> Severity {
        let now = at("2026-11-22T03:00:00Z").unwrap();
        let (findings, _) = judge(&Ok(policies), &Ok(vec![destination]), now);
        findings.iter().map(|finding| finding.severity).min().unwrap()
    }

    fn all() -> Vec<AlertPolicy> {
        let policy = |kind: &str| AlertPolicy {
            id: kind.into(),
            name: kind.into(),
            alert_type: kind.into(),
            enabled: true,
            webhooks: vec!["d".into()],
            filters: Default::default(),
        };
        WANTED.iter().map(|wanted| policy(wanted.to_make())).collect()
    }

    #[test]
    fn every_needed_policy_must_post_to_the_receiver() {
        assert_eq!(worst(ours(), all()), Severity::Ok);
        for missing in 0..WANTED.len() {
            let mut policies = all();
            policies.remove(missing);
            assert_eq!(worst(ours(), policies), Severity::Critical, "{missing}");
            let mut policies = all();
            policies[missing].enabled = false;
            assert_eq!(worst(ours(), policies), Severity::Critical, "{missing}");
        }
        let mut limited = all();
        limited[0].filters.insert("target_ip".into(), vec!["192.0.2.1".into()]);
        assert_eq!(worst(ours(), limited), Severity::Info);
    }

    #[test]
    fn a_failed_last_message_is_critical_until_one_is_taken() {
        let failed = WebhookDestination {
            last_failure: at("2026-11-22T02:30:00Z"),
            ..ours()
        };
        assert_eq!(worst(failed.clone(), all()), Severity::Critical);
        let mended = WebhookDestination {
            last_success: at("2026-11-22T02:40:00Z"),
            ..failed.clone()
        };
        assert_eq!(worst(mended, all()), Severity::Ok);
        let never = WebhookDestination {
            last_success: None,
            ..failed
        };
        assert_eq!(worst(never, all()), Severity::Critical);
        let clear = WebhookDestination {
            url: "http://mt.example.net/webhook/cloudflare".into(),
            ..ours()
        };
        assert_eq!(worst(clear, all()), Severity::Warning);
        let slack = WebhookDestination {
            url: "https://chat.example.net/x".into(),
            ..ours()
        };
        assert_eq!(worst(slack, all()), Severity::Critical);
    }

    #[test]
    fn what_listens_everywhere_is_reached_here() {
        let reached = |listen: &str| reached_at(listen.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reached("[::]:8080"), "[::1]:8080");
        assert_eq!(reached("192.0.2.1:8080"), "192.0.2.1:8080");
    }
}
