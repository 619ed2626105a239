//! What a person wants held, for how long and why: read from the request, never guessed.

use std::time::Duration;

use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::Failure;
use crate::api::reason;
use crate::words;

/// A shorter hold ends before anybody has read it.
const SHORTEST: Duration = Duration::from_secs(60);
/// Longer ones are set without an end, which says so.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// What is to be held. Forms send every field as text.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    /// The network; absent or empty together with `everywhere` pauses everything.
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    everywhere: Option<Value>,
    #[serde(default)]
    reason: Option<String>,
    /// `4h`, or `open` for until released.
    #[serde(default, rename = "for")]
    lasting: Option<String>,
    /// RFC 3339, instead of `for`.
    #[serde(default)]
    until: Option<String>,
}

impl Wanted {
    /// What it is on; never everything by omission.
    pub(super) fn scope(&self) -> Result<Scope, Failure> {
        scope(self.prefix.as_deref(), self.everywhere.as_ref())
    }

    /// Why.
    pub(super) fn reason(&self) -> Result<String, Failure> {
        reason::of(self.reason.as_deref())
    }

    /// Until when; `None` is until released, which must be said as well.
    pub(super) fn until(&self, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
        until(self.lasting.as_deref(), self.until.as_deref(), now)
    }
}

/// What a hold is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    One(Prefix),
    Everything,
}

impl Scope {
    pub(super) fn prefix(self) -> Option<Prefix> {
        match self {
            Self::One(prefix) => Some(prefix),
            Self::Everything => None,
        }
    }

    pub(super) fn covers(self, prefix: Prefix) -> bool {
        self.prefix().is_none_or(|held| held.overlaps(prefix))
    }

    pub(super) fn subject(self) -> String {
        self.prefix()
            .map_or_else(|| "everything".to_owned(), |prefix| prefix.to_string())
    }
}

/// What a hold is to be on.
pub(super) fn scope(prefix: Option<&str>, everywhere: Option<&Value>) -> Result<Scope, Failure> {
    let everywhere = match everywhere {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => matches!(text.as_str(), "true" | "on" | "1"),
        Some(_) => return Err(Failure::bad_request("bad_fields", "everywhere must be true or false.")),
    };
    match (prefix.map(str::trim).filter(|text| !text.is_empty()), everywhere) {
        (None, true) => Ok(Scope::Everything),
        (Some(text), false) => Prefix::parse_strict(text).map(Scope::One).map_err(|error| {
            Failure::bad_request(
                "invalid_prefix",
                words::outside(&format!("{}.", words::sentence(&error.to_string()))),
            )
        }),
        _ => Err(Failure::bad_request(
            "bad_fields",
            "Give either prefix or everywhere: true.",
        )),
    }
}

fn until(lasting: Option<&str>, until: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let given = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let end = match (given(lasting), given(until)) {
        (Some(_), Some(_)) => return Err(Failure::bad_request("bad_fields", "Give either for or until.")),
        (None, None) => {
            return Err(Failure::bad_request(
                "end_required",
                "Say how long: for, until, or for: \"open\".",
            ));
        }
        (Some(open), None) if open == "open" => return Ok(None),
        (Some(lasting), None) => {
            let lasting = domain::duration::parse(&lasting).map_err(|error| {
                Failure::bad_request(
                    "invalid_duration",
                    words::outside(&format!("{}.", words::sentence(&error.to_string()))),
                )
            })?;
            plus(now, lasting)
        }
        (None, Some(until)) => until.parse().map_err(|_| {
            Failure::bad_request(
                "invalid_until",
                "until must be an instant such as 2026-01-31T04:00:00Z.",
            )
        })?,
    };
    if end < plus(now, SHORTEST) || end > plus(now, LONGEST) {
        return Err(Failure::bad_request(
            "invalid_duration",
            "A hold lasts from a minute to a year, or until released.",
        ));
    }
    Ok(Some(end))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T03:27:00Z".parse().unwrap()
    }

    #[test]
    fn an_end_must_be_said() {
        let code = |lasting, until_text| until(lasting, until_text, now()).map_err(|failure| failure.code());
        assert_eq!(code(Some("open"), None), Ok(None));
        assert_eq!(
            code(Some("4h"), Some("")),
            Ok(Some(plus(now(), Duration::from_secs(14_400))))
        );
        assert_eq!(
            code(None, Some("2026-11-22T04:00:00Z")),
            Ok(Some("2026-11-22T04:00:00Z".parse().unwrap()))
        );
        assert_eq!(code(None, None), Err("end_required"));
        assert_eq!(code(Some("4h"), Some("2026-11-22T04:00:00Z")), Err("bad_fields"));
        assert_eq!(code(Some("30s"), None), Err("invalid_duration"));
        assert_eq!(code(Some("soon"), None), Err("invalid_duration"));
        assert_eq!(
            code(None, Some("2026-11-22T03:00:00Z")),
            Err("invalid_duration"),
            "in the past"
        );
        assert_eq!(code(None, Some("tomorrow")), Err("invalid_until"));
    }

    #[test]
    fn the_scope_is_never_guessed() {
        let read =
            |prefix, everywhere: Option<Value>| scope(prefix, everywhere.as_ref()).map_err(|failure| failure.code());
        assert_eq!(
            read(Some("203.0.113.0/24"), None),
            Ok(Scope::One("203.0.113.0/24".parse().unwrap()))
        );
        assert_eq!(read(Some(""), Some(json!("true"))), Ok(Scope::Everything));
        assert_eq!(read(None, Some(json!(true))), Ok(Scope::Everything));
        assert_eq!(
            read(None, None),
            Err("bad_fields"),
            "an empty request is not everything"
        );
        assert_eq!(read(Some("203.0.113.0/24"), Some(json!(true))), Err("bad_fields"));
        assert_eq!(read(Some("203.0.113.7/24"), None), Err("invalid_prefix"));
        assert_eq!(read(None, Some(json!(1))), Err("bad_fields"));
    }

    #[test]
    fn a_reason_has_words() {
        assert!(reason::of(None).is_err());
        assert!(reason::of(Some("  ok ")).is_err());
        assert_eq!(
            reason::of(Some(" carrier\nmaintenance ")).ok().as_deref(),
            Some("carrier maintenance")
        );
    }
}
