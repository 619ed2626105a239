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
    /// Whether the password is stored as the predecessor stored it; replaced at the next login.
    bcrypt: bool,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            name: user.name.clone(),
            role: user.role,
            disabled: user.disabled,
            must_change: user.must_change,
            created_at: user.created_at,
            password_changed_at: user.password_changed_at,
            last_login_at: user.last_login_at,
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
        UserCommand::Enable { name } => {
            change(desk, &name, "account.enable", "may log in again", |tx, name, _| {
                db::users::set_disabled(tx, name, false)?;
                Ok(None)
            })
            .await
        }
    }
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
            if user.is_some() {
                audit(tx, &actor, (action, &wanted), after, now)?;
            }
            Ok(user)
        })
        .await?;
    let user = existing(user, name)?;
    show(desk.out, &user, done, now)
}

fn show(out: Out, user: &User, done: &str, now: Timestamp) -> Result<u8, Trouble> {
    if out.is_json() {
        out.document(&json!({"schema": "cloudflare-mt/user/1", "at": now, "user": UserView::from(user)}))?;
    } else {
        out.text(&format!("{} ({}) {done}\n", user.name, user.role.as_str()))?;
    }
    Ok(exit::DONE)
}

async fn list(desk: &Desk) -> Result<u8, Trouble> {
    let users = desk.read("the accounts cannot be listed", db::users::all).await?;
    if desk.out.is_json() {
        let users: Vec<UserView> = users.iter().map(UserView::from).collect();
        desk.out
            .document(&json!({"schema": "cloudflare-mt/users/1", "at": desk.now(), "users": users}))?;
        return Ok(exit::DONE);
    }
    if users.is_empty() {
        desk.out
            .text("there is no account; the dashboard makes the first one when it starts\n")?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&["NAME", "ROLE", "STATE", "LAST LOGIN (UTC)", "PASSWORD SET (UTC)"]);
    for user in &users {
        let state = match (user.disabled, user.must_change) {
            (true, _) => "disabled",
            (false, true) => "must set a password",
            (false, false) => "active",
        };
        let login = user.last_login_at.map_or_else(|| "never".to_owned(), stamp);
        let name = cli::words::outside(&user.name, 64);
        let role = user.role.as_str().to_owned();
        table.row([name, role, state.to_owned(), login, stamp(user.password_changed_at)]);
    }
    desk.out.text(&table.render(desk.out.screen()))?;
    Ok(exit::DONE)
}
