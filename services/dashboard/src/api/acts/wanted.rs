//! What a person wants done to a prefix, read from the request.

use domain::intent::Act;
use domain::prefix::Prefix;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::Failure;
use crate::api::reason;
use crate::words;

/// The fields. Forms send every one as text.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    /// The prefix once more, typed by the person; wanted for a withdrawal.
    #[serde(default)]
    confirm: Option<String>,
    /// Withdraw although it is held.
    #[serde(default)]
    force: Option<Value>,
}

/// The same, understood.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) prefix: Prefix,
    pub(super) act: Act,
    pub(super) reason: String,
    pub(super) typed: Option<String>,
    pub(super) force: bool,
}

impl Wanted {
    /// `in_path` is the prefix of the address, where that names one.
    pub(super) fn asked(&self, act: Act, in_path: Option<&str>) -> Result<Asked, Failure> {
        let written = in_path.or(self.prefix.as_deref()).unwrap_or_default().trim();
        let prefix = Prefix::parse_strict(written).map_err(|error| {
            let text = format!("{}.", words::sentence(&error.to_string()));
            Failure::bad_request("invalid_prefix", words::outside(&text))
        })?;
        let force = match &self.force {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => matches!(text.as_str(), "true" | "on" | "1"),
            Some(_) => return Err(Failure::bad_request("bad_fields", "force must be true or false.")),
        };
        Ok(Asked {
            prefix,
            act,
            reason: reason::of(self.reason.as_deref())?,
            typed: self.confirm.clone(),
            force,
        })
    }
}
