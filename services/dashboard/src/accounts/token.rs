//! Random secrets, as text. The database keeps only the SHA-256 of a session's.

use sha2::{Digest as _, Sha256};

/// The system gave no random bytes; nothing may be made without them.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub(crate) struct NoRandomness(#[source] getrandom::Error);

/// 256 random bits in hex: a session or a secret of one.
pub(crate) fn secret() -> Result<String, NoRandomness> {
    let mut bytes = [0_u8; 32];
    fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// What the database knows of a session's secret.
pub(crate) fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// Random bytes from the system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(NoRandomness)
}

/// Letters and digits that cannot be taken for one another, 32 of them: five bits each, without a bias.
const READABLE: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A password to be typed once: 100 random bits as four groups of five, `abcde-fgh23-...`.
pub(crate) fn one_time_password() -> Result<String, NoRandomness> {
    let mut bytes = [0_u8; 20];
    fill(&mut bytes)?;
    let mut text = String::with_capacity(23);
    for (position, byte) in bytes.iter().enumerate() {
        if position > 0 && position % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(READABLE[usize::from(byte % 32)]));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_have_their_length() {
        let (one, two) = (secret().unwrap(), secret().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
        assert_ne!(digest(&one), one);
    }

    #[test]
    fn a_one_time_password_can_be_read_out() {
        let mut letters = READABLE.to_vec();
        letters.dedup();
        assert_eq!(letters.len(), 32);
        let password = one_time_password().unwrap();
        assert_eq!(password.len(), 23);
        assert_eq!(password.split('-').map(str::len).collect::<Vec<_>>(), [5; 4]);
    }
}
