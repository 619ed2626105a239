//! `overrides expire`: what is over its time goes. A timer calls it every few minutes.
//!
//! Must hold: where nothing is over its time nobody is asked and nothing is written; an override is deleted as by hand, with
//! backup and record, and people are told; what cannot be deleted for long is told once, because until then a part of the
//! traffic is treated as was meant for a while only.

use std::time::Duration;

use cf_api::rest::rulesets::Rule;
use cf_api::rest::rulesets_changes::RulesetChange;
use cli::{Out, Trouble, words};
use db::rule_changes::{self, Expiry};
use domain::notice::{Facts, Notice, Priority};
use domain::time::since;
use rules::desk::{By, Desk, Done};

use crate::args::Sure;
use crate::monitoring::{stopped, told};
use crate::overrides::name_of;
use crate::source::{Source, by, confirm, trouble};

/// Several runs of the timer; what fails for longer will not mend itself.
const TOLD_AFTER: Duration = Duration::from_secs(30 * 60);

/// Deletes them.
///
/// # Errors
/// Why not, or not all.
pub async fn run(source: &Source, out: Out, sure: &Sure) -> Result<u8, Trouble> {
    let over = over(source).await?;
    if over.is_empty() {
        out.aside("no override is over its time\n");
        return told(out, &[]);
    }
    let desk = source.desk()?;
    let ended = delete(&desk, out, &over, sure).await;
    if let Err(trouble) = &ended
        && trouble.exit == daemon::exit::FAILURE
    {
        late(&desk, &over, &trouble.text).await?;
    }
    told(out, &ended?)
}

/// What is over its time, without asking Cloudflare.
async fn over(source: &Source) -> Result<Vec<Expiry>, Trouble> {
    let now = source.now();
    let mut known: Vec<Expiry> = source
        .stored("until when overrides stand could not be read", rule_changes::expiries)
        .await?;
    known.retain(|it| it.expires_at <= now);
    Ok(known)
}

async fn delete(
    desk: &Desk,
    out: Out,
    over: &[Expiry],
    sure: &Sure,
) -> Result<Vec<(Done, &'static str, String)>, Trouble> {
    let (_, mut point) = desk.read_ddos().await.map_err(trouble)?;
    let by = by(sure).await;
    let mut there: Vec<(Expiry, Rule)> = Vec::new();
    for it in over {
        match point.rules().iter().find(|rule| rule.id == it.rule_id) {
            Some(rule) => there.push((it.clone(), rule.clone())),
            // Somebody was faster.
            None => desk.set_end(&by, &it.rule_id, &it.name, None).await.map_err(trouble)?,
        }
    }
    let names: Vec<String> = there
        .iter()
        .map(|(_, rule)| words::outside(&name_of(rule), 60))
        .collect();
    if names.is_empty() {
        out.aside("what is over its time is not there any more\n");
        return Ok(Vec::new());
    }
    confirm(out, sure, &format!("Delete {}?", names.join(", "))).await?;
    let mut done = Vec::new();
    for (end, rule) in there {
        let change = RulesetChange::Delete { id: rule.id.clone() };
        let name = name_of(&rule);
        let one = match desk.change_ddos(&by, &point, &change, &name).await {
            Ok(one) => one,
            Err(error) => return Err(stopped(out, &done, trouble(error))),
        };
        point = one.entry_point.clone().unwrap_or(point);
        announce(desk, &by, &end, &name, one.change).await?;
        done.push((one, "deleted", name));
    }
    Ok(done)
}

/// The end is forgotten, and people are told, together.
async fn announce(desk: &Desk, by: &By, end: &Expiry, name: &str, change: i64) -> Result<(), Trouble> {
    let facts = Facts::Raised {
        title: format!("Override {} was deleted", words::outside(name, 80)),
        text: format!(
            "Its time was over: it was meant to stand until {}, as {} said. 'cloudflare-rules-manager undo {change}' brings it \
             back.",
            words::stamp(end.expires_at),
            words::outside(&end.actor, 80)
        ),
        priority: Priority::Info,
    };
    desk.set_end(by, &end.rule_id, name, None).await.map_err(trouble)?;
    let now = desk.now();
    let told = desk.db().write("override end told", move |tx| {
        db::outbox::enqueue(tx, &Notice::about(facts), now).map(drop)
    });
    told.await
        .map_err(|error| Trouble::database("the override was deleted, but nobody is told", &error))
}

/// Tells people once of each override that stands for long although its time is over.
async fn late(desk: &Desk, over: &[Expiry], because: &str) -> Result<(), Trouble> {
    let now = desk.now();
    let late: Vec<Expiry> = over
        .iter()
        .filter(|it| since(now, it.expires_at) >= TOLD_AFTER)
        .cloned()
        .collect();
    if late.is_empty() {
        return Ok(());
    }
    let because = words::outside(because, 400);
    let told = desk.db().write("override late", move |tx| {
        for it in late {
            let (mark, until) = (format!("override_late:{}", it.rule_id), it.expires_at.to_string());
            if db::leases::fact(tx, &mark)?.as_deref() == Some(until.as_str()) {
                continue;
            }
            db::leases::set_fact(tx, &mark, &until, now)?;
            db::outbox::enqueue(tx, &Notice::about(overdue(&it, &because)), now)?;
        }
        Ok(())
    });
    told.await
        .map_err(|error| Trouble::database("it could not be stored that overrides stand too long", &error))
}

fn overdue(it: &Expiry, because: &str) -> Facts {
    Facts::Raised {
        title: format!(
            "Override {} stands although its time is over",
            words::outside(&it.name, 80)
        ),
        text: format!(
            "It was meant to stand until {} and cannot be deleted: {because}. It is tried again every few minutes; \
             'cloudflare-rules-manager overrides delete {}' does it by hand.",
            words::stamp(it.expires_at),
            it.rule_id
        ),
        priority: Priority::High,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_stands_too_long_says_until_when_and_what_to_do() {
        let at: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let it = Expiry {
            rule_id: "0a".repeat(16),
            name: "resolver".into(),
            expires_at: at,
            actor: "ana@noc".into(),
        };
        let Facts::Raised { title, text, priority } = overdue(&it, "HTTP 503") else {
            panic!("another kind");
        };
        assert_eq!(title, "Override resolver stands although its time is over");
        assert!(
            text.contains("01/12/2026") && text.contains("HTTP 503") && text.contains(&it.rule_id),
            "{text}"
        );
        assert_eq!(priority, Priority::High);
    }
}
