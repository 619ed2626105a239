//! `test-alert`: a marked notification through the real receiver, with the configured secret, until people are told.
//!
//! What it proves: the receiver listens, accepts the secret, stores, and a service sends. What it does not: that
//! Cloudflare can reach the receiver; use Cloudflare's own test of the destination for that.

use std::time::Duration;

use cli::{Trouble, words};
use db::Db;
use domain::ids::{DeliveryId, EventId, NotificationId};
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::args::TestAlertArgs;
use crate::desk::Desk;
use crate::notifications::{Fate, wait_for};
use crate::receiver::{self, Marked};

/// The receiver answers within milliseconds, once it has stored.
const POST_LIMIT: Duration = Duration::from_secs(15);

/// Posts the alert and waits until people are told.
///
/// # Errors
/// Which link of the chain is broken.
pub async fn run(desk: &Desk, asked: TestAlertArgs) -> Result<u8, Trouble> {
    let url = match &asked.url {
        Some(url) => url.clone(),
        None => receiver::address(desk.settings.webhook.listen)?,
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

/// As Cloudflare would write it, with the mark.
fn alert(desk: &Desk, kind: &str, prefix: Option<Prefix>, now: Timestamp) -> Value {
    let marked = Marked {
        title: ("Test alert", "A test alert of cloudflare-mt. Nothing is under attack."),
        account: &desk.settings.cloudflare.account_id,
        policy: "cloudflare-mt test-alert",
        kind: (kind, "ALERT_STATE_EVENT_START"),
        attack: "test",
        attack_id: &format!("test-{}", now.as_microsecond()),
        target: prefix.map(|prefix| prefix.net().addr().to_string()),
    };
    marked.alert(now)
}

async fn post(desk: &Desk, url: &str, body: &Value) -> Result<DeliveryId, Trouble> {
    let failed = |code: &str, why: String| {
        let text = format!("the receiver at {url} did not take the alert: {why}");
        Trouble::failed(code, text).remedy("is cloudflare-webhook running? 'cloudflare-mt health' and its journal tell")
    };
    let secret = desk.settings.cloudflare.webhook_secret.first();
    let secret = secret.map(|secret| secret.expose_secret());
    let (status, read) = receiver::ask(url, Some((secret, body)), POST_LIMIT)
        .await
        .map_err(|why| failed("webhook.unreachable", why))?;
    if !(200..300).contains(&status) {
        let said = read["error"]
            .as_str()
            .map_or_else(String::new, |said| format!(" ({})", words::outside(said, 200)));
        let trouble = failed("webhook.refused", format!("it answered HTTP {status}{said}"));
        return Err(match status {
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
