//! What a new password must be: long, and not what everybody would try first.
//!
//! Length is what counts (NIST SP 800-63B section 5.1.1.2: no composition rules, no expiry).

/// Fewest characters.
pub(crate) const SHORTEST: usize = 12;

/// Why a new password is not taken, as a sentence for the person who chose it.
pub(crate) fn refuse(new: &str, old: &str, account: &str) -> Option<&'static str> {
    let characters = new.chars().count();
    if characters < SHORTEST {
        return Some("The new password must have at least 12 characters.");
    }
    if new.len() > super::password::LONGEST {
        return Some("The new password is too long.");
    }
    if new == old {
        return Some("The new password is the old one.");
    }
    let lower = new.to_lowercase();
    let account = account.to_lowercase();
    if account.chars().count() > 2 && lower.contains(&account) && characters - account.chars().count() < SHORTEST - 2 {
        return Some("The new password is mostly the account's name.");
    }
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 || is_run(&lower) || COMMON.iter().any(|common| lower.starts_with(common)) {
        return Some("The new password is one of the first that would be tried.");
    }
    None
}

/// `abcdefghijkl`, `123456789012`: each character follows the one before.
fn is_run(text: &str) -> bool {
    let codes: Vec<u32> = text.chars().map(u32::from).collect();
    let steps = codes
        .windows(2)
        .filter(|pair| pair[1] == pair[0] + 1 || pair[0] == u32::from('9'))
        .count();
    steps + 2 > codes.len()
}

/// Beginnings of the long passwords that head every published list of leaked ones.
const COMMON: [&str; 8] = [
    "password",
    "passw0rd",
    "qwertyuiop",
    "qwerty123",
    "adminadmin",
    "administrator",
    "letmein",
    "cloudflare",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_tried_first_is_refused() {
        for bad in [
            "short",
            "aaaaaaaaaaaaaaaa",
            "123456789012",
            "abcdefghijklmn",
            "Password12345",
            "kim-kim-kim12",
            "oldoldoldold7x",
        ] {
            assert!(refuse(bad, "oldoldoldold7x", "kim-kim").is_some(), "{bad}");
        }
        for good in ["four small brown foxes", "kR3-tunnel-calm-9", "ÄÖÜßéñçàèìòù"] {
            assert_eq!(refuse(good, "old", "kim"), None, "{good}");
        }
    }
}
