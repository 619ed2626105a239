//! `notice raise`: a message by a person or a script, through the same outbox as all messages.

use cli::{Trouble, words};
use daemon::exit;
use domain::notice::{Facts, Notice};
use serde_json::json;

use crate::args::NoticeCommand;
use crate::desk::{Desk, audit};

/// Longest text that is taken.
const LONGEST: usize = 3_000;

/// Raises a message.
///
/// # Errors
/// When it cannot be stored.
pub async fn run(desk: &Desk, command: NoticeCommand) -> Result<u8, Trouble> {
    let NoticeCommand::Raise { title, text, priority } = command;
    let text = if text == "-" {
        std::io::read_to_string(std::io::stdin())
            .map_err(|error| Trouble::failed("input.failed", format!("the text could not be read: {error}")))?
    } else {
        text
    };
    let facts = Facts::Raised {
        title: title.clone(),
        text: words::outside_lines(&text, 100, LONGEST),
        priority: priority.into(),
    };
    let now = desk.now();
    let actor = cli::actor::of_this_process().await;
    let id = desk
        .write("the message was not stored and nobody is told", move |tx| {
            let id = db::outbox::enqueue(tx, &Notice::about(facts), now)?;
            audit(tx, &actor, ("notice.raise", &id.to_string()), Some(title), now)?;
            Ok(id)
        })
        .await?;
    if desk.out.is_json() {
        desk.out
            .document(&json!({"schema": "cloudflare-mt/notice/1", "at": now, "notification": id}))?;
    } else {
        desk.out
            .text(&format!("message {id} is stored; any running service sends it\n"))?;
    }
    Ok(exit::DONE)
}
