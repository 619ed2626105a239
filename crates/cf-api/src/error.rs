//! What went wrong, in classes that decide what may be done next.
//!
//! The class says whether a call had an effect, not how to present it. What must hold: a call whose
//! request may have reached Cloudflare and whose outcome was not read is never classed as a plain
//! failure ([`CfError::outcome_unknown`]); no text of an error carries a secret or a URL.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outside_text::clean;

/// Error items kept from one answer.
const MAX_MESSAGES: usize = 4;

/// What kind of failure it was. See [`CfError::outcome_unknown`] before repeating a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The credential is missing, malformed, expired or revoked.
    Auth,
    /// The credential is valid and lacks a permission.
    Permission,
    /// HTTP 429. [`CfError::retry_after`] says when to come back, if Cloudflare said so.
    RateLimited,
    /// The prefix is locked at Cloudflare; only Cloudflare's staff can unlock it.
    Locked,
    /// No such object, or the account id is wrong.
    NotFound,
    /// Understood and declined, for another documented reason.
    Refused,
    /// Somebody else changed the object at the same time.
    Conflict,
    /// Cloudflare or the way to it is in trouble: 5xx, no connection. Worth trying again.
    Transient,
    /// The request was sent and no complete answer came: it may or may not have had its effect.
    Unknown,
    /// An answer that is not the documented shape. It is no data, whatever it says.
    Malformed,
    /// Not sent: our own share of the request budget is used up, or Cloudflare asked for silence.
    BudgetExhausted,
}

impl ErrorClass {
    /// Stable word for logs, JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::RateLimited => "rate_limited",
            Self::Locked => "locked",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
            Self::BudgetExhausted => "budget_exhausted",
        }
    }

    /// Whether waiting may help without anybody doing anything.
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Conflict
                | Self::Transient
                | Self::Unknown
                | Self::Malformed
                | Self::BudgetExhausted
        )
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One item of Cloudflare's `errors`, on one line and clamped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiMessage {
    /// A number as text, or a word such as `advertise_state_locked`. Empty when there was none.
    pub code: String,
    /// Cloudflare's words.
    pub text: String,
}

/// Why a call to Cloudflare yielded nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CfError {
    /// What kind of failure.
    pub class: ErrorClass,
    /// Which call, in operator's words: `withdraw prefix`.
    pub call: &'static str,
    /// HTTP status, if an answer began.
    pub status: Option<u16>,
    /// Cloudflare's own explanations.
    pub messages: Vec<ApiMessage>,
    /// How long Cloudflare (or the budget) asked to wait.
    pub retry_after: Option<Duration>,
    /// `cf-ray` of the answer, which Cloudflare's support asks for.
    pub ray: Option<String>,
    /// What we saw, where Cloudflare gave no explanation.
    pub detail: String,
    changes: bool,
}

impl CfError {
    pub(crate) fn new(class: ErrorClass, call: &'static str, detail: impl AsRef<str>) -> Self {
        Self {
            class,
            call,
            status: None,
            messages: Vec::new(),
            retry_after: None,
            ray: None,
            detail: clean(detail.as_ref()),
            changes: false,
        }
    }

    /// Marks the call as one that changes something at Cloudflare.
    pub(crate) fn of_a_change(mut self, changes: bool) -> Self {
        self.changes = changes;
        self
    }

    pub(crate) fn with_messages(mut self, messages: Vec<ApiMessage>) -> Self {
        self.messages = messages;
        self.messages.truncate(MAX_MESSAGES);
        self
    }

    /// Whether a *changing* call may have taken effect although it failed: the answer never came,
    /// or came from a gateway, or could not be understood. Such a call is followed by a read,
    /// never by a blind repetition. Always false for reads and for calls that were not sent.
    pub fn outcome_unknown(&self) -> bool {
        self.changes
            && match self.class {
                ErrorClass::Unknown | ErrorClass::Malformed => true,
                ErrorClass::Transient => self.status.is_some(),
                _ => false,
            }
    }
}

impl fmt::Display for CfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed ({}", self.call, self.class)?;
        if let Some(status) = self.status {
            write!(f, ", HTTP {status}")?;
        }
        f.write_str(")")?;
        let mut separator = ": ";
        for message in &self.messages {
            f.write_str(separator)?;
            separator = "; ";
            if !message.code.is_empty() {
                write!(f, "{} ", message.code)?;
            }
            f.write_str(&message.text)?;
        }
        if !self.detail.is_empty() {
            write!(f, "{separator}{}", self.detail)?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "; again in {} s", wait.as_secs_f64().ceil())?;
        }
        if let Some(ray) = &self.ray {
            write!(f, " [ray {ray}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for CfError {}

/// The class of a REST answer that is not a success, from its status and its error items.
/// `enveloped` says whether the body was Cloudflare's documented JSON: without it a 404 may come
/// from any box on the way and says nothing about the object.
pub(crate) fn classify(status: u16, enveloped: bool, messages: &[ApiMessage]) -> ErrorClass {
    let has = |code: &str| messages.iter().any(|message| message.code == code);
    // Codes: facts of the API reference; 6003/6111/6103 malformed credential, 9103/9106/9109
    // unknown key or token, 10000 missing permission, 7003 unroutable account id.
    if ["6003", "6111", "6103", "9103", "9106", "9109"].into_iter().any(has) {
        return ErrorClass::Auth;
    }
    match status {
        429 => return ErrorClass::RateLimited,
        500.. | 408 | 425 => return ErrorClass::Transient,
        300..400 => return ErrorClass::Malformed,
        _ => {}
    }
    if status == 423 || messages.iter().any(names_a_lock) {
        return ErrorClass::Locked;
    }
    match status {
        401 | 403 if has("10000") => ErrorClass::Permission,
        401 => ErrorClass::Auth,
        403 => ErrorClass::Permission,
        _ if !enveloped => ErrorClass::Malformed,
        _ if has("7003") => ErrorClass::NotFound,
        404 => ErrorClass::NotFound,
        409 => ErrorClass::Conflict,
        // Success status with success=false.
        200..300 if has("10000") => ErrorClass::Permission,
        _ => ErrorClass::Refused,
    }
}

/// `advertise_state_locked`, or a text with the word "locked" (but not "blocked").
fn names_a_lock(message: &ApiMessage) -> bool {
    [&message.code, &message.text].into_iter().any(|text| {
        text.split(|c: char| !c.is_alphanumeric() && c != '_')
            .map(str::to_ascii_lowercase)
            .any(|word| word == "locked" || word.ends_with("_locked"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(code: &str, text: &str) -> ApiMessage {
        ApiMessage {
            code: code.into(),
            text: text.into(),
        }
    }

    #[test]
    fn table_of_status_and_code_to_class() {
        use ErrorClass::*;
        for (status, code, text, expected) in [
            (400, "6003", "Invalid request headers", Auth),
            (400, "6111", "Invalid format for Authorization header", Auth),
            (401, "1000", "Invalid API Token", Auth),
            (403, "9109", "Invalid access token", Auth),
            (403, "10000", "Authentication error", Permission),
            (401, "10000", "Authentication error", Permission),
            (403, "", "not allowed", Permission),
            (429, "1002", "withdrawn less than 15 minutes ago", RateLimited),
            (429, "", "", RateLimited),
            (400, "advertise_state_locked", "state", Locked),
            (403, "1", "prefix is locked", Locked),
            (403, "1", "request blocked", Permission),
            (423, "", "", Locked),
            (404, "1000", "prefix not found", NotFound),
            (404, "1002", "BGP prefix not found", NotFound),
            (400, "7003", "Could not route to /accounts/x", NotFound),
            (409, "", "", Conflict),
            (400, "incomplete_bgp_deployment", "wait", Refused),
            (405, "10000", "method not allowed", Refused),
            (422, "1001", "invalid", Refused),
            (200, "10000", "Authentication error", Permission),
            (200, "1001", "invalid", Refused),
            (408, "", "", Transient),
            (500, "", "", Transient),
            (503, "", "", Transient),
            (522, "", "", Transient),
            (301, "", "", Malformed),
        ] {
            assert_eq!(
                classify(status, true, &[message(code, text)]),
                expected,
                "{status} {code} {text}"
            );
        }
        // A page of some box on the way says nothing about the object.
        assert_eq!(classify(404, false, &[]), Malformed);
        assert_eq!(classify(400, false, &[]), Malformed);
        assert_eq!(classify(401, false, &[]), Auth);
        assert_eq!(classify(502, false, &[]), Transient);
    }

    #[test]
    fn a_change_without_a_readable_answer_is_unknown() {
        let error = |class, status: Option<u16>, changes| {
            let mut error = CfError::new(class, "withdraw prefix", "").of_a_change(changes);
            error.status = status;
            error.outcome_unknown()
        };
        assert!(error(ErrorClass::Unknown, None, true));
        assert!(error(ErrorClass::Malformed, Some(200), true));
        assert!(error(ErrorClass::Transient, Some(502), true));
        assert!(!error(ErrorClass::Transient, None, true));
        assert!(!error(ErrorClass::RateLimited, Some(429), true));
        assert!(!error(ErrorClass::Unknown, None, false));
    }

    #[test]
    fn display_reads_as_a_sentence() {
        let mut error = CfError::new(ErrorClass::RateLimited, "list prefixes", "")
            .with_messages(vec![message("10000", "slow down")]);
        error.status = Some(429);
        error.retry_after = Some(Duration::from_millis(1_500));
        error.ray = Some("8a1b".into());
        assert_eq!(
            error.to_string(),
            "list prefixes failed (rate_limited, HTTP 429): 10000 slow down; again in 2 s [ray 8a1b]"
        );
    }
}
