//! What must hold for every body whatsoever, and a fingerprint of how the decoder behaved.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use cf_api::rest::history::HistoryItem;
use cf_api::webhook::{Decoded, decode, from_history, to_alert};
use domain::alert::Alert;
use domain::prefix::PrefixMap;
use jiff::Timestamp;

/// Longest text that is kept for showing, with its ellipsis.
const LONGEST_FIELD: usize = 501;
/// The same for the alert's own text.
const LONGEST_TEXT: usize = 4_001;

fn received() -> Timestamp {
    Timestamp::from_second(1_774_576_800).unwrap()
}

/// Checks all of it; the number stands for what was read and what was not.
pub(crate) fn hold(body: &[u8]) -> Result<u64, String> {
    let decoded = decode(body);
    if decode(body) != decoded {
        return Err("the same body is read in two ways".into());
    }
    let alert = to_alert(&decoded, received());
    of_alert(&alert)?;
    if let Decoded::Notification(_) = &decoded {
        from_the_history(body)?;
    }
    Ok(behaviour(&decoded, &alert))
}

fn of_alert(alert: &Alert) -> Result<(), String> {
    let must = |holds: bool, what: &str| {
        if holds {
            Ok(())
        } else {
            Err(format!("{what}: {alert:?}"))
        }
    };
    let rates = [
        alert.packets_per_second,
        alert.bits_per_second,
        alert.requests_per_second,
    ];
    must(
        rates.into_iter().flatten().all(|rate| rate.is_finite() && rate >= 0.0),
        "a rate is a number from 0 up",
    )?;
    must(
        alert.details.len() <= 60 && alert.problems.len() <= 20,
        "lists are bounded",
    )?;
    must(alert.at() <= alert.received_at, "nothing comes from the future")?;
    must(alert.target_port != Some(0), "port 0 is none")?;
    let shown = [
        &alert.vector,
        &alert.protocol,
        &alert.rule_name,
        &alert.hostname,
        &alert.action,
        &alert.severity,
        &alert.policy_name,
    ];
    let details = alert.details.iter().flat_map(|(key, text)| [key, text]);
    // An action may be two fields joined.
    let fits = |text: &String| {
        text.chars().count() <= 2 * LONGEST_FIELD + 2 && !text.chars().any(|c| c.is_control() && c != '\n')
    };
    must(
        shown.into_iter().flatten().chain(details).all(fits),
        "what is shown is short and printable",
    )?;
    must(
        alert
            .text
            .as_ref()
            .is_none_or(|text| text.chars().count() <= LONGEST_TEXT),
        "the text is bounded",
    )?;
    let theirs = |link: &String| {
        let host = link
            .strip_prefix("https://")
            .and_then(|rest| rest.split(['/', '?', '#']).next())
            .unwrap_or_default();
        host == "cloudflare.com" || host.ends_with(".cloudflare.com") || host.contains(".cloudflare.com:")
    };
    must(alert.link.as_ref().is_none_or(theirs), "a link leads to Cloudflare")?;
    let ours: PrefixMap<()> = ["192.0.2.0/24", "203.0.113.0/24", "2001:db8::/32"]
        .into_iter()
        .map(|text| (text.parse().unwrap(), ()))
        .collect();
    let affected = alert.affected(&ours, None);
    must(
        !affected.prefixes.is_empty() || affected.unresolved,
        "what is tied to nothing says so",
    )?;
    let stored = serde_json::to_string(alert).map_err(|error| format!("it cannot be stored: {error}"))?;
    let back: Alert = serde_json::from_str(&stored).map_err(|error| format!("it cannot be read back: {error}"))?;
    must(
        back.kind == alert.kind && back.phase == alert.phase,
        "it reads back as another",
    )
}

/// The same body as an entry of the history.
fn from_the_history(body: &[u8]) -> Result<(), String> {
    let Ok(body) = serde_json::from_slice(body) else {
        return Ok(());
    };
    let item = HistoryItem {
        id: "h".into(),
        sent_at: received(),
        alert_type: None,
        name: None,
        description: None,
        policy_id: None,
        mechanism_type: None,
        mechanism: None,
        body,
        body_text: None,
    };
    let (recovered, _) = from_history(&item);
    of_alert(&to_alert(&decode(&recovered), received()))
}

fn behaviour(decoded: &Decoded, alert: &Alert) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(decoded).hash(&mut hasher);
    std::mem::discriminant(&alert.kind).hash(&mut hasher);
    std::mem::discriminant(&alert.phase).hash(&mut hasher);
    for problem in &alert.problems {
        // The words, not what they quote.
        let words: String = problem
            .chars()
            .take_while(|c| *c != ':')
            .filter(|c| !c.is_ascii_digit())
            .collect();
        words.hash(&mut hasher);
    }
    let read = [
        alert.correlation_id.is_some(),
        alert.attack_id.is_some(),
        alert.policy_id.is_some(),
        alert.text.is_some(),
        alert.sent_at.is_some(),
        alert.started_at.is_some(),
        alert.hostname.is_some(),
        alert.target_port.is_some(),
        alert.protocol.is_some(),
        alert.vector.is_some(),
        alert.rule_name.is_some(),
        alert.severity.is_some(),
        alert.packets_per_second.is_some(),
        alert.bits_per_second.is_some(),
        alert.requests_per_second.is_some(),
        alert.link.is_some(),
        alert.is_test,
    ];
    read.hash(&mut hasher);
    (
        alert.targets.len().min(3),
        alert.advertise.len().min(3),
        alert.details.len().min(8),
    )
        .hash(&mut hasher);
    for result in &alert.advertise {
        std::mem::discriminant(&result.status).hash(&mut hasher);
    }
    hasher.finish()
}
