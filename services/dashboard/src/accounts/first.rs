//! The first account: the predecessor's, or a new one with a password for one use.
//!
//! Must hold: there is never an account with a known password. The one-time password is written to a file beside the
//! database that only its owner reads, and shown on a terminal if there is one; never to the log. The predecessor's
//! account is imported once, so that removing it later is final.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use db::users::{self, Role};
use db::{Db, DbError, WriteTx, audit, leases};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use settings::legacy::LegacyAuth;
use tokio::task::JoinHandle;

use super::password::{HashError, Hasher};
use super::token;

/// Remembers in the database that the predecessor's account was looked at.
const IMPORTED: &str = "dashboard.auth_json_imported";

/// Name of the first account when nothing is imported.
const ADMIN: &str = "admin";

/// The file with the one-time password, beside the database.
const PASSWORD_FILE: &str = "dashboard-first-login.txt";

/// A one-time password whose hash is being made: that takes as long as all the rest of a start, so it begins before it
/// is known to be needed.
pub(crate) struct Ahead {
    password: SecretString,
    hash: JoinHandle<Result<String, HashError>>,
}

impl Ahead {
    /// Begins where the database is new. Otherwise there is an account, nearly always.
    pub(crate) fn where_new(database: &Path, hasher: &Hasher) -> anyhow::Result<Option<Self>> {
        if database.exists() {
            return Ok(None);
        }
        Self::begin(hasher).map(Some)
    }

    fn begin(hasher: &Hasher) -> anyhow::Result<Self> {
        let password = SecretString::from(token::one_time_password()?);
        let (hasher, secret) = (hasher.clone(), password.clone());
        let hash = tokio::spawn(async move { hasher.turn().await?.hash(secret).await });
        Ok(Self { password, hash })
    }
}

/// Imports the predecessor's account if that was never done, and makes an account if there is none at all.
///
/// # Errors
/// When the database or the file cannot be written.
pub(crate) async fn prepare(
    db: &Db,
    hasher: &Hasher,
    ahead: Option<Ahead>,
    legacy: Option<LegacyAuth>,
    now: Timestamp,
) -> anyhow::Result<()> {
    if let Some(account) = legacy {
        import(db, account, now)
            .await
            .context("cannot import the account of auth.json")?;
    }
    let nobody = db.read("accounts", |tx| Ok(users::all(tx)?.is_empty())).await;
    if nobody.context("cannot read the accounts")? {
        let ahead = ahead.map_or_else(|| Ahead::begin(hasher), Ok)?;
        create(db, ahead, now)
            .await
            .context("cannot create the first account")?;
    }
    Ok(())
}

async fn import(db: &Db, account: LegacyAuth, now: Timestamp) -> Result<(), DbError> {
    let name = account.username.clone();
    let store = move |tx: &WriteTx<'_>| {
        if leases::fact(tx, IMPORTED)?.is_some() {
            return Ok(false);
        }
        leases::set_fact(tx, IMPORTED, &account.username, now)?;
        if users::by_name(tx, &account.username)?.is_some() {
            return Ok(false);
        }
        users::add(
            tx,
            &account.username,
            account.password_hash.expose_secret(),
            Role::Admin,
            false,
            now,
        )?;
        audit::append(tx, &row(now, "account.import", &account.username))?;
        Ok(true)
    };
    if db.write("account import", store).await? {
        tracing::info!(event = "dashboard.account.imported", account = name);
    }
    Ok(())
}

async fn create(db: &Db, ahead: Ahead, now: Timestamp) -> anyhow::Result<()> {
    let hash = ahead.hash.await.context("hashing was interrupted")??;
    let password = ahead.password.expose_secret();
    let file = password_file(db.path());
    // The file first: an account whose password nobody knows would lock everybody out.
    write_password(&file, password).with_context(|| format!("cannot write {}", file.display()))?;
    let store = move |tx: &WriteTx<'_>| {
        if !users::all(tx)?.is_empty() {
            return Ok(false);
        }
        users::add(tx, ADMIN, &hash, Role::Admin, true, now)?;
        audit::append(tx, &row(now, "account.create", ADMIN))?;
        Ok(true)
    };
    match db.write("first account", store).await {
        Ok(true) => {}
        Ok(false) => {
            forget_password_file(db.path());
            return Ok(());
        }
        Err(error) => {
            // Whether it is stored may be open; a password that opens nothing does no harm, its loss would.
            return Err(error).context("cannot store the account");
        }
    }
    tracing::warn!(event = "dashboard.account.created", account = ADMIN, password_file = %file.display());
    if io::stderr().is_terminal() {
        daemon::output::complain(&format!(
            "First login of the dashboard: account {ADMIN}, password {password}\n\
             It works once and must be replaced at once. It is also in {}.\n",
            file.display()
        ));
    }
    Ok(())
}

fn row(at: Timestamp, action: &str, account: &str) -> audit::Entry {
    let mut row = super::audit_row(at, ("cloudflare-dashboard", "service"), "", (action, account), "ok");
    row.address = None;
    row
}

fn password_file(database: &Path) -> PathBuf {
    database.with_file_name(PASSWORD_FILE)
}

/// A fresh file, so that no reader of an older one sees the password.
fn write_password(file: &Path, password: &str) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(out, "account: {ADMIN}\npassword: {password}")?;
    writeln!(
        out,
        "\nFor the first login to the dashboard. It must be replaced there; this file is removed then."
    )?;
    out.sync_all()
}

/// The one-time password was replaced: its file goes.
pub(crate) fn forget_password_file(database: &Path) {
    let file = password_file(database);
    if let Err(error) = fs::remove_file(&file)
        && error.kind() != io::ErrorKind::NotFound
    {
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::warn!(event = "dashboard.password_file.kept", password_file = %file.display(), error);
    }
}
