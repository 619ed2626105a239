//! `--emergency`: the act without the journal, when the database cannot be written.
//!
//! Must hold: it is taken only when the database really refuses; preview and question are the same as ever, with less to
//! rest on; the record is a spool file that exists before the call.

use std::collections::BTreeMap;

use cf_api::CloudflareClient;
use cli::picture::Picture;
use cli::{Ink, Trouble, ink, words};
use daemon::cli::Interrupts;
use db::Db;
use domain::bgp::BgpPrefix;
use domain::ids::{BgpPrefixId, PrefixId};
use domain::intent::Act;
use domain::prefix::Prefix;
use jiff::Timestamp;
use prefix_ops::emergency::spool::Spool;
use prefix_ops::emergency::{self, EmergencyError, Ended, Order};

use super::outcome::{Outcome, Outcomes, Result as ResultWord};
use super::preview::{self, Preview};
use super::targets::{Read, listed};
use super::{VIA, attack, confirm, sort_out};
use crate::args::Asked;
use crate::live;
use crate::site::Site;

/// Whether the database takes a write. The last word before the journal is left aside.
///
/// # Errors
/// Why it does not.
pub async fn probe(db: &Db, now: Timestamp) -> Result<(), Trouble> {
    db.write("emergency.probe", move |tx| {
        db::leases::set_fact(tx, "emergency.probe", "written", now)
    })
    .await
    .map_err(|error| Trouble::database("the database cannot be written", &error))
}

/// Takes what an earlier emergency left into the journal. What cannot be taken is told and does not stop anybody.
pub async fn import(site: &Site, db: &Db) {
    let spool = Spool::of(&site.settings.database.path);
    if spool.waiting().is_empty() {
        return;
    }
    match spool.import(db, site.now()).await {
        Ok(done) => {
            for (prefix, act) in &done.taken {
                site.out.aside(&format!(
                    "the {act} of {prefix}, done in an emergency, is in the journal now\n"
                ));
            }
            for (file, why) in &done.odd {
                let text = format!("warning: {}: {}", file.display(), words::outside(why, 300));
                site.out.aside(&format!("{}\n", ink(Ink::Warn, &text)));
            }
        }
        Err(error) => {
            let text = format!("warning: acts of an emergency still wait to be recorded: {error}");
            site.out.aside(&format!("{}\n", ink(Ink::Warn, &text)));
        }
    }
}

/// Acts on Cloudflare directly. `because` is why the database cannot be written.
///
/// # Errors
/// What prevented it for all prefixes.
pub async fn run(
    site: &Site,
    act: Act,
    asked: &Asked,
    interrupts: &Interrupts,
    because: &Trouble,
) -> Result<u8, Trouble> {
    let text = format!(
        "EMERGENCY: {}. Cloudflare is changed directly; a file keeps the record until the database can be written. \
         Holds, alerts and the daemon's verdict are not known.",
        words::outside(&because.text, words::LONG)
    );
    site.out.aside(&format!("{}\n", ink(Ink::Attack, &text)));
    let api = site.display_client(None)?;
    let actor = cli::actor::of_this_process().await;
    let reads = targets(site, &api, asked).await?;
    let looked_at = site.now();
    let nothing = blank();
    let dangers = match act {
        Act::Withdraw => attack::assess(site, &api, &reads, &nothing, looked_at).await,
        Act::Advertise => BTreeMap::new(),
    };
    let previews: Vec<Preview> = reads
        .iter()
        .map(|read| {
            preview::of(
                act,
                read,
                dangers.get(&read.prefix),
                &nothing,
                site,
                asked.force,
                looked_at,
            )
        })
        .collect();
    site.out
        .aside(&preview::text(act, &previews, &BTreeMap::new(), &[], site, looked_at));
    let mut outcomes = Outcomes::new(act, &actor, &asked.options.reason, looked_at);
    let wanted = sort_out(&previews, &mut outcomes);
    if !wanted.is_empty() && !asked.options.yes {
        confirm(site, act, &wanted, asked, looked_at).await?;
    }
    let spool = Spool::of(&site.settings.database.path);
    for preview in &wanted {
        let prefix = preview.prefix;
        let Some((prefix_id, bgp_prefix_id)) = ids(site, &reads, prefix) else {
            let text =
                format!("{prefix} was not found: its ids stand neither at Cloudflare nor in prefix_mapping.json");
            let outcome = Outcome::of(prefix, ResultWord::Failed, "prefix.unknown", &text);
            outcomes.add(outcome.remedy("use Cloudflare's dashboard: the daemon will notice and announce it"));
            continue;
        };
        let order = Order {
            prefix,
            act,
            prefix_id,
            bgp_prefix_id,
            description: preview.description.clone(),
            actor: actor.clone(),
            via: VIA.to_owned(),
            reason: asked.options.reason.clone(),
            force: asked.force,
        };
        // Between the file and Cloudflare's answer nothing may be cut short.
        let _guard = interrupts.finish_first();
        outcomes.add(one(site, &api, &order, &spool, asked).await);
    }
    outcomes.conclude(site)
}

/// What names a prefix to Cloudflare: as just read, else as the operator wrote it down.
fn ids(site: &Site, reads: &[Read], prefix: Prefix) -> Option<(PrefixId, BgpPrefixId)> {
    let read = reads.iter().find(|read| read.prefix == prefix);
    if let Some(Ok((found, _))) = read.map(|read| &read.live) {
        return Some((found.parent_id.clone(), found.id.clone()));
    }
    let mapped = site.settings.mapped(prefix)?;
    Some((mapped.prefix_id.clone()?, mapped.bgp_prefix_id.clone()?))
}

async fn one(site: &Site, api: &CloudflareClient, order: &Order, spool: &Spool, asked: &Asked) -> Outcome {
    let (prefix, act) = (order.prefix, order.act);
    let clock = || site.now();
    let out = site.out;
    let told = move |text: &str| {
        let line = format!("{act} {prefix}: {}", words::outside(text, words::LONG));
        out.aside(&format!("{}\n", ink(Ink::Faint, &line)));
    };
    let ended = emergency::act(api, order, spool, asked.options.timeout, &clock, &told).await;
    let past = match act {
        Act::Advertise => "advertised",
        Act::Withdraw => "withdrawn",
    };
    let (ended, file) = match ended {
        Ok(ended) => ended,
        Err(error) => {
            let word = match &error {
                EmergencyError::Refuses(_) => ResultWord::Blocked,
                _ => ResultWord::Failed,
            };
            let text = format!("{prefix} was not {past}: {}", cli::trouble::chain(&error));
            return Outcome::of(prefix, word, "emergency.not_sent", &text)
                .remedy("use Cloudflare's dashboard: the daemon will notice and announce it");
        }
    };
    let kept = file.map_or_else(String::new, |file| format!("; recorded in {}", file.display()));
    match ended {
        Ended::Already => Outcome::already(prefix, &format!("{prefix} was {past} already; nothing was sent")),
        Ended::Shown(_) => {
            let text = format!("{prefix} is {past}, read back from Cloudflare, without the database{kept}");
            Outcome::of(prefix, ResultWord::Done, "done", &text)
        }
        Ended::Refused(said) => {
            let text = format!("{prefix} was not {past}: {said}{kept}");
            Outcome::of(prefix, ResultWord::Refused, "refused", &text)
        }
        Ended::NotShown(last) => {
            let text = format!("it is not known whether {prefix} was {past}: {last}{kept}");
            Outcome::of(prefix, ResultWord::Unresolved, "unresolved", &text)
                .remedy("'cloudflare-prefix-manager status' reads it live; look at Cloudflare's dashboard, too")
        }
    }
}

/// Nothing is known but what Cloudflare says.
fn blank() -> Picture {
    Picture {
        entries: Vec::new(),
        answers: Vec::new(),
        holds: Vec::new(),
        alerts: Vec::new(),
        intents: Vec::new(),
        foreign: Vec::new(),
        cool_downs: Default::default(),
        beat: None,
    }
}

/// The targets with their live states, found at Cloudflare alone.
async fn targets(site: &Site, api: &CloudflareClient, asked: &Asked) -> Result<Vec<Read>, Trouble> {
    let wanted: Vec<Prefix> = match asked.target.prefix {
        Some(prefix) => vec![prefix],
        None => listed(site)?,
    };
    let clock = site.clock.clone();
    let live = live::all(api, move || clock.now()).await;
    let is_mapped = |prefix: &Prefix| {
        let mapped = site.settings.mapped(*prefix);
        mapped.is_some_and(|mapped| mapped.prefix_id.is_some() && mapped.bgp_prefix_id.is_some())
    };
    if live.read.is_empty()
        && !wanted.iter().any(is_mapped)
        && let Some(problem) = live.problems().into_iter().next()
    {
        let text = format!("{problem}; nothing was done");
        return Err(Trouble::failed("cloudflare.unavailable", text).remedy("use Cloudflare's dashboard"));
    }
    let mut reads = Vec::new();
    for prefix in wanted {
        let found: Option<&(BgpPrefix, Timestamp)> = live.read.get(&prefix);
        let live = found.cloned().ok_or_else(|| {
            let problems = live.problems();
            if problems.is_empty() {
                format!("Cloudflare does not know {prefix} as a prefix of this account")
            } else {
                problems.join("; ")
            }
        });
        let description = live
            .as_ref()
            .map_or(String::new(), |(found, _)| found.description.clone());
        reads.push(Read {
            prefix,
            description: cli::picture::described(prefix, &description, &site.settings),
            live,
        });
    }
    Ok(reads)
}
