//! What is going on, on one screen: drawn again every second on a terminal, and once elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;

use super::client::{At, ask, line};
use super::say;

/// How often it is drawn.
const EVERY: Duration = Duration::from_secs(1);
/// Lines of the journal and of requests that are shown.
const SHOWN: usize = 10;
/// To the upper left, and away with what is below (ECMA-48 CUP, ED).
const AGAIN: &str = "\u{1b}[H\u{1b}[J";
/// Width of lines on the screen.
const WIDTH: usize = 110;

/// Draws until interrupted, or once.
pub(super) async fn watch(at: &At, once: bool) -> anyhow::Result<()> {
    let live = std::io::stdout().is_terminal() && !once;
    loop {
        let state = ask(at, "GET", "state", None).await?;
        let journal = ask(at, "GET", "scenario/journal", None).await?;
        let last = state["last_request"].as_u64().unwrap_or_default();
        let since = last.saturating_sub(SHOWN as u64);
        let requests = ask(at, "GET", &format!("requests?since={since}"), None).await?;
        let messages = ask(at, "GET", "telegram/messages", None).await?;
        let screen = draw(&state, &journal, &requests, &messages);
        if !live {
            say(&screen);
            return Ok(());
        }
        let mut out = std::io::stdout();
        // A terminal that is gone ends it.
        if write!(out, "{AGAIN}{screen}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// `00:12:30`
pub(super) fn clock(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below a year, never negative
    let whole = seconds.max(0.0) as u64;
    format!("{:02}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

/// Text from outside cannot move the cursor.
fn shown(text: &str, most: usize) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    one_line.chars().take(most).collect()
}

/// A bar of what has passed.
fn bar(passed: f64, whole: f64) -> String {
    const CELLS: usize = 40;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let full = ((passed / whole.max(1.0)).clamp(0.0, 1.0) * CELLS as f64) as usize; // 0 to 40
    format!("[{}{}]", "#".repeat(full), ".".repeat(CELLS - full))
}

pub(super) fn draw(state: &Value, journal: &Value, requests: &Value, messages: &Value) -> String {
    let mut lines = Vec::new();
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let run = &state["scenario"];
    if run.is_null() {
        lines.push("no scenario runs (cloudflare-sim run NAME)".to_owned());
    } else {
        let word = match (run["finished"] == true, run["paused"] == true) {
            (true, _) => "over",
            (false, true) => "stands still",
            (false, false) => "runs",
        };
        let (passed, whole) = (number(&run["position_s"]), number(&run["duration_s"]));
        lines.push(format!(
            "{} {word}  {} of {} {} x{}",
            shown(run["name"].as_str().unwrap_or_default(), 40),
            clock(passed),
            clock(whole),
            bar(passed, whole),
            run["factor"]
        ));
        for attack in run["attacks"].as_array().into_iter().flatten() {
            let text = |index: usize| shown(attack[index].as_str().unwrap_or_default(), 40);
            lines.push(format!("  attack {:<24} {}", text(0), text(1)));
        }
    }
    lines.push(String::new());
    for prefix in state["prefixes"].as_array().into_iter().flatten() {
        let word = match (prefix["advertised"] == true, prefix["propagation"].as_str()) {
            (true, Some("settled")) => "advertised",
            (true, _) => "advertised, on its way",
            (false, Some("settled")) => "withdrawn",
            (false, _) => "withdrawn, on its way",
        };
        lines.push(format!(
            "  {:<20} {word:<24} {:>3.0} % of its traffic at Cloudflare, {} changes{}",
            shown(prefix["cidr"].as_str().unwrap_or_default(), 40),
            number(&prefix["share_at_cloudflare"]) * 100.0,
            prefix["changes"],
            if prefix["on_demand_locked"] == true {
                ", locked"
            } else {
                ""
            }
        ));
    }
    let quota = |key: &str| format!("{} of {}", state[key]["used"], state[key]["limit"]);
    lines.push(String::new());
    lines.push(format!(
        "  alerts sent {}   messages {}   faults {}   REST quota {}   GraphQL quota {}",
        state["deliveries"],
        state["messages"],
        state["faults"],
        quota("rest_quota"),
        quota("graphql_quota")
    ));
    let newest = |value: &Value| {
        let all: Vec<Value> = value.as_array().cloned().unwrap_or_default();
        let from = all.len().saturating_sub(SHOWN);
        all.into_iter().skip(from).collect::<Vec<_>>()
    };
    lines.push("\nwhat happened".to_owned());
    for entry in newest(journal) {
        let text = shown(entry["text"].as_str().unwrap_or_default(), WIDTH);
        lines.push(format!("  {} {text}", clock(number(&entry["at_s"]))));
    }
    lines.push("\nrequests".to_owned());
    lines.extend(
        newest(requests)
            .iter()
            .map(|entry| format!("  {}", shown(&line(entry), WIDTH))),
    );
    if let Some(last) = newest(messages).last() {
        let text = last["text"].as_str().unwrap_or_default();
        lines.push("\nlast message".to_owned());
        lines.push(format!("  {}", shown(text, WIDTH)));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_screen_shows_what_there_is_and_nothing_moves_the_cursor() {
        let state = json!({
            "scenario": {"name": "demo", "position_s": 90.0, "duration_s": 3600.0, "factor": 20.0, "finished": false, "paused": true,
                "attacks": [["udp-flood", "running"]]},
            "prefixes": [{"cidr": "203.0.113.0/24", "advertised": true, "propagation": "advertising", "share_at_cloudflare": 0.4,
                "changes": 1, "on_demand_locked": true}],
            "deliveries": 3, "messages": 2, "faults": 0, "rest_quota": {"used": 4, "limit": 1200}, "graphql_quota": {"used": 1, "limit": 300},
        });
        let journal = json!([{"at_s": 61.0, "text": "attack \u{1b}[2J begins"}]);
        let requests = json!([{"seq": 9, "at": "2026-02-01T00:01:02.5Z", "method": "GET", "path": "/x", "status": 200, "faults": []}]);
        let screen = draw(&state, &journal, &requests, &json!([]));
        for words in [
            "demo stands still  00:01:30 of 01:00:00",
            "advertised, on its way",
            "40 %",
            "locked",
            "00:01:01 attack",
            "00:01:02 200 GET",
        ] {
            assert!(screen.contains(words), "{words}\n{screen}");
        }
        assert!(!screen.contains('\u{1b}'));
        let empty = draw(&json!({}), &json!(null), &json!([]), &json!([]));
        assert!(empty.contains("no scenario runs"));
    }
}
