//! `status`: live states, the daemon's verdicts and holds, with sources and ages.

use cli::elsewhere::{self, Elsewhere, in_place};
use cli::life::{AUTOWITHDRAW, Service};
use cli::picture::Picture;
use cli::standing::{HoldView, Sight, Standing, believed_for, judge};
use cli::{Ink, Trouble, ink, report, words};
use daemon::exit;
use db::Db;
use domain::prefix::Prefix;
use jiff::Timestamp;
use prefix_ops::emergency::spool::Spool;
use serde::Serialize;

use crate::live::{self, Live};
use crate::site::Site;

/// The document of `--json`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Name and version of this shape.
    pub schema: &'static str,
    /// Now.
    pub at: Timestamp,
    /// Whether every state was read live and the database could be read.
    pub complete: bool,
    /// What could not be read, and why.
    pub problems: Vec<String>,
    /// The daemon.
    pub daemon: Service,
    /// Holds and pauses in force.
    pub holds: Vec<HoldView>,
    /// Changes that no act of ours explains and that are still in place.
    pub changed_elsewhere: Vec<Elsewhere>,
    /// The prefixes, in network order.
    pub prefixes: Vec<Standing>,
}

/// Shows all prefixes, or one.
///
/// # Errors
/// When nothing can be read at all, or the prefix is not known.
pub async fn run(site: &Site, only: Option<Prefix>) -> Result<u8, Trouble> {
    let opened = cli::store::counting(&site.settings.database.path);
    let picture = match &opened {
        Ok(db) => read_picture(site, db).await,
        Err(trouble) => Err(trouble.text.clone()),
    };
    let live = ask(site, opened.as_ref().ok(), picture.as_ref().ok(), only).await;
    let now = site.now();
    let mut problems: Vec<String> = live.problems();
    let blind = picture
        .as_ref()
        .err()
        .map(|error| format!("the database cannot be read: {error}"));
    problems.extend(blind.clone());
    if let (Some(cloudflare), Some(database)) = (&live.error, &blind) {
        let text = format!("nothing is known: Cloudflare could not be asked ({cloudflare}), and {database}");
        return Err(Trouble::failed("status.blind", text));
    }
    let entries = picture
        .as_ref()
        .map(|picture| picture.entries.clone())
        .unwrap_or_default();
    let remembered = picture
        .as_ref()
        .map(|picture| picture.known(&site.settings))
        .unwrap_or_default();
    let live_error = live.error.clone();
    let known = live.into_known(remembered, &entries, &site.settings);
    let daemon = match &picture {
        Ok(picture) => picture.daemon(now),
        Err(_) => Service::of(AUTOWITHDRAW, None, now),
    };
    let sight = match &picture {
        Ok(picture) => picture.sight(&daemon, &site.settings, now),
        Err(_) => Sight {
            now,
            daemon: &daemon,
            answers: &[],
            holds: &[],
            alerts: &[],
            blind: blind.as_deref(),
            believed_for: believed_for(&site.settings.autowithdraw),
            propagation: site.settings.autowithdraw.propagation,
        },
    };
    let wanted = known
        .iter()
        .filter(|known| only.is_none_or(|only| known.prefix == only));
    let prefixes: Vec<Standing> = wanted.map(|known| judge(known, &sight)).collect();
    if let (Some(only), true) = (only, prefixes.is_empty()) {
        return Err(not_found(only, live_error, picture.as_ref().ok()));
    }
    for standing in &prefixes {
        if let Some(error) = &standing.cloudflare.error
            && !problems.iter().any(|problem| problem.contains(error.as_str()))
        {
            problems.push(format!("{} was not read: {error}", standing.prefix));
        }
    }
    let holds: Vec<HoldView> = sight
        .holds
        .iter()
        .filter(|hold| only.is_none_or(|only| hold.applies(only, now)))
        .map(HoldView::from)
        .collect();
    let changed_elsewhere = match &picture {
        Ok(picture) => in_place(&picture.foreign, &prefixes, now),
        Err(_) => Vec::new(),
    };
    let status = Status {
        schema: "cloudflare-mt/prefix-status/1",
        at: now,
        complete: problems.is_empty(),
        problems,
        daemon,
        holds,
        changed_elsewhere,
        prefixes,
    };
    if site.out.is_json() {
        site.out.document(&status)?;
    } else {
        site.out.text(&text(&status, only.is_some(), site))?;
    }
    let waiting = Spool::of(&site.settings.database.path).waiting().len();
    if waiting > 0 {
        let count = words::counted(waiting, "act", "acts");
        let text = format!("warning: {count} of an emergency not in the record yet: cloudflare-mt import spool");
        site.out.aside(&format!("{}\n", ink(Ink::Warn, &text)));
    }
    Ok(if status.complete { exit::DONE } else { exit::FAILURE })
}

async fn read_picture(site: &Site, db: &Db) -> Result<Picture, String> {
    let veto = site.settings.autowithdraw.open_alert_veto;
    Picture::read(db, veto, site.now())
        .await
        .map_err(|error| cli::trouble::chain(&error))
}

/// Asks Cloudflare about one known prefix, or about all.
async fn ask(site: &Site, db: Option<&Db>, picture: Option<&Picture>, only: Option<Prefix>) -> Live {
    let api = match site.display_client(db) {
        Ok(api) => api,
        Err(trouble) => return Live::impossible(trouble.text),
    };
    let clock = site.clock.clone();
    let entry = only.and_then(|only| picture.and_then(|picture| picture.entry(only)));
    let Some(entry) = entry else {
        return live::all(&api, move || clock.now()).await;
    };
    let mut live = Live::default();
    for (prefix, read) in live::these(&api, std::slice::from_ref(entry), move || clock.now()).await {
        match read {
            Ok(read) => {
                live.read.insert(prefix, read);
            }
            Err(error) => live.error = Some(error),
        }
    }
    live
}

fn not_found(prefix: Prefix, live_error: Option<String>, picture: Option<&Picture>) -> Trouble {
    match (live_error, picture) {
        (Some(error), _) => Trouble::failed(
            "prefix.unknown",
            format!("{prefix} is not known here, and Cloudflare could not be asked: {error}"),
        ),
        (None, Some(picture)) => cli::explain::unknown_prefix(prefix, picture),
        (None, None) => Trouble::failed(
            "prefix.unknown",
            format!("{prefix} is not a known prefix of this account"),
        ),
    }
}

fn text(status: &Status, in_detail: bool, site: &Site) -> String {
    let screen = site.out.screen();
    let now = status.at;
    let mut text = String::new();
    match status.prefixes.as_slice() {
        [standing] if in_detail => text.push_str(&report::detail(standing, &status.daemon, now, screen)),
        [] => text.push_str("no prefix is known\n"),
        standings => {
            text.push_str(&report::table(standings, now, screen));
            text.push('\n');
            text.push_str(&report::foot(standings, &status.daemon, &status.holds, now));
        }
    }
    text.push_str(&elsewhere::lines(&status.changed_elsewhere, now));
    for problem in &status.problems {
        let problem = words::outside(problem, words::LONG);
        text.push_str(&ink(Ink::Warn, &format!("NOT COMPLETE: {problem}")));
        text.push('\n');
    }
    text
}
