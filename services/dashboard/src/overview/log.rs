//! A row of the operator's log in words.

use db::events::Event;
use domain::alert::AlertKind;
use jiff::Timestamp;
use serde::Serialize;

use crate::words;

/// A row as the log shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LogRow {
    pub(crate) id: i64,
    pub(crate) at: Option<Timestamp>,
    /// `START`, `END`, `ADVERTISE`, ...: a word of ours or of the predecessor.
    pub(crate) kind: String,
    pub(crate) prefix: String,
    /// Vector, type of alert or policy: what it is about.
    pub(crate) what: String,
    pub(crate) rate: Option<String>,
    /// What was done, and by whom.
    pub(crate) action: String,
    pub(crate) incident_id: Option<i64>,
    pub(crate) is_test: bool,
}

impl LogRow {
    pub(crate) fn of(event: &Event) -> Self {
        let kind = event.alert_type.as_deref().map(AlertKind::from_name);
        let texts = [
            event.attack_vector.as_deref(),
            kind.as_ref().map(AlertKind::title),
            event.policy_name.as_deref(),
        ];
        let what = texts.into_iter().flatten().find(|text| !text.trim().is_empty());
        let action = event
            .action_taken
            .as_deref()
            .map(|action| words::outside_up_to(action, 60))
            .unwrap_or_default();
        let action = action.replace('_', " ");
        let actor = event
            .actor
            .as_deref()
            .map(|actor| format!(" by {}", words::outside_up_to(actor, 40)));
        let target = event
            .prefix
            .as_deref()
            .or(event.target_ip.as_deref())
            .unwrap_or_default();
        Self {
            id: event.id,
            at: event.created_at,
            kind: words::outside_up_to(&event.event_type, 16),
            prefix: words::outside_up_to(target, 60),
            what: what.map(|text| words::outside_up_to(text, 120)).unwrap_or_default(),
            rate: words::rates(
                number(event.megabits_per_second.as_deref()).map(|rate| rate * 1e6),
                number(event.packets_per_second.as_deref()),
            ),
            action: action + &actor.unwrap_or_default(),
            incident_id: event.incident_id,
            is_test: event.is_test,
        }
    }

    /// The filter that shows it.
    pub(crate) fn group(&self) -> &'static str {
        match self.kind.as_str() {
            "START" | "UPDATE" | "END" => "alert",
            "ADVERTISE" | "WITHDRAW" => "act",
            _ => "other",
        }
    }

    /// The word of the style sheet.
    pub(crate) fn class(&self) -> &'static str {
        match self.kind.as_str() {
            "START" => "start",
            "END" => "end",
            "ADVERTISE" => "advertise",
            "WITHDRAW" => "withdraw",
            _ => "other",
        }
    }
}

/// Rates are stored as text; the predecessor's have commas, or are empty.
pub(crate) fn number(text: Option<&str>) -> Option<f64> {
    let number: f64 = text?.replace(',', "").trim().parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn the_predecessors_numbers_are_read_whole() {
        assert_eq!(number(Some("1,234,567")), Some(1_234_567.0));
        assert_eq!(number(Some("81.25")), Some(81.25));
        assert_eq!(number(Some("")), None);
        assert_eq!(number(Some("inf")), None);
        assert_eq!(number(None), None);
    }
}
