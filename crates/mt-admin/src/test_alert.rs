//! `test-alert`: a marked notification through the real receiver, with the configured secret, until people are told.
//!
//! What it proves: the receiver listens, accepts the secret, stores, and a service sends. What it does not: that
//! Cloudflare can reach the receiver; use Cloudflare's own test of the destination for that.

use std::net::SocketAddr;
use std::time::Duration;

use cf_api::webhook::TEST_MARKER;
use cf_api::{Transport, TransportConfig};
use cli::{Trouble, words};
use db::Db;
use domain::ids::{DeliveryId, EventId, NotificationId};
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::alert_kinds::RECEIVER_PATH;
use crate::args::TestAlertArgs;
use crate::desk::Desk;
use crate::doctor::notices::reached_at;
use crate::notifications::{Fate, wait_for};

/// Cloudflare's header for the secret of a destination.
const SECRET_HEADER: &str = "cf-webhook-auth";

/// The receiver answers within milliseconds, once it has stored.
const POST_LIMIT: Duration = Duration::from_secs(15);

/// Longest answer that is looked at.
const MOST_ANSWER: usize = 10_000;

/// Posts the alert and waits until people are told.
///
/// # Errors
/// Which link of the chain is broken.
pub async fn run(desk: &Desk, asked: TestAlertArgs) -> Result<u8, Trouble> {
    let url = match &asked.url {
        Some(url) => url.clone(),
        None => receiver_of(desk.settings.webhook.listen)?,
    };
    let now = desk.now();
    let prefix = asked.prefix.or_else(|| desk.settings.my_prefixes().first().copied());
    let body = alert(desk, &asked.kind, prefix, now);
    let say = |text: &str| {
        if !desk.out.is_json() {
            desk.out.aside(&format!("{text}\n"));
        }
    };
    say(&format!(
        "posting a marked {} alert to {url}",
        words::outside(&asked.kind, 60)
    ));
    let delivery = post(desk, &url, &body).await?;
    say(&format!("stored as delivery {delivery}"));
    let db = desk.reading()?;
    let (event, notification) = made_of(desk, &db, delivery).await?;
    say(&format!(
        "recorded as event #{event}, message {notification}; waiting for a service to send it"
    ));
    let fate = wait_for(desk, &db, notification, asked.timeout).await?;
    if desk.out.is_json() {
        desk.out.document(&json!({
            "schema": "cloudflare-mt/test-alert/1",
            "at": now,
            "url": url,
            "delivery": delivery,
            "event": event,
            "notification": notification,
            "state": fate.state,
            "words": fate.words,
        }))?;
        return Ok(fate.exit());
    }
    Fate::tell(
        &fate,
        desk,
        &format!("the test alert (event #{event}, message {notification})"),
    )
}

/// Where the receiver of this host can be reached from this host.
pub(crate) fn receiver_of(listen: SocketAddr) -> Result<String, Trouble> {
    if listen.port() == 0 {
        let text = "webhook.listen leaves the port to the system, so it is not known where the receiver listens";
        return Err(Trouble::usage("webhook.port_unknown", text).remedy("name the address with --url"));
    }
    Ok(format!("http://{}{RECEIVER_PATH}", reached_at(listen)))
}

/// As Cloudflare would write it, with the mark.
fn alert(desk: &Desk, kind: &str, prefix: Option<Prefix>, now: Timestamp) -> Value {
    let id = format!("test-{}", now.as_microsecond());
    let target = prefix.map(|prefix| prefix.net().addr().to_string());
    json!({
        "name": "Test alert",
        "text": "A test alert of cloudflare-mt. Nothing is under attack.",
        "account_id": desk.settings.cloudflare.account_id,
        "policy_name": "cloudflare-mt test-alert",
        "alert_type": kind,
        "alert_event": "ALERT_STATE_EVENT_START",
        "ts": now.as_second(),
        (TEST_MARKER): true,
        "data": {
            "attack_id": id,
            "attack_vector": "test",
            "attack_type": "test",
            "target_ip": target,
            "target_port": 9,
            "protocol": "UDP",
            "packets_per_second": 1_000,
            "megabits_per_second": 1,
            "severity": "INFO",
            "action": "none",
            "mitigation": "none",
            "rule_name": "cloudflare-mt test-alert",
            "start_time": domain::time::rfc3339_seconds(now),
        },
    })
}

async fn post(desk: &Desk, url: &str, body: &Value) -> Result<DeliveryId, Trouble> {
    let failed = |code: &str, why: String| {
        let text = format!("the receiver at {url} did not take the alert: {why}");
        Trouble::failed(code, text).remedy("is cloudflare-webhook running? 'cloudflare-mt health' and its journal tell")
    };
    let secret = desk.settings.cloudflare.webhook_secret.first();
    let transport = Transport::new(TransportConfig::default());
    let client = transport
        .client()
        .map_err(|error| failed("webhook.client", cli::trouble::chain(&error)))?;
    let mut request = client
        .post(url)
        .timeout(POST_LIMIT)
        .header("content-type", "application/json");
    if let Some(secret) = secret {
        request = request.header(SECRET_HEADER, secret.expose_secret());
    }
    let mut answer = request
        .body(body.to_string())
        .send()
        .await
        .map_err(|error| failed("webhook.unreachable", cli::trouble::chain(&error.without_url())))?;
    let status = answer.status();
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        read.extend_from_slice(&chunk);
        if read.len() > MOST_ANSWER {
            break;
        }
    }
    let read: Value = serde_json::from_slice(&read).unwrap_or_default();
    if !status.is_success() {
        let said = read["error"]
            .as_str()
            .map_or_else(String::new, |said| format!(" ({})", words::outside(said, 200)));
        let why = format!("it answered HTTP {}{said}", status.as_u16());
        let trouble = failed("webhook.refused", why);
        return Err(match status.as_u16() {
            401 | 403 => trouble.remedy("does the running receiver have another cloudflare.webhook_secret, or webhook.allowed_sources without this host?"),
            _ => trouble,
        });
    }
    let delivery = read["delivery"].as_i64();
    delivery
        .map(DeliveryId)
        .ok_or_else(|| failed("webhook.strange_answer", "its answer names no delivery".to_owned()))
}

/// The event and the message that the receiver made in the same transaction.
async fn made_of(desk: &Desk, db: &Db, delivery: DeliveryId) -> Result<(EventId, NotificationId), Trouble> {
    let deadline = plus(desk.now(), Duration::from_secs(5));
    loop {
        let look = db.read("delivery", move |tx| {
            let Some(event) = db::trace::events_of_delivery(tx, delivery)?.into_iter().next() else {
                return Ok(None);
            };
            let notices = db::trace::of_event(tx, event)?.notifications;
            Ok(notices.first().map(|notice| (event, notice.id)))
        });
        let found = look
            .await
            .map_err(|error| Trouble::database("what the receiver stored cannot be read", &error))?;
        if let Some(found) = found {
            return Ok(found);
        }
        if desk.now() >= deadline {
            let text = format!(
                "delivery {delivery} is not in {}",
                desk.settings.database.path.display()
            );
            let remedy = "does the receiver that answered use another database or configuration?";
            return Err(Trouble::failed("webhook.other_database", text).remedy(remedy));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receiver_is_reached_where_it_listens() {
        let url = |listen: &str| receiver_of(listen.parse().unwrap()).map_err(|trouble| trouble.exit);
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
