//! Programs with a token: `Authorization: Bearer mt_...`.
//!
//! Must hold: a token opens the API and nothing else; it never comes together with a session's cookie, so no request has
//! two identities; a page of another site cannot make a browser send it, so changes need no secret besides. It has 256
//! random bits: guessing is hopeless, and wrong ones are counted but not written down one by one.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use db::sessions::Session;
use db::tokens::{self, Token};
use db::{ReadTx, WriteTx};
use domain::time::since;

use super::{Member, token};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;

/// What tokens begin with, so that scanners of source code find one that was left somewhere.
pub(super) const MARK: &str = "mt_";

/// A use is stored at most this often: each time is a commit that every open page hears of.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// Whether a request brings a token at all.
pub(super) fn is_given(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
}

/// The program that a request comes from.
///
/// # Errors
/// 400 beside a cookie, 401 for a token that is none, revoked or past its end, 403 outside the API.
pub(super) async fn admit(
    app: &App,
    headers: &HeaderMap,
    path: &str,
    client: Option<ClientAddr>,
) -> Result<Member, Failure> {
    if app.cookie().read(headers).is_some() {
        let text = "Send either a token or a session, not both.";
        return Err(Failure::bad_request("mixed_credentials", text));
    }
    if !path.starts_with("/api/") {
        return Err(Failure::forbidden(
            "people_only",
            "A token opens only what is under /api/.",
        ));
    }
    let refused = || {
        app.counters().failed_logins.inc();
        let text = "The token is not known, revoked or past its end.";
        Failure::new(StatusCode::UNAUTHORIZED, "invalid_token", text)
    };
    let secret = secret_of(headers).ok_or_else(refused)?;
    let (hash, now) = (token::digest(secret), app.now());
    let wanted = hash.clone();
    let read = move |tx: &ReadTx<'_>| tokens::find(tx, &wanted, now);
    let found = app.db().read("token", read).await?.ok_or_else(refused)?;
    let address = client.map(|client| client.0.to_string());
    note(app, &found, address.unwrap_or_default()).await;
    Ok(member(found, hash))
}

fn secret_of(headers: &HeaderMap) -> Option<&str> {
    let mut written = headers.get_all(header::AUTHORIZATION).iter();
    let only = written.next().filter(|_| written.next().is_none())?;
    let (scheme, secret) = only.to_str().ok()?.split_once(' ')?;
    let secret = secret.trim();
    let is_ours = secret.strip_prefix(MARK).is_some_and(|digits| digits.len() == 64);
    (scheme.eq_ignore_ascii_case("bearer") && is_ours).then_some(secret)
}

/// As whom it acts. There is no session behind it; the hash is that of the token, by which open streams see its end.
fn member(token: Token, hash: String) -> Member {
    let session = Session {
        token_hash: hash,
        user_id: 0,
        user: format!("token:{}", token.name),
        role: token.role,
        must_change: false,
        csrf: String::new(),
        created_at: token.created_at,
        seen_at: token.created_at,
        expires_at: token.expires_at,
        address: String::new(),
        agent: String::new(),
        owes_factor: false,
    };
    Member::machine(session, token.id)
}

/// Remembers the use. A failure costs the list of tokens an instant, never the request.
async fn note(app: &App, token: &Token, address: String) {
    let now = app.now();
    if token.last_used_at.is_some_and(|at| since(now, at) < NOTE_EVERY) {
        return;
    }
    let id = token.id;
    let store = move |tx: &WriteTx<'_>| tokens::used(tx, id, &address, now);
    if let Err(error) = app.db().write("token use", store).await {
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::debug!(event = "dashboard.session.touch_failed", error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_well_formed_token_is_looked_up() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            secret_of(&headers).map(str::to_owned)
        };
        let token = format!("mt_{}", "ab".repeat(32));
        assert_eq!(read(&[&format!("Bearer {token}")]), Some(token.clone()));
        assert_eq!(read(&[&format!("bearer  {token}")]), Some(token.clone()));
        for bad in [
            "Bearer",
            "Bearer mt_short",
            "Basic YTpi",
            &format!("Bearer {}", "ab".repeat(32)),
        ] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        assert_eq!(read(&[&format!("Bearer {token}"), "Basic YTpi"]), None);
    }
}
