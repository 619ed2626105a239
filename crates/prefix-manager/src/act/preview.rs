//! What acting on a prefix means, in numbers, before anybody is asked; and what forbids it.

use std::collections::BTreeMap;
use std::time::Duration;

use cli::picture::Picture;
use cli::standing::{HoldView, WITHDRAWAL_SPREADS};
use cli::words::{age, clock};
use cli::{Ink, Trouble, ink, words};
use db::Db;
use db::incidents::Incident;
use domain::bgp::{BgpPrefix, NotControllable};
use domain::decision::Verdict as Answer;
use domain::duration::human;
use domain::intent::{Act, IntentState};
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;

use super::attack::Danger;
use super::targets::Read;
use crate::site::Site;

/// Time that Cloudflare wants between opposite changes of a prefix, as operators have met it; it is not documented.
const COOL_DOWN: Duration = Duration::from_secs(15 * 60);

/// Whether the act may be tried.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Yes.
    Go,
    /// It is so already.
    Nothing(String),
    /// A rule forbids it.
    Blocked(Trouble),
    /// It cannot be told whether it may.
    Failed(Trouble),
}

/// The preview of one prefix.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The prefix.
    pub prefix: Prefix,
    /// What it is called.
    pub description: String,
    /// Whether to go on.
    pub verdict: Verdict,
    /// Whether it is under attack; only for withdrawals of what is advertised.
    pub danger: Option<Danger>,
    lines: Vec<(&'static str, String)>,
}

/// Our estimate of the cool-down. Where automation itself waits a shorter time (a demonstration in fast motion), so
/// does this.
fn cool_down(site: &Site) -> Duration {
    COOL_DOWN.min(site.settings.autowithdraw.min_advertised)
}

/// Looks at one prefix.
pub fn of(
    act: Act,
    read: &Read,
    danger: Option<&Danger>,
    picture: &Picture,
    site: &Site,
    force: bool,
    now: Timestamp,
) -> Preview {
    let mut preview = Preview {
        prefix: read.prefix,
        description: words::outside(&read.description, 60),
        verdict: Verdict::Go,
        danger: danger.cloned(),
        lines: Vec::new(),
    };
    match &read.live {
        Ok((found, _)) => {
            preview.say("at Cloudflare", flag(found, now));
            let changed = found.state.advertised_modified_at;
            let elapsed = changed.map(|changed| domain::time::since(now, changed));
            if found.state.advertised != Some(act.wanted())
                && let Some(advice) = elapsed.and_then(|elapsed| picture.cool_downs.of(act).advice(elapsed))
            {
                preview.say("as seen before", ink(Ink::Warn, &advice));
            }
            match act {
                Act::Advertise => advertise(&mut preview, found, picture, site, now),
                Act::Withdraw => withdraw(&mut preview, found, picture, site, force, now),
            }
        }
        Err(error) => {
            let error = words::outside(error, words::LONG);
            preview.say("at Cloudflare", ink(Ink::Warn, &format!("unknown: {error}")));
            if act == Act::Withdraw {
                // What is not known cannot be weighed.
                let text = format!(
                    "{} was not withdrawn: its live state could not be read: {error}",
                    read.prefix
                );
                preview.verdict = Verdict::Failed(Trouble::failed("cloudflare.unavailable", text));
            } else {
                advertise_consequence(&mut preview, picture, site);
            }
        }
    }
    preview
}

impl Preview {
    fn say(&mut self, what: &'static str, text: String) {
        self.lines.push((what, text));
    }

    fn block(&mut self, code: &str, text: String, remedy: Option<String>) {
        // The first thing that forbids it is told.
        if self.verdict == Verdict::Go {
            let trouble = Trouble::blocked(code, text);
            self.verdict = Verdict::Blocked(Trouble { remedy, ..trouble });
        }
    }
}

fn flag(found: &BgpPrefix, now: Timestamp) -> String {
    let since = found.state.advertised_modified_at.map_or_else(
        || ", since when is not said".to_owned(),
        |at| format!(" since {} ({})", clock(at, now), age(at, now)),
    );
    match found.state.advertised {
        Some(true) => format!("advertised{since}"),
        Some(false) => format!("withdrawn{since}"),
        None => "Cloudflare does not say whether it is advertised".to_owned(),
    }
}

fn advertise(preview: &mut Preview, found: &BgpPrefix, picture: &Picture, site: &Site, now: Timestamp) {
    if let Some(why) = found.state.refuses_control() {
        let text = format!("Cloudflare is going to refuse: {}", why.explain());
        preview.say("warning", ink(Ink::Warn, &text));
    }
    if let (Some(false), Some(changed)) = (found.state.advertised, found.state.advertised_modified_at) {
        let until = plus(changed, cool_down(site));
        if now < until {
            let text = format!(
                "withdrawn only {} ago: Cloudflare may refuse until about {}; it is tried all the same",
                age(changed, now),
                clock(until, now)
            );
            preview.say("warning", ink(Ink::Warn, &text));
        }
    }
    if found.state.advertised == Some(true) {
        preview.say(
            "consequence",
            "it is advertised already; unsent withdrawals of it are cancelled".to_owned(),
        );
        return;
    }
    advertise_consequence(preview, picture, site);
}

fn advertise_consequence(preview: &mut Preview, picture: &Picture, site: &Site) {
    let prefix = preview.prefix;
    preview.say(
        "consequence",
        "Cloudflare announces it and scrubs its traffic; it takes 2 to 7 minutes until all traffic comes that way"
            .to_owned(),
    );
    let unsent = picture.intents.iter().filter(|intent| {
        intent.prefix == prefix && intent.act == Act::Withdraw && intent.state == IntentState::Planned
    });
    let unsent = unsent.count();
    if unsent > 0 {
        let count = words::counted(unsent, "unsent withdrawal", "unsent withdrawals");
        preview.say("cancels", format!("{count} of it"));
    }
    let held = domain::hold::in_force(&picture.holds, prefix, site.now()).is_some();
    let after = if !site.settings.managed_prefixes().contains(&prefix) {
        "it stays advertised until somebody withdraws it: automation does not manage it"
    } else if held {
        "it stays advertised while it is held"
    } else {
        "automation withdraws it again once calm is proven; hold it if that is not wanted"
    };
    preview.say("afterwards", after.to_owned());
}

fn withdraw(preview: &mut Preview, found: &BgpPrefix, picture: &Picture, site: &Site, force: bool, now: Timestamp) {
    let prefix = found.prefix;
    if found.state.advertised == Some(false) {
        preview.verdict = Verdict::Nothing(format!("{prefix} is withdrawn already; nothing was sent"));
        return;
    }
    say_danger(preview, picture, site, now);
    if let Some(why) = found.state.refuses_control() {
        let code = match why {
            NotControllable::Locked => "prefix.locked",
            NotControllable::NotOnDemand => "prefix.not_on_demand",
            NotControllable::BgpSignalled => "prefix.bgp_signalled",
        };
        let text = format!("{prefix} cannot be withdrawn: {}", why.explain());
        preview.block(
            code,
            text,
            Some("only Cloudflare can change that; ask its support".to_owned()),
        );
    }
    match found
        .state
        .advertised_modified_at
        .filter(|_| found.state.advertised == Some(true))
    {
        None => preview.block(
            "prefix.epoch_unknown",
            format!("{prefix} cannot be withdrawn: Cloudflare does not say since when it is advertised"),
            None,
        ),
        Some(changed) => {
            let until = plus(changed, cool_down(site));
            if now < until {
                let text = format!(
                    "{prefix} was advertised only {} ago; Cloudflare wants {} between changes, so not before {}",
                    age(changed, now),
                    human(cool_down(site)),
                    clock(until, now)
                );
                if force {
                    preview.say(
                        "warning",
                        ink(Ink::Warn, &format!("{text}; --force tries it all the same")),
                    );
                } else {
                    let remedy = "wait, or add --force: then Cloudflare's answer decides";
                    preview.block("cool_down", text, Some(remedy.to_owned()));
                }
            }
        }
    }
    if let Some(hold) = domain::hold::in_force(&picture.holds, prefix, now) {
        let hold = HoldView::from(hold);
        preview.say("hold", ink(Ink::Warn, &hold.sentence(now)));
        if !force {
            let text = format!("{prefix} was not withdrawn: {}", hold.clause(now));
            preview.block("prefix.held", text, Some("release it first, or add --force".to_owned()));
        }
    }
    preview.say(
        "consequence",
        format!(
            "Cloudflare stops scrubbing it; within about {} all traffic flows natively, attacks included; \
             it may be impossible to advertise it again for about {}",
            human(WITHDRAWAL_SPREADS),
            human(cool_down(site))
        ),
    );
    if site.settings.autowithdraw.direct_route(prefix).is_none() {
        let text = "nobody has stated one for it: make sure that your routers announce it";
        preview.say("direct route", ink(Ink::Warn, text));
    }
}

fn say_danger(preview: &mut Preview, picture: &Picture, site: &Site, now: Timestamp) {
    let lookback = site.settings.autowithdraw.attack_lookback;
    let rate = preview.danger.as_ref().and_then(|danger| danger.rate(lookback));
    let rate = rate.map_or_else(String::new, |rate| format!("; {rate}"));
    let attack = match &preview.danger {
        Some(Danger::Attack { because, .. }) => ink(Ink::Attack, "UNDER ATTACK") + &format!(": {because}{rate}"),
        Some(Danger::Quiet { settled_until, .. }) => {
            let until = settled_until.map_or_else(String::new, |at| format!(" until {}", clock(at, now)));
            format!("none in the data that is complete{until}{rate}")
        }
        Some(Danger::Unknown { because, .. }) => {
            ink(Ink::Warn, "UNKNOWN") + &format!(": {}{rate}", words::outside(because, words::LONG))
        }
        None => ink(Ink::Warn, "UNKNOWN"),
    };
    preview.say("attack", attack);
    let daemon = picture.daemon(now);
    let says = match picture.answer(preview.prefix) {
        None => format!("has not judged it ({})", daemon.absence(now)),
        Some(answer) if !daemon.life.is_there() => {
            format!(
                "said '{}' {} ago; {}",
                answer.decision.verdict.key(),
                age(answer.at, now),
                daemon.absence(now)
            )
        }
        Some(answer) => {
            let decision = &answer.decision;
            let calm = match (&decision.verdict, &decision.state.calm) {
                (Answer::Calm { .. } | Answer::Blocked { .. } | Answer::Withdraw, Some(track)) => format!(
                    "calm since {}, {} of {} proven; ",
                    clock(track.calm_since, now),
                    human(track.proven()),
                    human(decision.calm_period)
                ),
                _ => String::new(),
            };
            let next = &decision.next;
            let when = next
                .not_before
                .map_or_else(String::new, |at| format!(" not before {}", clock(at, now)));
            let because = words::outside(&next.because(), words::LONG);
            format!(
                "{calm}next: {}{when}, because {because} ({} ago)",
                next.action(),
                age(answer.at, now)
            )
        }
    };
    preview.say("daemon", says);
}

/// The open incidents of the prefixes; what cannot be read is left out, because it decides nothing.
pub async fn incidents(db: &Db, previews: &[Preview]) -> BTreeMap<Prefix, Incident> {
    let prefixes: Vec<Prefix> = previews.iter().map(|preview| preview.prefix).collect();
    let read = db.read("incidents", move |tx| {
        let mut found = BTreeMap::new();
        for prefix in prefixes {
            if let Some(id) = db::incidents::current(tx, prefix)?
                && let Some(incident) = db::incidents::get(tx, id)?
            {
                found.insert(prefix, incident);
            }
        }
        Ok(found)
    });
    read.await.unwrap_or_default()
}

/// The previews as text.
pub fn text(
    act: Act,
    previews: &[Preview],
    incidents: &BTreeMap<Prefix, Incident>,
    left_alone: &[Prefix],
    site: &Site,
    now: Timestamp,
) -> String {
    let screen = site.out.aside_screen();
    let mut text = String::new();
    for preview in previews {
        let title = format!("{act} {}", preview.prefix);
        text.push_str(&format!("{}  {}\n", ink(Ink::Strong, &title), preview.description));
        let mut lines = preview.lines.clone();
        if let Some(incident) = incidents.get(&preview.prefix) {
            let end = incident.ended_at.map_or_else(
                || "goes on as far as Cloudflare told".to_owned(),
                |at| format!("ended {}, says Cloudflare", clock(at, now)),
            );
            let title = words::outside(&incident.title, 80);
            let began = clock(incident.began_at, now);
            lines.push(("incident", format!("{}: {title}, began {began}, {end}", incident.id)));
        }
        text.push_str(&cli::table::fields(&lines, screen));
        text.push('\n');
    }
    if !left_alone.is_empty() {
        let names: Vec<String> = left_alone.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "left alone, because nobody listed them: {}\n",
            names.join(", ")
        ));
    }
    text
}
