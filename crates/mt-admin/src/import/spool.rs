//! `import spool`: acts of an emergency, done while the database could not be written, into the journal.

use cli::{Trouble, words};
use daemon::exit;
use prefix_ops::emergency::spool::Spool;
use serde_json::json;

use crate::desk::Desk;

/// Takes what waits.
///
/// # Errors
/// When the database cannot be written.
pub async fn run(desk: &Desk) -> Result<u8, Trouble> {
    let db = desk.acting()?;
    let now = desk.now();
    let done = Spool::of(&desk.settings.database.path)
        .import(&db, now)
        .await
        .map_err(|error| Trouble::database("the acts of the emergency could not be stored", &error))?;
    let code = if done.odd.is_empty() { exit::DONE } else { exit::FAILURE };
    if desk.out.is_json() {
        let odd: Vec<_> = done
            .odd
            .iter()
            .map(|(file, text)| json!({"file": file, "text": text}))
            .collect();
        desk.out.document(&json!({
            "schema": "cloudflare-mt/import-spool/1",
            "at": now,
            "taken": done.taken.len(),
            "there": done.there,
            "odd": odd,
        }))?;
        return Ok(code);
    }
    for (prefix, act) in &done.taken {
        desk.out.text(&format!("{act} {prefix} is in the journal now\n"))?;
    }
    for (file, text) in &done.odd {
        desk.out
            .aside(&format!("{}: {}\n", file.display(), words::outside(text, 300)));
    }
    if done.taken.is_empty() && done.odd.is_empty() {
        desk.out.text("nothing waits\n")?;
    }
    Ok(code)
}
