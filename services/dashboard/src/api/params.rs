//! What a request asks of a list: every name is known, every value is understood, or the request is refused.
//!
//! A filter that is silently ignored shows the wrong rows to somebody who decides by them. An empty value counts as
//! absent, because that is how a form without script sends a field that nobody filled in.

use db::lists::{Records, Span};
use domain::prefix::Prefix;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::answer::Failure;
use crate::words;

/// Most rows of one page.
pub(crate) const MOST: u32 = 500;

/// Longest text that is looked for, in characters.
const LONGEST: usize = 100;

/// The parameters of a request.
#[derive(Debug, Clone)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query of an address.
    ///
    /// # Errors
    /// 400 for a name that is not `known`, or given twice.
    pub(crate) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Failure> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let name = words::outside_up_to(&name, 40);
                let text = format!("There is no parameter {name:?} here; there are {}.", known.join(", "));
                return Err(Failure::bad_request("unknown_parameter", text));
            }
            if found.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Failure::bad_request(
                    "repeated_parameter",
                    format!("{name} is given twice."),
                ));
            }
            found.push((name.into_owned(), value.trim().to_owned()));
        }
        found.retain(|(_, value)| !value.is_empty());
        Ok(Self(found))
    }

    /// The value of a parameter, if it is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A text to be compared or looked for.
    ///
    /// # Errors
    /// 400 when it is too long.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, Failure> {
        match self.get(name) {
            Some(text) if text.chars().count() > LONGEST => Err(invalid(name, "at most 100 characters long")),
            found => Ok(found.map(str::to_owned)),
        }
    }

    /// One word of several.
    ///
    /// # Errors
    /// 400 for another one.
    pub(crate) fn word(
        &self,
        name: &'static str,
        allowed: &'static [&'static str],
    ) -> Result<Option<&'static str>, Failure> {
        let Some(written) = self.get(name) else {
            return Ok(None);
        };
        let found = allowed.iter().find(|word| **word == written);
        found
            .map(|word| Some(*word))
            .ok_or_else(|| invalid(name, &format!("one of {}", allowed.join(", "))))
    }

    /// A network.
    ///
    /// # Errors
    /// 400 when it is none.
    pub(crate) fn prefix(&self) -> Result<Option<Prefix>, Failure> {
        let Some(written) = self.get("prefix") else {
            return Ok(None);
        };
        let parsed = Prefix::parse_strict(written);
        parsed
            .map(Some)
            .map_err(|_| invalid("prefix", "a network like 203.0.113.0/24"))
    }

    /// `since` and `until`.
    ///
    /// # Errors
    /// 400 when one of them is no instant, or they are the wrong way round.
    pub(crate) fn span(&self) -> Result<Span, Failure> {
        let (since, until) = (self.instant("since")?, self.instant("until")?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(invalid("until", "later than since"));
        }
        Ok(Span { since, until })
    }

    /// What lists of what was done to prefixes take: `since`, `until`, `prefix`, `q`.
    ///
    /// # Errors
    /// Those of the four.
    pub(crate) fn records(&self) -> Result<Records, Failure> {
        Ok(Records {
            span: self.span()?,
            prefix: self.prefix()?,
            text: self.text("q")?,
        })
    }

    /// RFC 3339; without a zone, as the date fields of browsers write it, it is UTC.
    fn instant(&self, name: &'static str) -> Result<Option<Timestamp>, Failure> {
        let Some(written) = self.get(name) else {
            return Ok(None);
        };
        let in_utc = || written.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
        let found = written.parse().ok().or_else(|| Some(in_utc()?.timestamp()));
        found
            .map(Some)
            .ok_or_else(|| invalid(name, "an instant like 2026-11-22T03:27:00Z"))
    }

    /// `limit`.
    ///
    /// # Errors
    /// 400 when it is no number from 1 to [`MOST`].
    pub(crate) fn limit(&self, otherwise: u32) -> Result<u32, Failure> {
        let Some(written) = self.get("limit") else {
            return Ok(otherwise);
        };
        let number = written.parse().ok().filter(|number| (1..=MOST).contains(number));
        number.ok_or_else(|| invalid("limit", "a number from 1 to 500"))
    }

    /// `before`, where it is a row number.
    ///
    /// # Errors
    /// 400 when it is none.
    pub(crate) fn before(&self) -> Result<Option<i64>, Failure> {
        let Some(written) = self.get("before") else {
            return Ok(None);
        };
        let number = written.parse().ok().filter(|number| *number >= 1);
        number
            .map(Some)
            .ok_or_else(|| invalid("before", "the next_before of an earlier answer"))
    }
}

/// The refusal of a value: `invalid_NAME`.
pub(crate) fn invalid(name: &'static str, wanted: &str) -> Failure {
    let code = match name {
        "limit" => "invalid_limit",
        "before" => "invalid_before",
        "since" => "invalid_since",
        "until" => "invalid_until",
        "prefix" => "invalid_prefix",
        _ => "invalid_value",
    };
    Failure::bad_request(code, format!("{name} must be {wanted}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["limit", "before", "since", "until", "prefix", "q", "source"];

    fn code<T>(read: impl FnOnce(&Params) -> Result<T, Failure>, query: &str) -> &'static str {
        let params = match Params::read(Some(query), KNOWN) {
            Ok(params) => params,
            Err(failure) => return failure.code(),
        };
        read(&params).err().map_or("taken", |failure| failure.code())
    }

    #[test]
    fn limits_and_cursors_are_checked_and_never_lifted() {
        for good in ["limit=1", "limit=500&before=7", "limit=&before=", ""] {
            assert_eq!(code(|params| params.limit(50), good), "taken", "{good}");
            assert_eq!(code(Params::before, good), "taken", "{good}");
        }
        for bad in [
            "limit=0",
            "limit=-1",
            "limit=501",
            "limit=abc",
            "limit=5.5",
            "limit=1e2",
        ] {
            assert_eq!(code(|params| params.limit(50), bad), "invalid_limit", "{bad}");
        }
        for bad in ["before=0", "before=-3", "before=x", "before=99999999999999999999"] {
            assert_eq!(code(Params::before, bad), "invalid_before", "{bad}");
        }
    }

    #[test]
    fn nothing_is_ignored() {
        assert_eq!(code(|_| Ok(()), "prefx=203.0.113.0/24"), "unknown_parameter");
        assert_eq!(code(|_| Ok(()), "q=a&q=b"), "repeated_parameter");
        assert_eq!(code(Params::prefix, "prefix=203.0.113.7/24"), "invalid_prefix");
        assert_eq!(code(Params::prefix, "prefix=2001:db8::/32"), "taken");
        assert_eq!(
            code(|params| params.word("source", &["all"]), "source=some"),
            "invalid_value"
        );
        let long = format!("q={}", "x".repeat(101));
        assert_eq!(code(|params| params.text("q"), &long), "invalid_value");
    }

    #[test]
    fn instants_are_rfc_3339_or_what_a_date_field_sends() {
        let span = |query| Params::read(Some(query), KNOWN).unwrap().span().unwrap();
        let both = span("since=2026-11-22T03:00:00%2B01:00&until=2026-11-22T03:27");
        assert_eq!(both.since.unwrap().to_string(), "2026-11-22T02:00:00Z");
        assert_eq!(both.until.unwrap().to_string(), "2026-11-22T03:27:00Z");
        assert_eq!(code(Params::span, "since=yesterday"), "invalid_since");
        assert_eq!(code(Params::span, "until=1763781000"), "invalid_until");
        let wrong = "since=2026-11-22T03:00:00Z&until=2026-11-22T02:00:00Z";
        assert_eq!(code(Params::span, wrong), "invalid_until");
    }
}
