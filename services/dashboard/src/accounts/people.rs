//! `POST /settings/accounts`: accounts, as admins keep them.
//!
//! Must hold: one admin who can sign in is always left; a new or reset account gets a password for one use, which is shown
//! once; whoever is disabled, demoted or reset has no session left.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use db::users::{self, Role, User};
use db::{DbError, WriteTx, audit, second_factor, sessions};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::{Member, audit_row, token};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::pages;
use crate::pages::settings::Once;
use crate::submission::Submission;

/// Longest name of an account or token.
const LONGEST_NAME: usize = 40;

/// What the form asks for.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// add, role, disable, enable, reset, drop_factor
    act: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: String,
}

/// What is done to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Add(Role),
    Role(Role),
    Disable,
    Enable,
    Reset,
    DropFactor,
}

impl Act {
    fn of(wanted: &Wanted) -> Result<Self, Failure> {
        Ok(match wanted.act.as_str() {
            "add" => Self::Add(role(&wanted.role)?),
            "role" => Self::Role(role(&wanted.role)?),
            "disable" => Self::Disable,
            "enable" => Self::Enable,
            "reset" => Self::Reset,
            "drop_factor" => Self::DropFactor,
            _ => {
                let text = "act is add, role, disable, enable, reset or drop_factor.";
                return Err(Failure::bad_request("bad_fields", text));
            }
        })
    }

    /// As the audit names it.
    fn action(self) -> &'static str {
        match self {
            Self::Add(_) => "account.create",
            Self::Role(_) => "account.role",
            Self::Disable => "account.disable",
            Self::Enable => "account.enable",
            Self::Reset => "account.reset",
            Self::DropFactor => "second_factor.remove",
        }
    }

    /// Whether somebody who could do everything cannot after it.
    fn takes_an_admin(self) -> bool {
        matches!(self, Self::Disable) || matches!(self, Self::Role(role) if role < Role::Admin)
    }
}

/// A role by its word.
pub(super) fn role(text: &str) -> Result<Role, Failure> {
    Role::from_text(text.trim())
        .ok_or_else(|| Failure::bad_request("invalid_value", "role must be viewer, operator or admin."))
}

/// A name that can be written anywhere: letters, digits, and `. _ - @` between them.
pub(super) fn name(text: &str) -> Result<String, Failure> {
    let name = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= LONGEST_NAME && name.chars().all(allowed) {
        return Ok(name.to_owned());
    }
    let text = "A name has up to 40 letters, digits and . _ - @, and begins with a letter or digit.";
    Err(Failure::bad_request("invalid_name", text))
}

/// `POST /settings/accounts`
pub(crate) async fn submit(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    member.is_person()?;
    member.needs(Role::Admin)?;
    let act = Act::of(&submission.fields)?;
    let name = match act {
        Act::Add(_) => name(&submission.fields.name)?,
        // Accounts of other programs may have other names.
        _ => submission.fields.name.trim().to_owned(),
    };
    let password = match act {
        Act::Add(_) | Act::Reset => Some(token::one_time_password().map_err(|error| Failure::internal(&error))?),
        _ => None,
    };
    let hash = match &password {
        Some(password) => {
            let turn = app.hasher().turn().await?;
            Some(turn.hash(SecretString::from(password.clone())).await?)
        }
        None => None,
    };
    let (now, actor, role, address) = (app.now(), member.name().to_owned(), member.role(), client.0.to_string());
    let subject = name.clone();
    let store = move |tx: &WriteTx<'_>| {
        let before = users::by_name(tx, &subject)?;
        let last_admin = act.takes_an_admin() && is_last_admin(tx, before.as_ref())?;
        let result = if last_admin { "refused: the last admin" } else { "ok" };
        let mut row = audit_row(now, (&actor, role.as_str()), &address, (act.action(), &subject), result);
        if !last_admin {
            carry_out(tx, act, (&subject, before.as_ref()), hash.as_deref(), now)?;
        }
        row.before = before.as_ref().map(in_words);
        row.after = users::by_name(tx, &subject)?.as_ref().map(in_words);
        audit::append(tx, &row)?;
        Ok(last_admin)
    };
    let refused = app.db().write("account", store).await.map_err(|error| match error {
        DbError::Conflict { .. } => Failure::bad_request("name_taken", "There is an account of this name."),
        DbError::NotFound => Failure::not_found("There is no such account."),
        other => other.into(),
    })?;
    if refused {
        let text = "This is the last admin who can sign in; nothing was changed.";
        return Err(Failure::new(StatusCode::CONFLICT, "last_admin", text));
    }
    let action = act.action();
    tracing::warn!(
        event = "dashboard.account.changed",
        account = name,
        action,
        actor = member.name()
    );
    if submission.by_form {
        let once = password.map(|secret| Once {
            what: format!("The password for one use of {name}"),
            secret,
        });
        return match once {
            Some(once) => pages::settings::shown(&app, &member, Some(once)).await,
            None => Ok(pages::go_to("/settings#accounts")),
        };
    }
    Ok(Json(json!({"success": true, "name": name, "one_time_password": password})).into_response())
}

fn carry_out(
    tx: &WriteTx<'_>,
    act: Act,
    (name, before): (&str, Option<&User>),
    hash: Option<&str>,
    now: Timestamp,
) -> Result<(), DbError> {
    if let Act::Add(role) = act {
        return users::add(tx, name, hash.ok_or(DbError::NotFound)?, role, true, now).map(drop);
    }
    let user = before.ok_or(DbError::NotFound)?;
    match act {
        Act::Add(_) => {}
        Act::Role(role) => drop(users::set_role(tx, name, role)?),
        Act::Disable => drop(users::set_disabled(tx, name, true)?),
        Act::Enable => drop(users::set_disabled(tx, name, false)?),
        Act::Reset => drop(users::set_password(
            tx,
            name,
            hash.ok_or(DbError::NotFound)?,
            true,
            now,
        )?),
        Act::DropFactor => drop(second_factor::remove(tx, user.id)?),
    }
    if act != Act::Enable {
        sessions::close_others(tx, user.id, None)?;
    }
    Ok(())
}

fn is_last_admin(tx: &WriteTx<'_>, account: Option<&User>) -> Result<bool, DbError> {
    let all = users::all(tx)?;
    let mut admins = all.iter().filter(|user| user.role == Role::Admin && !user.disabled);
    let only = admins.next().filter(|_| admins.next().is_none());
    Ok(only.is_some_and(|only| account.is_some_and(|account| account.id == only.id)))
}

fn in_words(user: &User) -> String {
    let disabled = if user.disabled { ", disabled" } else { "" };
    format!("{}{disabled}", user.role.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_written_anywhere() {
        for good in ["ana", "a.b-c_d@example.net", "7of9"] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "-ana", "ana maria", "ana:1", "änä", "a\nb", &"a".repeat(41)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
