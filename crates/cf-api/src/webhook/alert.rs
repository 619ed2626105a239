//! A notification to [`domain::alert::Alert`]: the meaning of `data` by alert type.
//!
//! Each field is looked for under every name that any generation of the alert has used. What is
//! read is taken out; the rest is kept as `details`, so a key nobody knows is still shown.

use domain::alert::{AdvertiseResult, AdvertiseStatus, Alert, AlertKind, Phase};
use domain::prefix::Prefix;
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Map, Value};

use super::decode::{Decoded, EventWord, MAX_PROBLEMS, Notification};
use super::field;
use super::quantity::{Quantity, Unit};

/// Name of an alert whose body is no JSON.
const UNREADABLE: &str = "unreadable";
/// Name of an alert without `alert_type`.
const UNTYPED: &str = "untyped";

const MAX_DETAILS: usize = 60;
/// A rule may hold 5,000 prefixes, and an auto-advertisement lists all of its rule's.
const MAX_LISTED: usize = 5_000;

/// Keys that only repeat the envelope or say nothing to people.
const NOT_SHOWN: [&str; 6] = [
    "account_name",
    "account_tag",
    "alert_type",
    "ruleset_id",
    "ruleset_override_id",
    "zone_tag",
];

/// The alert in normal form. `received_at` is our clock at reception.
pub fn to_alert(decoded: &Decoded, received_at: Timestamp) -> Alert {
    match decoded {
        Decoded::Notification(notification) => Reading::new(notification).alert(received_at),
        Decoded::NotJson(not_json) => {
            let mut alert = empty(AlertKind::Other(UNREADABLE.to_owned()), received_at);
            alert.text = Some(not_json.head.clone()).filter(|head| !head.is_empty());
            alert.problems = vec![format!("body is not JSON: {}", not_json.why)];
            alert
        }
    }
}

fn empty(kind: AlertKind, received_at: Timestamp) -> Alert {
    Alert {
        kind,
        phase: Phase::Start,
        correlation_id: None,
        attack_id: None,
        policy_id: None,
        policy_name: None,
        text: None,
        sent_at: None,
        started_at: None,
        received_at,
        targets: Vec::new(),
        hostname: None,
        target_port: None,
        protocol: None,
        vector: None,
        rule_id: None,
        rule_name: None,
        action: None,
        severity: None,
        packets_per_second: None,
        bits_per_second: None,
        requests_per_second: None,
        advertise: Vec::new(),
        link: None,
        details: Vec::new(),
        is_test: false,
        problems: Vec::new(),
    }
}

/// `data` while it is being read.
struct Reading<'a> {
    notification: &'a Notification,
    left: Map<String, Value>,
    problems: Vec<String>,
}

impl<'a> Reading<'a> {
    fn new(notification: &'a Notification) -> Self {
        Self {
            notification,
            left: notification.data.clone(),
            problems: notification.problems.clone(),
        }
    }

    fn alert(mut self, received_at: Timestamp) -> Alert {
        let kind = self.kind();
        let phase = self.phase(&kind);
        let mut alert = empty(kind, received_at);
        alert.phase = phase;
        let envelope = self.notification;
        alert.correlation_id = envelope
            .correlation_id
            .clone()
            .or_else(|| self.id("alert_correlation_id"));
        alert.policy_id.clone_from(&envelope.policy_id);
        alert.policy_name.clone_from(&envelope.policy_name);
        alert.text.clone_from(&envelope.text);
        alert.sent_at = envelope.sent_at;
        alert.is_test = envelope.is_test;

        alert.attack_id = self.id("attack_id");
        alert.started_at = self.instant(&["start_time", "alert_start_time"]);
        alert.targets = self.networks(&[
            "target_ip",
            "target_prefix",
            "prefix",
            "prefix_hijacked",
            "prefix_configured",
        ]);
        alert.hostname = self.text(&["target_hostname", "target_zone_name", "zone_name"]);
        alert.target_port = self.port("target_port");
        alert.protocol = self.text(&["protocol"]);
        alert.vector = self.text(&["attack_vector", "attack_type"]);
        alert.rule_id = self.text(&["rule_id"]);
        alert.rule_name = self.text(&["rule_name"]);
        alert.action = self.action();
        alert.severity = self.text(&["severity", "alert_priority_level"]);
        self.rates(&mut alert);
        alert.advertise = self.advertise_results();
        alert.link = self.link();
        alert.details = self.details();
        self.problems.truncate(MAX_PROBLEMS);
        alert.problems = self.problems;
        alert
    }

    fn kind(&self) -> AlertKind {
        match &self.notification.alert_type {
            Some(name) => AlertKind::from_name(name),
            None if self.notification.is_verification => AlertKind::Verification,
            None => AlertKind::Other(UNTYPED.to_owned()),
        }
    }

    /// Only a clear word ends anything; whatever is unclear is a beginning.
    fn phase(&self, kind: &AlertKind) -> Phase {
        let by_word = match &self.notification.event {
            Some(EventWord::Start) => return Phase::Start,
            Some(EventWord::End) => return Phase::End,
            Some(EventWord::Other(word)) if word.to_ascii_uppercase().contains("UPDATE") => Phase::Update,
            _ => Phase::Start,
        };
        // These kinds say it in their data.
        let (keys, over, midway): (&[&str], &[&str], &[&str]) = match kind {
            AlertKind::TunnelHealth => (&["new_status"], &["up", "healthy"], &[]),
            AlertKind::HealthCheck => (&["new_health_status", "new_status", "status"], &["healthy"], &[]),
            AlertKind::ProviderIncident => (
                &["incident_status", "status"],
                &["resolved"],
                &["identified", "monitoring"],
            ),
            AlertKind::Maintenance => (&["event_type"], &["canceled", "cancelled"], &["changed"]),
            _ => return by_word,
        };
        let status = keys
            .iter()
            .find_map(|key| self.left.get(*key).and_then(field::scalar))
            .unwrap_or_default()
            .to_ascii_lowercase();
        // `MAGIC_TUNNEL_STATUS_UP` and `Healthy` alike: the last word counts.
        let last = status.rsplit(['_', ' ']).next().unwrap_or_default();
        if over.contains(&last) {
            Phase::End
        } else if midway.contains(&last) {
            Phase::Update
        } else {
            by_word
        }
    }

    fn problem(&mut self, what: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(what);
        }
    }

    /// The first of `keys` that holds a text; the others stay to be shown.
    fn text(&mut self, keys: &[&str]) -> Option<String> {
        for key in keys {
            if let Some(text) = self.left.get(*key).and_then(field::scalar) {
                self.left.remove(*key);
                return Some(text);
            }
        }
        None
    }

    fn id(&mut self, key: &str) -> Option<String> {
        self.text(&[key]).as_deref().and_then(field::id)
    }

    fn instant(&mut self, keys: &[&str]) -> Option<Timestamp> {
        for key in keys {
            let Some(value) = self.left.get(*key) else {
                continue;
            };
            if field::is_unset_instant(value) {
                self.left.remove(*key);
                continue;
            }
            match field::instant(value) {
                Some(at) => {
                    self.left.remove(*key);
                    return Some(at);
                }
                None => self.problem(format!("{key} is no instant")),
            }
        }
        None
    }

    /// Networks under all of `keys`, each a text or a list of texts. What does not parse stays to
    /// be shown.
    fn networks(&mut self, keys: &[&str]) -> Vec<Prefix> {
        let mut found: Vec<Prefix> = Vec::new();
        for key in keys {
            let Some(value) = self.left.remove(*key) else {
                continue;
            };
            let written: Vec<&Value> = match &value {
                Value::Array(items) => items.iter().take(MAX_LISTED).collect(),
                single => vec![single],
            };
            let mut all_read = true;
            for text in written {
                let Some(text) = field::scalar(text) else {
                    all_read &= matches!(text, Value::Null | Value::String(_));
                    continue;
                };
                match network(&text) {
                    Some(network) if found.contains(&network) => {}
                    Some(network) => found.push(network),
                    None => all_read = false,
                }
            }
            if !all_read {
                self.problem(format!("{key} is no network"));
                self.left.insert((*key).to_owned(), value);
            }
        }
        found
    }

    fn port(&mut self, key: &str) -> Option<u16> {
        let text = self.left.get(key).and_then(field::scalar)?;
        match text.parse::<u16>() {
            Ok(port) => {
                self.left.remove(key);
                Some(port).filter(|port| *port != 0)
            }
            Err(_) => {
                self.problem(format!("{key} is no port"));
                None
            }
        }
    }

    fn action(&mut self) -> Option<String> {
        let (action, mitigation) = (self.text(&["action"]), self.text(&["mitigation"]));
        match (action, mitigation) {
            (Some(action), Some(mitigation)) if action != mitigation => Some(format!("{action}, {mitigation}")),
            (action, mitigation) => action.or(mitigation),
        }
    }

    /// The rates, each from its own field, else from `max_rate` if that has the fitting unit.
    fn rates(&mut self, alert: &mut Alert) {
        alert.packets_per_second = self.rate(&["packets_per_second", "packets_per_second_string"], Unit::Packets, 1.0);
        alert.bits_per_second = self
            .rate(&["bits_per_second"], Unit::Bits, 1.0)
            .or_else(|| self.rate(&["megabits_per_second"], Unit::Bits, 1e6));
        alert.requests_per_second = self.rate(&["requests_per_second"], Unit::Requests, 1.0);
        // `max_rate` is shown as well: it is a peak, the others are means.
        let peak = self.left.get("max_rate").and_then(Quantity::from_json);
        if let Some(peak) = peak {
            let rate = match peak.unit {
                Unit::Packets => &mut alert.packets_per_second,
                Unit::Bits => &mut alert.bits_per_second,
                Unit::Requests => &mut alert.requests_per_second,
                Unit::Plain => return,
            };
            rate.get_or_insert(peak.value);
        }
    }

    /// The first of `keys` with a number of `unit`; a number without unit counts in `plain_scale`.
    fn rate(&mut self, keys: &[&str], unit: Unit, plain_scale: f64) -> Option<f64> {
        let mut read = None;
        for key in keys {
            let Some(value) = self.left.get(*key) else {
                continue;
            };
            let quantity = match Quantity::from_json(value) {
                Some(quantity) if quantity.unit == unit => quantity.value,
                Some(Quantity {
                    value,
                    unit: Unit::Plain,
                }) if (value * plain_scale).is_finite() => value * plain_scale,
                _ if field::shown(value).is_none() => {
                    self.left.remove(*key);
                    continue;
                }
                _ => {
                    self.problem(format!("{key} is no rate"));
                    continue;
                }
            };
            self.left.remove(*key);
            read.get_or_insert(quantity);
        }
        read
    }

    /// `[{"prefix","status"}]`, one such object, or an object of prefix to status.
    fn advertise_results(&mut self) -> Vec<AdvertiseResult> {
        let Some(value) = self.left.remove("advertise_status") else {
            return Vec::new();
        };
        let mut results = Vec::new();
        let mut all_read = true;
        let mut pair = |prefix: Option<&Value>, status: Option<&Value>| {
            let written = prefix.and_then(field::scalar);
            let word = status.and_then(field::scalar);
            // Half an entry still says that something was advertised, or was not.
            all_read &= written.is_some() && word.is_some();
            if written.is_none() && word.is_none() {
                return;
            }
            let written = written.unwrap_or_default();
            results.push(AdvertiseResult {
                prefix: network(&written),
                written,
                status: AdvertiseStatus::from_word(&word.unwrap_or_default()),
            });
        };
        match &value {
            Value::Null => {}
            Value::Array(items) => {
                for item in items.iter().take(MAX_LISTED) {
                    pair(item.get("prefix"), item.get("status"));
                }
            }
            Value::Object(one) if one.contains_key("prefix") => {
                pair(one.get("prefix"), one.get("status"));
            }
            Value::Object(many) => {
                for (prefix, status) in many.iter().take(MAX_LISTED) {
                    pair(Some(&Value::String(prefix.clone())), Some(status));
                }
            }
            _ => all_read = false,
        }
        if !all_read {
            self.problem("advertise_status is not as documented".to_owned());
            self.left.insert("advertise_status".to_owned(), value);
        }
        results
    }

    /// `dashboard_link` with its scheme, if it leads to Cloudflare; else it stays as plain text.
    fn link(&mut self) -> Option<String> {
        let written = self.left.get("dashboard_link").and_then(field::scalar)?;
        let link = cloudflare_link(&written);
        if link.is_some() {
            self.left.remove("dashboard_link");
        } else {
            self.problem("dashboard_link does not lead to Cloudflare".to_owned());
        }
        link
    }

    /// What nobody asked for, in alphabetical order, then undocumented envelope keys.
    fn details(&mut self) -> Vec<(String, String)> {
        let left = std::mem::take(&mut self.left);
        left.iter()
            .filter(|(key, _)| !NOT_SHOWN.contains(&key.as_str()))
            .chain(&self.notification.extra)
            .filter_map(|(key, value)| Some((field::bounded(key, 80), field::shown(value)?)))
            .take(MAX_DETAILS)
            .collect()
    }
}

/// A network as text, also when a port or a zone follows the address.
fn network(text: &str) -> Option<Prefix> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let address: std::net::SocketAddr = text.parse().ok()?;
        Some(Prefix::host(address.ip()))
    })
}

fn cloudflare_link(written: &str) -> Option<String> {
    let written = written.trim();
    let complete = if written.contains("://") {
        written.to_owned()
    } else {
        format!("https://{}", written.trim_start_matches('/'))
    };
    let url = Url::parse(&complete).ok()?;
    let host = url.host_str()?;
    let is_theirs = host == "cloudflare.com" || host.ends_with(".cloudflare.com");
    let is_plain = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
    (is_theirs && is_plain).then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_cloudflare_are_links() {
        assert_eq!(
            cloudflare_link("dash.cloudflare.com/a?b=c").as_deref(),
            Some("https://dash.cloudflare.com/a?b=c")
        );
        for bad in [
            "https://evil.example/dash.cloudflare.com",
            "https://notcloudflare.com/",
            "https://dash.cloudflare.com@evil.example/",
            "javascript:alert(1)",
            "http://dash.cloudflare.com/",
            "",
        ] {
            assert_eq!(cloudflare_link(bad), None, "{bad}");
        }
    }

    #[test]
    fn networks_with_ports() {
        assert_eq!(network("192.0.2.1:53"), "192.0.2.1/32".parse().ok());
        assert_eq!(network("[2001:db8::1]:53"), "2001:db8::1/128".parse().ok());
        assert_eq!(network("host"), None);
    }
}
