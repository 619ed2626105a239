//! `/settings`: one's own account and display; what is announced; prefixes as configured; for admins accounts and tokens.
//!
//! All forms work without script. What is shown once (a token, a password for one use) is in the answer to the form that
//! made it and nowhere else.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use db::inventory::{self, Entry};
use db::second_factor;
use db::sessions::{self, Session};
use db::tokens::{self, Token};
use db::users::{self, Role, User};
use db::{ReadTx, outbox};
use domain::notice::{KINDS, Mute};
use domain::prefix::Prefix;
use domain::time::minus;

use super::{Shell, main, rendered};
use crate::accounts::Member;
use crate::accounts::sessions::ID_DIGITS;
use crate::answer::Failure;
use crate::api::preferences::{self, Display, DisplayMode};
use crate::app::App;
use crate::words;

/// Something that is shown once.
pub(crate) struct Once {
    pub(crate) what: String,
    pub(crate) secret: String,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    shell: Shell,
    is_admin: bool,
    once: Option<Once>,
    stored: Stored,
    own_session: String,
    prefixes: Vec<Configured>,
    kinds: &'static [&'static str],
}

/// What the database says.
struct Stored {
    factor: bool,
    display: Display,
    only_own: bool,
    /// Attacks on these are announced; none: our prefixes.
    announced: Vec<Prefix>,
    mutes: Vec<Mute>,
    sessions: Vec<Session>,
    users: Vec<(User, bool)>,
    tokens: Vec<Token>,
    inventory: Vec<Entry>,
}

/// A prefix as the configuration and the account know it.
struct Configured {
    prefix: String,
    description: String,
    managed: bool,
    direct_route: Option<String>,
    read_at: Option<jiff::Timestamp>,
}

/// `GET /settings`
pub(crate) async fn page(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    shown(&app, &member, None).await
}

/// The page, with what is shown once.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn shown(app: &App, member: &Member, once: Option<Once>) -> Result<Response, Failure> {
    member.is_person()?;
    let overview = main::situation(app).await?;
    let is_admin = member.role() == Role::Admin;
    let (id, now) = (member.session().user_id, app.now());
    let idle_since = minus(now, app.settings().dashboard.session_idle);
    let read = move |tx: &ReadTx<'_>| {
        let of = (!is_admin).then_some(id);
        let (users, tokens) = if is_admin {
            let users = users::all(tx)?.into_iter().map(|user| {
                let factor = second_factor::get(tx, user.id)?.since.is_some();
                Ok((user, factor))
            });
            (users.collect::<Result<_, db::DbError>>()?, tokens::all(tx)?)
        } else {
            (Vec::new(), Vec::new())
        };
        Ok(Stored {
            factor: second_factor::get(tx, id)?.since.is_some(),
            display: preferences::display(tx, id)?,
            only_own: preferences::my_prefixes_only(tx)?,
            announced: preferences::announced_prefixes(tx)?,
            mutes: outbox::mutes(tx)?.into_iter().filter(|mute| mute.until > now).collect(),
            sessions: sessions::live(tx, of, idle_since, now)?,
            users,
            tokens,
            inventory: inventory::all(tx)?,
        })
    };
    let stored = app.db().read("settings", read).await?;
    let shell = Shell::over(app, member, &overview, "Settings", "settings");
    Ok(rendered(&Page {
        shell,
        is_admin,
        once,
        own_session: id_of(member.session()),
        prefixes: configured(app, &stored.inventory),
        stored,
        kinds: &KINDS,
    }))
}

fn id_of(session: &Session) -> String {
    session.token_hash.chars().take(ID_DIGITS).collect()
}

fn configured(app: &App, inventory: &[Entry]) -> Vec<Configured> {
    let settings = app.settings();
    let managed = settings.managed_prefixes();
    let mut all: Vec<_> = managed
        .iter()
        .copied()
        .chain(inventory.iter().map(|entry| entry.prefix.prefix))
        .collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter()
        .map(|prefix| {
            let entry = inventory.iter().find(|entry| entry.prefix.prefix == prefix);
            Configured {
                prefix: prefix.to_string(),
                description: entry
                    .map(|entry| words::outside(&entry.prefix.description))
                    .unwrap_or_default(),
                managed: managed.contains(&prefix),
                direct_route: settings.autowithdraw.direct_route(prefix).map(route_words),
                read_at: entry.map(|entry| entry.read_at),
            }
        })
        .collect()
}

/// How a prefix is reachable without Cloudflare.
fn route_words(route: &settings::DirectRoute) -> String {
    match route {
        settings::DirectRoute::AlwaysAnnounced => "always announced".to_owned(),
        _ => "checked before a withdrawal".to_owned(),
    }
}

impl Page {
    fn session_id(&self, session: &Session) -> String {
        id_of(session)
    }

    fn is_own(&self, session: &Session) -> bool {
        id_of(session) == self.own_session
    }

    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 60)
    }

    fn token_state(&self, token: &Token) -> &'static str {
        if token.revoked_at.is_some() {
            "revoked"
        } else if token.expires_at <= self.shell.now {
            "past its end"
        } else {
            "in use"
        }
    }

    fn is_live(&self, token: &Token) -> bool {
        self.token_state(token) == "in use"
    }

    fn mode(&self) -> DisplayMode {
        self.stored.display.analytics_display_mode
    }
}
