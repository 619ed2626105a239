//! The reason of an act: every one has one, because others read it at night.

use crate::answer::Failure;
use crate::words;

/// Fewest characters: `ok` explains nothing at 3 a.m.
const SHORTEST: usize = 3;
/// Most characters.
const LONGEST: usize = 300;

/// The reason as it is kept.
///
/// # Errors
/// 400 where there is none.
pub(crate) fn of(text: Option<&str>) -> Result<String, Failure> {
    let reason = words::outside_up_to(text.unwrap_or_default(), LONGEST);
    if reason.chars().count() < SHORTEST {
        return Err(Failure::bad_request(
            "reason_required",
            "Say why, in a few words: others will read it at night.",
        ));
    }
    Ok(reason)
}
