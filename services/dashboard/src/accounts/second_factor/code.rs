//! Secrets and codes of second factors.

use std::fmt::Write as _;

use jiff::Timestamp;
use qrcode::{Color, QrCode};
use subtle::ConstantTimeEq as _;
use totp_rs::{Algorithm, Secret, TOTP};

use crate::accounts::token::{self, NoRandomness};

/// What every authenticator assumes (RFC 6238 section 4, RFC 4226 section 5.3).
const DIGITS: usize = 6;
const STEP_S: u64 = 30;

/// Clocks of telephones differ by up to this many steps either way (RFC 6238 section 5.2 recommends one).
const SKEW: i64 = 1;

/// RFC 4226 section 4 recommends 160 bits.
const SECRET_BYTES: usize = 20;

/// Codes on paper for one account.
const PAPER_CODES: usize = 10;

/// A new secret in base 32.
pub(super) fn secret() -> Result<String, NoRandomness> {
    let mut bytes = vec![0; SECRET_BYTES];
    token::fill(&mut bytes)?;
    Ok(Secret::Raw(bytes).to_encoded().to_string())
}

fn totp(secret: &str) -> Option<TOTP> {
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().ok()?;
    TOTP::new(Algorithm::SHA1, DIGITS, 1, STEP_S, bytes).ok()
}

/// The time step whose code this is, if it is one of about now.
pub(super) fn step_of(secret: &str, given: &str, now: Timestamp) -> Option<i64> {
    let digits: String = given.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let totp = totp(secret)?;
    let current = now.as_second().div_euclid(i64::try_from(STEP_S).ok()?);
    // The newest first: each code counts once, and the next one must still be usable.
    let steps = (current - SKEW..=current + SKEW).rev();
    steps.into_iter().find(|step| {
        let Ok(second) = u64::try_from(*step).map(|step| step * STEP_S) else {
            return false;
        };
        bool::from(totp.generate(second).as_bytes().ct_eq(digits.as_bytes()))
    })
}

/// What authenticators read: `otpauth://totp/ISSUER:ACCOUNT?...`.
pub(crate) fn address(secret: &str, issuer: &str, account: &str) -> String {
    // A colon separates issuer and account.
    let issuer = issuer.replace(':', " ");
    let encode = |text: &str| {
        url::form_urlencoded::byte_serialize(text.as_bytes())
            .collect::<String>()
            .replace('+', "%20")
    };
    format!(
        "otpauth://totp/{}:{}?secret={secret}&issuer={}&algorithm=SHA1&digits={DIGITS}&period={STEP_S}",
        encode(&issuer),
        encode(account),
        encode(&issuer),
    )
}

/// A picture of a text as the path of a drawing and its side in modules; `None` when it is too long for one.
pub(crate) fn picture(text: &str) -> Option<(String, usize)> {
    /// Empty modules around it, which readers need.
    const MARGIN: usize = 4;
    let code = QrCode::new(text).ok()?;
    let side = code.width();
    let mut path = String::new();
    for (position, _) in code
        .to_colors()
        .iter()
        .enumerate()
        .filter(|(_, color)| **color == Color::Dark)
    {
        let (x, y) = (position % side + MARGIN, position / side + MARGIN);
        let _ = write!(path, "M{x} {y}h1v1h-1z");
    }
    Some((path, side + 2 * MARGIN))
}

/// Codes for paper, and what the database keeps of them.
pub(super) fn paper() -> Result<(Vec<String>, Vec<String>), NoRandomness> {
    let mut codes = Vec::with_capacity(PAPER_CODES);
    for _ in 0..PAPER_CODES {
        codes.push(token::one_time_password()?);
    }
    let hashes = codes.iter().filter_map(|code| paper_digest(code)).collect();
    Ok((codes, hashes))
}

/// What the database knows of a code from paper; `None` when it cannot be one. It has 100 random bits, so a plain hash
/// gives nothing away.
pub(super) fn paper_digest(given: &str) -> Option<String> {
    let bare: String = given
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .flat_map(char::to_lowercase)
        .collect();
    (bare.len() == 20).then(|| token::digest(&bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, the last six digits; its secret is the text 12345678901234567890.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_examples_of_the_standard() {
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            assert_eq!(step_of(SECRET, code, at(second)), Some(second / 30), "{second}");
        }
        assert_eq!(step_of(SECRET, "287 082", at(59)), Some(1), "as telephones show it");
        assert_eq!(step_of(SECRET, "287082", at(59 + 30)), Some(1), "a slow clock");
        assert_eq!(step_of(SECRET, "287082", at(59 + 61)), None);
        for bad in ["", "28708", "2870822", "abcdef", "２８７０８２"] {
            assert_eq!(step_of(SECRET, bad, at(59)), None, "{bad}");
        }
    }

    #[test]
    fn secrets_and_codes_are_made_new() {
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
        let (codes, hashes) = paper().unwrap();
        assert_eq!((codes.len(), hashes.len()), (10, 10));
        assert_eq!(
            paper_digest(&codes[3].to_uppercase().replace('-', " ")).as_ref(),
            Some(&hashes[3])
        );
        assert_eq!(paper_digest("287082"), None);
    }

    #[test]
    fn the_address_is_one() {
        let text = address(SECRET, "Example: Networks & Co", "ana");
        assert_eq!(
            text,
            format!(
                "otpauth://totp/Example%20%20Networks%20%26%20Co:ana?secret={SECRET}&issuer=Example%20%20Networks%20%26%20Co&algorithm=SHA1&digits=6&period=30"
            )
        );
        let (path, side) = picture(&text).unwrap();
        assert!(
            path.starts_with("M4 4h1v1h-1z") && side > 40,
            "the corner of a finder pattern"
        );
    }
}
