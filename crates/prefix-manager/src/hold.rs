//! `hold` and `release`: a person's word against automation, with who, why and until when.
//!
//! Must hold: a hold and what it cancels are one transaction; a call that is already on its way is named, because no hold
//! can stop it; what remains in force after a release is shown.

use cli::standing::HoldView;
use cli::{Ink, Trouble, ink};
use daemon::exit;
use db::incidents::Line;
use db::{DbError, WriteTx};
use domain::hold::Hold;
use domain::ids::HoldId;
use domain::intent::Act;
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;
use serde::Serialize;

use crate::args::{HoldArgs, HoldEnd, ReleaseArgs};
use crate::live;
use crate::site::Site;

/// How audit and timeline name this program.
const VIA: &str = "prefix_manager";

/// The document of `hold --json`.
#[derive(Debug, Serialize)]
struct Held {
    schema: &'static str,
    at: Timestamp,
    hold: HoldView,
    /// Unsent automatic withdrawals that it cancelled.
    cancelled: usize,
    warnings: Vec<String>,
}

/// The document of `release --json`.
#[derive(Debug, Serialize)]
struct Released {
    schema: &'static str,
    at: Timestamp,
    released: Vec<HoldView>,
    /// Holds and pauses that still apply.
    still: Vec<HoldView>,
}

/// Sets a hold or a pause.
///
/// # Errors
/// A prefix that holds nothing, an end in the past, or a database that cannot be written.
pub async fn hold(site: &Site, asked: HoldArgs) -> Result<u8, Trouble> {
    let now = site.now();
    let until = end(&asked.end, now)?;
    let prefix = asked.target.prefix;
    let db = acting(site).await?;
    let mut warnings = Vec::new();
    if let Some(prefix) = prefix {
        warnings.extend(check_target(site, &db, prefix).await?);
    }
    let actor = cli::actor::of_this_process().await;
    let (reason, by) = (asked.reason.clone(), actor.clone());
    let set = db
        .write("hold.set", move |tx| set_in(tx, prefix, &by, &reason, until, now))
        .await
        .map_err(|error| Trouble::database("the hold could not be stored, nothing is held", &error))?;
    warnings.extend(set.under_way);
    let hold = HoldView {
        id: set.id.0,
        prefix,
        actor,
        reason: asked.reason,
        since: now,
        until,
    };
    let held = Held {
        schema: "cloudflare-mt/prefix-hold/1",
        at: now,
        hold,
        cancelled: set.cancelled,
        warnings,
    };
    if site.out.is_json() {
        site.out.document(&held)?;
        return Ok(exit::DONE);
    }
    let mut text = format!("{} (hold {})\n", held.hold.sentence(now), held.hold.id);
    if held.cancelled > 0 {
        text.push_str("an automatic withdrawal that had not been sent was cancelled\n");
    }
    site.out.text(&text)?;
    for warning in &held.warnings {
        site.out
            .aside(&format!("{}\n", ink(Ink::Warn, &format!("warning: {warning}"))));
    }
    Ok(exit::DONE)
}

async fn acting(site: &Site) -> Result<db::Db, Trouble> {
    let db = site.acting()?;
    crate::act::emergency::import(site, &db).await;
    Ok(db)
}

fn end(asked: &HoldEnd, now: Timestamp) -> Result<Option<Timestamp>, Trouble> {
    let until = match (asked.lasting, asked.until) {
        (Some(lasting), _) => plus(now, lasting),
        (None, Some(until)) => until.resolve(now),
        (None, None) => return Ok(None),
    };
    if until <= now {
        let shown = domain::time::for_people(until);
        return Err(Trouble::usage(
            "hold.past",
            format!("a hold until {shown} would hold nothing: that is over"),
        ));
    }
    Ok(Some(until))
}

/// A typing error would hold nothing and let the meant prefix be withdrawn.
async fn check_target(site: &Site, db: &db::Db, prefix: Prefix) -> Result<Option<String>, Trouble> {
    let mut known = known_prefixes(db).await?;
    if known.is_empty()
        && let Ok(api) = site.display_client(Some(db))
    {
        let clock = site.clock.clone();
        let read = live::all(&api, move || clock.now()).await.read;
        live::store(db, read.into_values().collect(), &site.settings).await?;
        known = known_prefixes(db).await?;
    }
    if known.is_empty() {
        return Ok(Some(format!(
            "no prefix is known yet, so it could not be checked that {prefix} is one"
        )));
    }
    if known.iter().any(|known| known.overlaps(prefix)) {
        return Ok(None);
    }
    let text = format!("{prefix} overlaps with no known prefix, so a hold on it would hold nothing");
    Err(Trouble::failed("prefix.unknown", text).remedy("'cloudflare-prefix-manager list' shows the known ones"))
}

async fn known_prefixes(db: &db::Db) -> Result<Vec<Prefix>, Trouble> {
    let read = db.read("prefixes", db::inventory::all).await;
    let entries = read.map_err(|error| Trouble::database("the known prefixes cannot be read", &error))?;
    Ok(entries.into_iter().map(|entry| entry.prefix.prefix).collect())
}

struct Set {
    id: HoldId,
    cancelled: usize,
    under_way: Vec<String>,
}

fn set_in(
    tx: &WriteTx<'_>,
    prefix: Option<Prefix>,
    actor: &str,
    reason: &str,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Set, DbError> {
    let id = db::holds::set(tx, prefix, actor, reason, until, now)?;
    let concerned = |other: Prefix| prefix.is_none_or(|held| held.overlaps(other));
    let mut cancelled = 0;
    let because = format!("held by {actor}: {reason}");
    for entry in db::inventory::all(tx)? {
        let known = entry.prefix.prefix;
        if !concerned(known) {
            continue;
        }
        cancelled += db::intents::cancel_unsent(tx, known, true, &because, now)?;
        if let Some(incident) = db::incidents::current(tx, known)? {
            let end = until.map_or_else(
                || "until released".to_owned(),
                |at| format!("until {}", domain::time::for_people(at)),
            );
            note(
                tx,
                incident,
                ("held", format!("{known} held {end}: {reason}")),
                actor,
                now,
            )?;
        }
    }
    let under_way = db::intents::open(tx)?
        .into_iter()
        .filter(|intent| intent.act == Act::Withdraw && intent.state.may_have_been_sent() && concerned(intent.prefix))
        .map(|intent| {
            format!(
                "a withdrawal of {} is already on its way (intent {}); no hold can stop it: advertise the prefix if it must stay",
                intent.prefix, intent.id
            )
        })
        .collect();
    let what = prefix.map_or_else(|| "everything".to_owned(), |prefix| prefix.to_string());
    let after = until.map_or_else(
        || "until released".to_owned(),
        |at| format!("until {}", domain::time::to_db_text(at)),
    );
    let row = cli::actor::audit_row(VIA, actor, ("hold.set", &what), now);
    let row = db::audit::Entry {
        after: Some(after),
        reason: Some(reason.to_owned()),
        ..row
    };
    db::audit::append(tx, &row)?;
    Ok(Set {
        id,
        cancelled,
        under_way,
    })
}

/// Releases every hold on exactly this prefix, or every pause.
///
/// # Errors
/// When there is none, or the database cannot be written.
pub async fn release(site: &Site, asked: ReleaseArgs) -> Result<u8, Trouble> {
    let now = site.now();
    let prefix = asked.target.prefix;
    let db = acting(site).await?;
    let actor = cli::actor::of_this_process().await;
    let by = actor.clone();
    let done = db
        .write("hold.release", move |tx| release_in(tx, prefix, &by, now))
        .await;
    let (released, left) = done.map_err(|error| Trouble::database("nothing was released", &error))?;
    let applies = |hold: &&Hold| prefix.is_none_or(|prefix| hold.applies(prefix, now));
    let still: Vec<HoldView> = left.iter().filter(applies).map(HoldView::from).collect();
    if released.is_empty() {
        return Err(nothing_released(prefix, &still, now));
    }
    let document = Released {
        schema: "cloudflare-mt/prefix-release/1",
        at: now,
        released: released.iter().map(HoldView::from).collect(),
        still,
    };
    if site.out.is_json() {
        site.out.document(&document)?;
        return Ok(exit::DONE);
    }
    let mut text = String::new();
    for hold in &document.released {
        text.push_str(&format!("released hold {}: {}\n", hold.id, hold.sentence(now)));
    }
    for hold in &document.still {
        let line = format!("still in force: {} (hold {})", hold.sentence(now), hold.id);
        text.push_str(&format!("{}\n", ink(Ink::Warn, &line)));
    }
    if document.still.is_empty() {
        text.push_str("automation decides again; a withdrawal may follow as soon as calm is proven\n");
    }
    site.out.text(&text)?;
    Ok(exit::DONE)
}

fn release_in(
    tx: &WriteTx<'_>,
    prefix: Option<Prefix>,
    actor: &str,
    now: Timestamp,
) -> Result<(Vec<Hold>, Vec<Hold>), DbError> {
    let before: Vec<Hold> = db::holds::in_force(tx, now)?;
    let released: Vec<Hold> = before.into_iter().filter(|hold| hold.prefix == prefix).collect();
    if !released.is_empty() {
        db::holds::release(tx, prefix, actor, now)?;
        let shown: Vec<String> = released
            .iter()
            .map(|hold| format!("{} by {}: {}", hold.id, hold.actor, hold.reason))
            .collect();
        let what = prefix.map_or_else(|| "everything".to_owned(), |prefix| prefix.to_string());
        let row = cli::actor::audit_row(VIA, actor, ("hold.release", &what), now);
        let row = db::audit::Entry {
            before: Some(shown.join("; ")),
            ..row
        };
        db::audit::append(tx, &row)?;
        if let Some(prefix) = prefix
            && let Some(incident) = db::incidents::current(tx, prefix)?
        {
            note(tx, incident, ("released", format!("{prefix} released")), actor, now)?;
        }
    }
    Ok((released, db::holds::in_force(tx, now)?))
}

fn nothing_released(prefix: Option<Prefix>, still: &[HoldView], now: Timestamp) -> Trouble {
    let what = prefix.map_or_else(
        || "there is no pause of everything".to_owned(),
        |prefix| format!("there is no hold on exactly {prefix}"),
    );
    let trouble = Trouble::failed("hold.none", format!("nothing was released: {what}"));
    if still.is_empty() {
        return trouble;
    }
    let others: Vec<String> = still.iter().map(|hold| hold.sentence(now)).collect();
    trouble.remedy(format!("in force: {}", others.join("; ")))
}

fn note(
    tx: &WriteTx<'_>,
    incident: domain::ids::IncidentId,
    (kind, text): (&str, String),
    actor: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let line = Line {
        at: now,
        kind: kind.to_owned(),
        text,
        source: VIA.to_owned(),
        actor: Some(actor.to_owned()),
        reference: None,
    };
    db::incidents::note(tx, incident, &line, now)
}
