//! Talking to the receiver: where it is reached from this host, a marked alert as Cloudflare would write it, and what it
//! answers.
//!
//! Must hold: every alert made here carries the mark that keeps it out of statistics and decisions.

use std::net::SocketAddr;
use std::time::Duration;

use cf_api::webhook::TEST_MARKER;
use cf_api::{Transport, TransportConfig};
use cli::Trouble;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::alert_kinds::RECEIVER_PATH;
use crate::doctor::notices::reached_at;

/// Cloudflare's header for the secret of a destination.
const SECRET_HEADER: &str = "cf-webhook-auth";

/// Longest answer that is looked at.
const MOST_ANSWER: usize = 64 * 1024;

/// Where the receiver of this host can be reached from this host.
///
/// # Errors
/// When the system chooses its port.
pub fn address(listen: SocketAddr) -> Result<String, Trouble> {
    if listen.port() == 0 {
        let text = "webhook.listen leaves the port to the system, so it is not known where the receiver listens";
        return Err(Trouble::usage("webhook.port_unknown", text).remedy("name the address with --url"));
    }
    Ok(format!("http://{}{RECEIVER_PATH}", reached_at(listen)))
}

/// What differs between marked alerts.
#[derive(Debug)]
pub struct Marked<'a> {
    /// Name and text of the alert.
    pub title: (&'a str, &'a str),
    /// Whose.
    pub account: &'a str,
    /// Policy and rule that it names.
    pub policy: &'a str,
    /// Type, and which event of it.
    pub kind: (&'a str, &'a str),
    /// Vector and type of the attack.
    pub attack: &'a str,
    /// Its id.
    pub attack_id: &'a str,
    /// Who is attacked.
    pub target: Option<String>,
}

impl Marked<'_> {
    /// As Cloudflare would write it, with the mark.
    pub fn alert(&self, now: Timestamp) -> Value {
        json!({
            "name": self.title.0,
            "text": self.title.1,
            "account_id": self.account,
            "policy_name": self.policy,
            "alert_type": self.kind.0,
            "alert_event": self.kind.1,
            "alert_correlation_id": self.attack_id,
            "ts": now.as_second(),
            (TEST_MARKER): true,
            "data": {
                "attack_id": self.attack_id,
                "attack_vector": self.attack,
                "attack_type": self.attack,
                "target_ip": self.target,
                "target_port": 9,
                "protocol": "UDP",
                "packets_per_second": 1_000,
                "megabits_per_second": 1,
                "severity": "INFO",
                "action": "none",
                "mitigation": "none",
                "rule_name": self.policy,
                "start_time": domain::time::rfc3339_seconds(now),
            },
        })
    }
}

/// Status and JSON (null when it is none) of a POST, with the secret where there is one, or without a body of a GET.
///
/// # Errors
/// Why there is no answer, in words.
pub async fn ask(url: &str, post: Option<(Option<&str>, &Value)>, limit: Duration) -> Result<(u16, Value), String> {
    let transport = Transport::new(TransportConfig::default());
    let client = transport.client().map_err(|error| cli::trouble::chain(&error))?;
    let mut request = match post {
        Some((_, body)) => client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string()),
        None => client.get(url),
    };
    if let Some((Some(secret), _)) = post {
        request = request.header(SECRET_HEADER, secret);
    }
    let whole = async {
        let mut answer = request
            .timeout(limit)
            .send()
            .await
            .map_err(|error| cli::trouble::chain(&error.without_url()))?;
        let status = answer.status().as_u16();
        let mut read = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            read.extend_from_slice(&chunk);
            if read.len() > MOST_ANSWER {
                break;
            }
        }
        Ok((status, serde_json::from_slice(&read).unwrap_or_default()))
    };
    match tokio::time::timeout(limit, whole).await {
        Ok(answered) => answered,
        Err(_) => Err(format!("no answer within {}", domain::duration::human(limit))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receiver_is_reached_where_it_listens() {
        let url = |listen: &str| address(listen.parse().unwrap()).map_err(|trouble| trouble.exit);
        assert_eq!(
            url("127.0.0.1:8080"),
            Ok("http://127.0.0.1:8080/webhook/cloudflare".into())
        );
        assert_eq!(
            url("0.0.0.0:8080"),
            Ok("http://127.0.0.1:8080/webhook/cloudflare".into())
        );
        assert_eq!(url("[::]:8080"), Ok("http://[::1]:8080/webhook/cloudflare".into()));
        assert_eq!(url("127.0.0.1:0"), Err(2));
    }
}
