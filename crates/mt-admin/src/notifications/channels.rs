//! The channels beside the chat: which are configured, and what became of a message there.

use cli::Trouble;
use cli::words::{self, stamp};
use db::Db;
use db::outbox::Copy;
use domain::ids::NotificationId;
use jiff::Timestamp;
use serde::Serialize;
use settings::Settings;

use super::LOOK_EVERY;
use crate::desk::Desk;

/// Their names in the database.
pub(super) const NAMES: [&str; 2] = ["webhook", "mail"];

/// Those that the configuration names.
pub(super) fn configured(settings: &Settings) -> Vec<&'static str> {
    let given = [settings.alert_webhook.is_some(), settings.mail.is_some()];
    NAMES
        .into_iter()
        .zip(given)
        .filter(|(_, given)| *given)
        .map(|(name, _)| name)
        .collect()
}

/// A channel's name, and what became of a message there.
pub fn copy_words(copy: &Copy) -> (String, String) {
    let reason = copy
        .reason
        .as_deref()
        .map_or_else(String::new, |reason| format!(": {}", words::outside(reason, 200)));
    let fate = match (copy.state.as_str(), copy.sent_at) {
        ("sent", Some(at)) => format!("sent {}", stamp(at)),
        ("queued", _) => format!("waits to be sent{reason}"),
        (state, _) => format!("{}{reason}", words::outside(state, 20)),
    };
    (words::outside(&copy.channel, 20), fate)
}

/// What became of a message at one of them.
#[derive(Debug, Serialize)]
pub(super) struct CopyFate {
    channel: &'static str,
    /// Whether it was delivered.
    pub(super) is_sent: bool,
    /// In words.
    pub(super) words: String,
}

/// Looks at the copies of a message until all are closed or `deadline` has passed.
///
/// # Errors
/// Those of the database.
pub(super) async fn wait_for(
    desk: &Desk,
    db: &Db,
    id: NotificationId,
    channels: &[&'static str],
    deadline: Timestamp,
) -> Result<Vec<CopyFate>, Trouble> {
    loop {
        let copies = db
            .read("notification.copies", move |tx| db::outbox::copies(tx, id))
            .await;
        let copies = copies.map_err(|error| Trouble::database("the message cannot be read", &error))?;
        let of = |name: &str| copies.iter().find(|copy| copy.channel == name);
        let closed = |name: &&'static str| of(name).is_some_and(|copy| copy.state != "queued");
        if !channels.iter().all(closed) && desk.now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let fates = channels.iter().map(|name| {
            let (words, is_sent) = match of(name) {
                Some(copy) => (copy_words(copy).1, copy.state == "sent"),
                None => ("no service has taken it".to_owned(), false),
            };
            CopyFate {
                channel: name,
                is_sent,
                words: format!("message {id} by {name}: {words}"),
            }
        });
        return Ok(fates.collect());
    }
}
