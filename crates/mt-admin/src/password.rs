//! A new password: what it must be, and its hash.
//!
//! argon2id with the parameters of the dashboard, so that nothing set here is rehashed there; length is what counts
//! (NIST SP 800-63B section 5.1.1.2: no composition rules, no expiry).

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use cli::{Out, Trouble, ask};
use secrecy::{ExposeSecret, SecretString};

use crate::args::PasswordArgs;

/// Fewest characters.
const SHORTEST: usize = 12;

/// Most bytes; hashing time grows with it.
const LONGEST: usize = 512;

/// One of the equivalent choices of OWASP's password storage cheat sheet.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over that memory.
const PASSES: u32 = 2;

/// Asks for a new password twice, or reads it from standard input, and checks it.
///
/// # Errors
/// Nobody to ask, two different answers, or a password that is too weak.
pub async fn new(out: Out, account: &str, args: &PasswordArgs) -> Result<SecretString, Trouble> {
    let password = if args.password_stdin {
        ask::password_from_stdin().await?
    } else {
        if !ask::possible() {
            let text = "a password is needed, and there is no terminal to ask at; nothing was changed";
            return Err(
                Trouble::usage("password.no_terminal", text).remedy("give it on standard input with --password-stdin")
            );
        }
        let first = ask::password(out, &format!("New password for {account}:")).await?;
        // Before it is typed a second time in vain.
        check(first.expose_secret(), account)?;
        let second = ask::password(out, "Once more:").await?;
        if first.expose_secret() != second.expose_secret() {
            return Err(Trouble::usage(
                "password.differ",
                "the two passwords differ; nothing was changed",
            ));
        }
        first
    };
    check(password.expose_secret(), account)?;
    Ok(password)
}

fn check(password: &str, account: &str) -> Result<(), Trouble> {
    let refuse = |why: &str| Err(Trouble::usage("password.weak", format!("{why}; nothing was changed")));
    if password.chars().count() < SHORTEST {
        return refuse("the password must have at least 12 characters");
    }
    if password.len() > LONGEST {
        return refuse("the password is too long");
    }
    let lower = password.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let is_mostly_the_name =
        account.chars().count() > 2 && lower.replace(&account.to_lowercase(), "").chars().count() < 6;
    if distinct.len() < 5 || is_mostly_the_name {
        return refuse("the password is one of the first that would be tried");
    }
    Ok(())
}

/// The hash in its text form. Takes some tens of milliseconds on a blocking thread.
///
/// # Errors
/// No random bytes, or the library refuses.
pub async fn hash(password: SecretString) -> Result<String, Trouble> {
    let failed = |error: String| Trouble::failed("password.hash", format!("the password could not be hashed: {error}"));
    let done = tokio::task::spawn_blocking(move || derive(password.expose_secret())).await;
    done.map_err(|error| failed(error.to_string()))?.map_err(failed)
}

fn derive(password: &str) -> Result<String, String> {
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(|error| format!("the system gives no random bytes: {error}"))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(|error| error.to_string())?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHash, PasswordVerifier};

    use super::*;

    #[test]
    fn weak_ones_are_refused() {
        for bad in ["short", "aaaaaaaaaaaaaaaa", "ana-ana-ana-ana", &"x1y2z3".repeat(100)] {
            assert!(check(bad, "ana").is_err(), "{bad}");
        }
        assert!(check("four small brown foxes", "ana").is_ok());
    }

    #[tokio::test]
    async fn the_hash_is_argon2id_with_the_dashboards_parameters() {
        let text = hash("four small brown foxes".into()).await.unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let parsed = PasswordHash::new(&text).unwrap();
        assert!(
            Argon2::default()
                .verify_password(b"four small brown foxes", &parsed)
                .is_ok()
        );
        assert!(
            Argon2::default()
                .verify_password(b"four small brown fox", &parsed)
                .is_err()
        );
    }
}
