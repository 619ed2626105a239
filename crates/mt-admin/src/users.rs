//! `user`: accounts of the dashboard.
//!
//! Must hold: a password is never shown, logged or an argument; a changed password and a disabled account end all
//! sessions; every change is audited; the last administrator is not shut out by accident.

use cli::words::stamp;
use cli::{Out, Table, Trouble};
use daemon::exit;
use db::users::{Role, User};
use db::{DbError, WriteTx};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::args::{RoleArg, UserCommand};
use crate::desk::{Desk, audit};
use crate::password;

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Admin => Self::Admin,
        }
    }
}

/// An account as JSON shows it; never its hash.
#[derive(Debug, Serialize)]
struct UserView {
    name: String,
    role: Role,
    disabled: bool,
    must_change: bool,
    created_at: Timestamp,
    password_changed_at: Timestamp,
    last_login_at: Option<Timestamp>,
    /// Whether a second factor is asked for.
    second_factor: bool,
    /// Whether the password is stored as the predecessor stored it; replaced at the next login.
    bcrypt: bool,
}

impl UserView {
    fn of(user: &User, second_factor: bool) -> Self {
        Self {
            name: user.name.clone(),
            role: user.role,
            disabled: user.disabled,
            must_change: user.must_change,
            created_at: user.created_at,
            password_changed_at: user.password_changed_at,
            last_login_at: user.last_login_at,
            second_factor,
            bcrypt: user.password_hash.starts_with("$2"),
        }
    }
}

/// Runs a command about accounts.
///
/// # Errors
/// What prevented it.
pub async fn run(desk: &Desk, command: UserCommand) -> Result<u8, Trouble> {
    match command {
        UserCommand::List => list(desk).await,
        UserCommand::Add { name, role, password } => {
            // Before anybody thinks of a password in vain.
            let wanted = name.clone();
            let taken = desk
                .write("the accounts cannot be read", move |tx| db::users::by_name(tx, &wanted))
                .await?;
            if taken.is_some() {
                return Err(Trouble::failed(
                    "user.exists",
                    format!("there is an account {name} already"),
                ));
            }
            let hash = password::hash(password::new(desk.out, &name, &password).await?).await?;
            let (must_change, role) = (password.must_change, Role::from(role));
            change(desk, &name, "account.create", "was added", move |tx, name, now| {
                db::users::add(tx, name, &hash, role, must_change, now).map(|_| Some(role.as_str().to_owned()))
            })
            .await
        }
        UserCommand::Passwd { name, password } => {
            let wanted = name.clone();
            existing(
                desk.write("the accounts cannot be read", move |tx| db::users::by_name(tx, &wanted))
                    .await?,
                &name,
            )?;
            let hash = password::hash(password::new(desk.out, &name, &password).await?).await?;
            let must_change = password.must_change;
            change(
                desk,
                &name,
                "account.password",
                "has a new password, and its sessions are ended",
                move |tx, name, now| {
                    db::users::set_password(tx, name, &hash, must_change, now)?;
                    end_sessions(tx, name)?;
                    Ok(None)
                },
            )
            .await
        }
        UserCommand::Disable { name, force } => {
            let wanted = name.clone();
            let last = desk
                .write("the accounts cannot be read", move |tx| is_last_admin(tx, &wanted))
                .await?;
            if last && !force {
                let text = format!("{name} is the last administrator: nobody could change anything any more");
                return Err(Trouble::blocked("user.last_admin", text).remedy("add another one first, or add --force"));
            }
            change(
                desk,
                &name,
                "account.disable",
                "is disabled, and its sessions are ended",
                |tx, name, _| {
                    db::users::set_disabled(tx, name, true)?;
                    end_sessions(tx, name)?;
                    Ok(None)
                },
            )
            .await
        }
        UserCommand::Role { name, role, force } => {
            let (wanted, role) = (name.clone(), Role::from(role));
            let last = desk
                .write("the accounts cannot be read", move |tx| is_last_admin(tx, &wanted))
                .await?;
            if last && role != Role::Admin && !force {
                let text = format!("{name} is the last administrator: nobody could change anything any more");
                return Err(Trouble::blocked("user.last_admin", text).remedy("add another one first, or add --force"));
            }
            change(desk, &name, "account.role", "has this role now", move |tx, name, _| {
                db::users::set_role(tx, name, role)?;
                Ok(Some(role.as_str().to_owned()))
            })
            .await
        }
        UserCommand::DropSecondFactor { name, reason, yes } => drop_second_factor(desk, &name, reason, yes).await,
        UserCommand::Enable { name } => {
            change(desk, &name, "account.enable", "may log in again", |tx, name, _| {
                db::users::set_disabled(tx, name, false)?;
                Ok(None)
            })
            .await
        }
    }
}

/// For whoever lost the device: the password alone is enough from then on, so a person confirms it and says why.
async fn drop_second_factor(desk: &Desk, name: &str, reason: String, yes: bool) -> Result<u8, Trouble> {
    let wanted = name.to_owned();
    let found = desk
        .write("the accounts cannot be read", move |tx| {
            let Some(user) = db::users::by_name(tx, &wanted)? else {
                return Ok(None);
            };
            let factor = db::second_factor::get(tx, user.id)?;
            Ok(Some((user, factor.secret.is_some() || factor.codes_left > 0)))
        })
        .await?;
    let Some((user, has_one)) = found else {
        return existing(None, name).map(|_| exit::DONE);
    };
    let now = desk.now();
    if !has_one {
        return show(desk.out, &user, false, "has no second factor; nothing was changed", now);
    }
    if !yes {
        if !cli::ask::possible() {
            let text =
                "to drop a second factor needs a confirmation, and there is no terminal to ask at; nothing was done";
            return Err(Trouble::usage("confirmation.impossible", text).remedy("add --yes if you are sure"));
        }
        let question = format!("Type {} to let its password alone be enough:", user.name);
        if !cli::ask::typed(desk.out, &question, &user.name).await? {
            return Err(Trouble::cancelled());
        }
    }
    let actor = cli::actor::of_this_process().await;
    let (id, subject) = (user.id, user.name.clone());
    desk.write("the second factor was not dropped", move |tx| {
        db::second_factor::remove(tx, id)?;
        db::sessions::close_others(tx, id, None)?;
        let entry = db::audit::Entry {
            at: now,
            actor,
            role: "shell".to_owned(),
            via: crate::PROGRAM.to_owned(),
            address: None,
            action: "account.second_factor_drop".to_owned(),
            subject,
            before: Some("on".to_owned()),
            after: Some("off".to_owned()),
            reason: Some(reason),
            result: "ok".to_owned(),
        };
        db::audit::append(tx, &entry)
    })
    .await?;
    show(
        desk.out,
        &user,
        false,
        "has no second factor any more, and its sessions are ended",
        now,
    )
}

fn end_sessions(tx: &WriteTx<'_>, name: &str) -> Result<(), DbError> {
    if let Some(user) = db::users::by_name(tx, name)? {
        db::sessions::close_others(tx, user.id, None)?;
    }
    Ok(())
}

fn is_last_admin(tx: &WriteTx<'_>, name: &str) -> Result<bool, DbError> {
    let admins: Vec<User> = db::users::all(tx)?
        .into_iter()
        .filter(|user| user.role == Role::Admin && !user.disabled)
        .collect();
    Ok(admins.len() == 1 && admins.iter().any(|user| user.name.eq_ignore_ascii_case(name)))
}

fn existing(user: Option<User>, name: &str) -> Result<User, Trouble> {
    user.ok_or_else(|| {
        let remedy = "'cloudflare-mt user list' shows the accounts";
        Trouble::failed("user.unknown", format!("there is no account {name}")).remedy(remedy)
    })
}

/// A change of one account with its row in the audit, and what it looks like afterwards.
async fn change<F>(desk: &Desk, name: &str, action: &'static str, done: &str, change: F) -> Result<u8, Trouble>
where
    F: FnOnce(&WriteTx<'_>, &str, Timestamp) -> Result<Option<String>, DbError> + Send + 'static,
{
    let now = desk.now();
    let actor = cli::actor::of_this_process().await;
    let wanted = name.to_owned();
    let user = desk
        .write("the account was not changed", move |tx| {
            let after = change(tx, &wanted, now)?;
            let user = db::users::by_name(tx, &wanted)?;
            let Some(user) = user else { return Ok(None) };
            audit(tx, &actor, (action, &wanted), after, now)?;
            let has_factor = db::second_factor::get(tx, user.id)?.since.is_some();
            Ok(Some((user, has_factor)))
        })
        .await?;
    let Some((user, has_factor)) = user else {
        return existing(None, name).map(|_| exit::DONE);
    };
    show(desk.out, &user, has_factor, done, now)
}

fn show(out: Out, user: &User, second_factor: bool, done: &str, now: Timestamp) -> Result<u8, Trouble> {
    if out.is_json() {
        out.document(&json!({"schema": "cloudflare-mt/user/1", "at": now, "user": UserView::of(user, second_factor)}))?;
    } else {
        out.text(&format!("{} ({}) {done}\n", user.name, user.role.as_str()))?;
    }
    Ok(exit::DONE)
}

async fn list(desk: &Desk) -> Result<u8, Trouble> {
    let users = desk
        .read("the accounts cannot be listed", |tx| {
            let users = db::users::all(tx)?.into_iter();
            let with_factor = users.map(|user| {
                let has_factor = db::second_factor::get(tx, user.id)?.since.is_some();
                Ok((user, has_factor))
            });
            with_factor.collect::<Result<Vec<(User, bool)>, DbError>>()
        })
        .await?;
    if desk.out.is_json() {
        let users: Vec<UserView> = users
            .iter()
            .map(|(user, second_factor)| UserView::of(user, *second_factor))
            .collect();
        desk.out
            .document(&json!({"schema": "cloudflare-mt/users/1", "at": desk.now(), "users": users}))?;
        return Ok(exit::DONE);
    }
    if users.is_empty() {
        desk.out
            .text("there is no account; the dashboard makes the first one when it starts\n")?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&[
        "NAME",
        "ROLE",
        "STATE",
        "SECOND FACTOR",
        "LAST LOGIN (UTC)",
        "PASSWORD SET (UTC)",
    ]);
    for (user, second_factor) in &users {
        let state = match (user.disabled, user.must_change) {
            (true, _) => "disabled",
            (false, true) => "must set a password",
            (false, false) => "active",
        };
        let login = user.last_login_at.map_or_else(|| "never".to_owned(), stamp);
        let name = cli::words::outside(&user.name, 64);
        let role = user.role.as_str().to_owned();
        let factor = if *second_factor { "on" } else { "off" }.to_owned();
        let password = stamp(user.password_changed_at);
        table.row([name, role, state.to_owned(), factor, login, password]);
    }
    desk.out.text(&table.render(desk.out.screen()))?;
    Ok(exit::DONE)
}
