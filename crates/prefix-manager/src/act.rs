//! `advertise` and `withdraw`: targets, preview of the consequences, question, intent, execution, outcome.
//!
//! | Module | Holds |
//! |---|---|
//! | [`targets`] | which prefixes, their live states |
//! | [`attack`] | whether they are under attack, as far as anybody can tell |
//! | [`preview`] | what acting means, and what forbids it |
//! | [`drive`] | the intent's steps until it is closed |
//! | [`outcome`] | results and exit code |
//! | [`emergency`] | the act without the journal, when the database cannot be written |
//!
//! Must hold: the intent is durable before anything is sent; a withdrawal of a prefix that is, or may be, under attack
//! asks for its CIDR; without a terminal nothing is asked and nothing is done, unless `--yes` was given; an advertise
//! is never blocked by a rule of ours.

pub mod attack;
pub mod drive;
pub mod emergency;
pub mod outcome;
pub mod preview;
pub mod targets;

use std::time::Duration;

use cli::picture::Picture;
use cli::{Trouble, ask, words};
use daemon::cli::Interrupts;
use db::Db;
use domain::intent::Act;
use domain::prefix::Prefix;
use domain::time::since;
use jiff::Timestamp;
use prefix_ops::request;
use prefix_ops::{Limits, PrefixOps, Request, RequestError};

use crate::args::Asked;
use crate::site::Site;
use attack::Danger;
use drive::{Driver, Filed};
use outcome::{Outcome, Outcomes, Result as ResultWord};
use preview::{Preview, Verdict};

/// How the journal, the audit and the predecessor's columns name this program.
const VIA: &str = "prefix_manager";

/// A preview older than this proves nothing about now.
const PREVIEW_GOOD_FOR: Duration = Duration::from_secs(60);

/// Runs the act for what was asked.
///
/// # Errors
/// What prevented it for all prefixes; what prevented it for one is in the outcome.
pub async fn run(site: &Site, act: Act, asked: Asked, interrupts: Interrupts) -> Result<u8, Trouble> {
    if !asked.options.yes && !ask::possible() {
        let text = format!("to {act} needs a confirmation, and there is no terminal to ask at; nothing was done");
        return Err(Trouble::usage("confirmation.impossible", text).remedy("add --yes if you are sure"));
    }
    let db = match journal(site, asked.emergency).await {
        Ok(db) => db,
        Err(because) if asked.emergency => return emergency::run(site, act, &asked, &interrupts, &because).await,
        Err(trouble) => return Err(trouble),
    };
    emergency::import(site, &db).await;
    let api = site.cloudflare(&db)?;
    let actor = cli::actor::of_this_process().await;
    let targets = targets::resolve(site, &db, &api, &asked.target).await?;
    let looked_at = site.now();
    let picture = read_picture(site, &db, looked_at).await?;
    let dangers = match act {
        Act::Withdraw => attack::assess(site, &api, &targets.reads, &picture, looked_at).await,
        Act::Advertise => Default::default(),
    };
    let previews: Vec<Preview> = targets
        .reads
        .iter()
        .map(|read| {
            preview::of(
                act,
                read,
                dangers.get(&read.prefix),
                &picture,
                site,
                asked.force,
                looked_at,
            )
        })
        .collect();
    let incidents = preview::incidents(&db, &previews).await;
    site.out.aside(&preview::text(
        act,
        &previews,
        &incidents,
        &targets.left_alone,
        site,
        looked_at,
    ));

    let mut outcomes = Outcomes::new(act, &actor, &asked.options.reason, looked_at);
    let wanted = sort_out(&previews, &mut outcomes);
    if !wanted.is_empty() {
        let daemon = picture.daemon(site.now());
        if asked.options.no_wait && act == Act::Withdraw && !daemon.life.is_there() {
            let text = format!("nobody would execute it: {}", daemon.absence(site.now()));
            return Err(Trouble::blocked("daemon.absent", text).remedy("leave out --no-wait to do it here"));
        }
        if !asked.options.yes {
            confirm(site, act, &wanted, &asked, looked_at).await?;
        }
        let here = waits_here(&asked, daemon.life.is_there());
        let limits = Limits {
            open_alert_veto: site.settings.autowithdraw.open_alert_veto,
            ..Limits::default()
        };
        let ops = PrefixOps::new(db.clone(), api, site.owner.clone(), limits);
        let driver = Driver {
            site,
            db: &db,
            ops,
            interrupts,
            daemon_is_there: daemon.life.is_there(),
        };
        let prefixes: Vec<Prefix> = wanted.iter().map(|preview| preview.prefix).collect();
        act_on(&driver, act, &prefixes, &asked, &actor, here, &mut outcomes).await;
    }
    outcomes.conclude(site)
}

/// The database to record in. Where an emergency was announced, it must prove that it can be written.
async fn journal(site: &Site, emergency: bool) -> Result<Db, Trouble> {
    let db = site.acting()?;
    if emergency {
        emergency::probe(&db, site.now()).await?;
    }
    Ok(db)
}

/// Those that are to be gone on with; what became of the others is an outcome.
fn sort_out<'a>(previews: &'a [Preview], outcomes: &mut Outcomes) -> Vec<&'a Preview> {
    let mut wanted = Vec::new();
    for preview in previews {
        match &preview.verdict {
            Verdict::Go => wanted.push(preview),
            Verdict::Nothing(text) => outcomes.add(Outcome::already(preview.prefix, text)),
            Verdict::Blocked(trouble) => outcomes.add(Outcome::trouble(preview.prefix, ResultWord::Blocked, trouble)),
            Verdict::Failed(trouble) => outcomes.add(Outcome::trouble(preview.prefix, ResultWord::Failed, trouble)),
        }
    }
    wanted
}

/// Whether this process takes the steps: on a terminal, when told, and where nobody else would.
fn waits_here(asked: &Asked, daemon_is_there: bool) -> bool {
    if !daemon_is_there || asked.options.wait {
        return true;
    }
    !asked.options.no_wait && ask::possible()
}

/// Files all intents first, so that they are durable and anybody may go on with them, then takes their steps.
async fn act_on(
    driver: &Driver<'_>,
    act: Act,
    prefixes: &[Prefix],
    asked: &Asked,
    actor: &str,
    here: bool,
    outcomes: &mut Outcomes,
) {
    // Ctrl-C between filing and the first step would leave a wish that is carried out later, when nobody expects it.
    let guard = driver.interrupts.finish_first();
    let mut filed = Vec::new();
    for prefix in prefixes {
        match file(driver.db, driver.site.now(), act, *prefix, asked, actor).await {
            Ok(intent) => filed.push(Filed {
                prefix: *prefix,
                intent,
            }),
            Err(trouble) if trouble.exit == cli::trouble::BLOCKED => {
                outcomes.add(Outcome::trouble(*prefix, ResultWord::Blocked, &trouble));
            }
            Err(trouble) => outcomes.add(Outcome::trouble(*prefix, ResultWord::Failed, &trouble)),
        }
    }
    if here {
        driver.run(act, filed, asked.options.timeout, guard, outcomes).await;
        return;
    }
    drop(guard);
    for filed in filed {
        let text = format!(
            "filed as intent {}; cloudflare-autowithdraw executes it within seconds",
            filed.intent
        );
        outcomes.add(Outcome::of(filed.prefix, ResultWord::Filed, "filed", &text).intent(filed.intent));
    }
}

async fn file(
    db: &Db,
    now: Timestamp,
    act: Act,
    prefix: Prefix,
    asked: &Asked,
    actor: &str,
) -> Result<domain::ids::IntentId, Trouble> {
    let wish = Request {
        prefix,
        act,
        actor: actor.to_owned(),
        via: VIA.to_owned(),
        address: None,
        reason: asked.options.reason.clone(),
        force: asked.force,
    };
    match request::file(db, wish, now).await {
        Ok(requested) => Ok(requested.intent),
        Err(error @ RequestError::Held { .. }) => Err(Trouble::blocked(error.code(), error.to_string())),
        Err(RequestError::Db(error)) => Err(Trouble::database(
            "the intent could not be stored, nothing was sent",
            &error,
        )),
        Err(error) => Err(Trouble::failed(error.code(), error.to_string())),
    }
}

async fn confirm(
    site: &Site,
    act: Act,
    wanted: &[&Preview],
    asked: &Asked,
    looked_at: Timestamp,
) -> Result<(), Trouble> {
    let risky = |preview: &&&Preview| !matches!(preview.danger, None | Some(Danger::Quiet { .. }));
    let first_risky = wanted.iter().find(risky);
    let agreed = match (first_risky, wanted) {
        (Some(_), [one]) => {
            let why = match one.danger {
                Some(Danger::Attack { .. }) => "it is UNDER ATTACK",
                _ => "nobody can tell whether it is under attack",
            };
            let question = format!("Type {} to withdraw it although {why}:", one.prefix);
            ask::typed(site.out, &question, &one.prefix.to_string()).await?
        }
        (Some(_), many) => {
            let phrase = format!("withdraw {}", many.len());
            let question = format!(
                "Not all of them are known to be quiet. Type '{phrase}' to withdraw all {}:",
                many.len()
            );
            ask::typed(site.out, &question, &phrase).await?
        }
        (None, [one]) => ask::yes(site.out, &format!("{} {}?", verb(act), one.prefix)).await?,
        (None, many) => {
            let count = words::counted(many.len(), "prefix", "prefixes");
            ask::yes(site.out, &format!("{} {count}?", verb(act))).await?
        }
    };
    if !agreed {
        return Err(Trouble::cancelled());
    }
    let waited = since(site.now(), looked_at);
    if act == Act::Withdraw && first_risky.is_none() && !asked.force && waited > PREVIEW_GOOD_FOR {
        let text = format!(
            "the preview was {} old when you answered; nothing was done",
            words::age(looked_at, site.now())
        );
        return Err(Trouble::new(cli::trouble::CANCELLED, "preview.stale", text).remedy("run it again"));
    }
    Ok(())
}

fn verb(act: Act) -> &'static str {
    match act {
        Act::Advertise => "Advertise",
        Act::Withdraw => "Withdraw",
    }
}

async fn read_picture(site: &Site, db: &Db, now: Timestamp) -> Result<Picture, Trouble> {
    Picture::read(db, site.settings.autowithdraw.open_alert_veto, now)
        .await
        .map_err(|error| Trouble::database("holds and verdicts cannot be read, nothing was done", &error))
}
