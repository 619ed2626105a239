//! The hops in their order, and those inside this installation. Every wait has a limit; every hop says what it saw.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use cli::life::{Life, Service, UNITS};
use cli::words::{self, age, clock};
use db::incidents::Line;
use domain::decision::Mode;
use domain::ids::{DeliveryId, EventId, IncidentId};
use domain::time::{plus, since};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::chat::{self, MOST_SKEW};
use super::hop::Outcome;
use super::{Drill, rehearsed};
use crate::desk::audit;
use crate::notifications::wait_for;
use crate::receiver::{self, Marked};

/// What the receiver must not accept.
const WRONG_SECRET: &str = "a-fire-drill-tries-the-wrong-secret";
/// What was acknowledged is in the file already; this is for a disk that is slow.
const STORED_WITHIN: Duration = Duration::from_secs(5);
/// A message that waits for longer has nobody who sends it.
const WAITS_TOO_LONG: Duration = Duration::from_secs(600);
/// How often something that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Answers of the automation may be this much older than its interval says.
const ANSWER_SLACK: Duration = Duration::from_secs(60);

/// What a step does.
type Go = for<'a, 'b> fn(&'a mut Drill<'b>) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// How long it should take at most.
    pub target: Duration,
    /// Steps that must have worked before.
    pub needs: &'static [&'static str],
    /// What it does.
    pub go: Go,
}

const fn step(name: &'static str, seconds: u64, needs: &'static [&'static str], go: Go) -> Step {
    Step {
        name,
        target: Duration::from_secs(seconds),
        needs,
        go,
    }
}

/// All of them in their order.
pub const STEPS: [Step; 11] = [
    step("services", 2, &[], |drill| Box::pin(services(drill))),
    step("receiver", 1, &[], |drill| Box::pin(receiver(drill))),
    step("wrong secret", 2, &["receiver"], |drill| Box::pin(wrong_secret(drill))),
    step("delivery", 2, &["receiver"], |drill| Box::pin(delivery(drill))),
    step("record", 2, &["delivery"], |drill| Box::pin(record(drill))),
    step("decision", 1, &[], |drill| Box::pin(decision(drill))),
    step("bot", 5, &[], |drill| Box::pin(chat::bot(drill))),
    step("message", 20, &["record"], |drill| Box::pin(message(drill))),
    step("test chat", 5, &["bot"], |drill| Box::pin(chat::message(drill))),
    step("acknowledgement", 600, &["record"], |drill| {
        Box::pin(acknowledgement(drill))
    }),
    step("end", 5, &["record"], |drill| Box::pin(end(drill))),
];

fn broken(text: impl Into<String>, remedy: impl Into<String>) -> Outcome {
    Outcome::Broken(text.into(), remedy.into())
}

/// Everything lives: signs of life, who may act, answers of the automation, messages that wait.
async fn services(drill: &mut Drill<'_>) -> Outcome {
    let settings = &drill.desk.settings;
    let found = drill.desk.read("signs of life cannot be read", |tx| {
        let actor = db::leases::get(tx, "autowithdraw")?;
        let answers = db::decisions::current(tx)?;
        Ok((db::heartbeats::all(tx)?, actor, answers, db::outbox::depth(tx)?))
    });
    let (beats, actor, answers, outbox) = match found.await {
        Ok(found) => found,
        Err(trouble) => return trouble.into(),
    };
    let now = drill.desk.now();
    let remedy = "systemctl status 'cloudflare-*', and their journals";
    for unit in UNITS {
        let beat = beats.iter().find(|beat| beat.service == unit);
        let service = Service::of(unit, beat, now);
        if !service.life.is_there() {
            return broken(service.absence(now), remedy);
        }
        if service.life == Life::Failing {
            return broken(format!("{unit} says that it does not work: {}", service.doing), remedy);
        }
        if beat.is_some_and(|beat| since(beat.beat_at, now) > MOST_SKEW) {
            let text = format!("{unit} was last seen in the future: a clock is wrong, here or where it runs");
            return broken(text, "synchronise the clock: timedatectl, chronyc tracking");
        }
    }
    let own = &settings.autowithdraw;
    if super::rehearsed::mode(settings) != Mode::Paused {
        if actor.is_none() {
            let text = "no process holds the right to withdraw: the automation does not act";
            return broken(
                text,
                "systemctl restart cloudflare-autowithdraw, and look at its journal",
            );
        }
        let oldest = own.check_interval * 3 + ANSWER_SLACK;
        for prefix in settings.managed_prefixes() {
            let answer = answers.iter().find(|answer| answer.prefix == prefix);
            match answer.map(|answer| answer.at) {
                None => return broken(format!("the automation has never answered for {prefix}"), remedy),
                Some(at) if since(now, at) > oldest => {
                    let text = format!("the automation's last answer for {prefix} is {} old", age(at, now));
                    return broken(text, remedy);
                }
                Some(_) => {}
            }
        }
    }
    match outbox.oldest_queued_at {
        Some(oldest) if since(now, oldest) > WAITS_TOO_LONG => broken(
            format!(
                "a message waits since {} to be sent: nobody is told of anything",
                age(oldest, now)
            ),
            "'cloudflare-mt notifications list' says why",
        ),
        _ => Outcome::Good(format!("{} services are there, nothing is stuck", UNITS.len())),
    }
}

/// The receiver answers, and says that it can store.
async fn receiver(drill: &mut Drill<'_>) -> Outcome {
    let url = match &drill.asked.url {
        Some(url) => url.clone(),
        None => match receiver::address(drill.desk.settings.webhook.listen) {
            Ok(url) => url,
            Err(trouble) => return trouble.into(),
        },
    };
    let health = match url.split_once("/webhook/") {
        Some((base, _)) => format!("{base}/health"),
        None => format!("{}/health", url.trim_end_matches('/')),
    };
    drill.url = url;
    let remedy = "is cloudflare-webhook running? 'cloudflare-mt health' and its journal tell";
    match receiver::ask(&health, None, drill.asked.timeout).await {
        Err(why) => broken(format!("the receiver does not answer: {why}"), remedy),
        Ok((_, document)) if document["service"] != cli::life::WEBHOOK => {
            broken("something else than the receiver answers at its address", remedy)
        }
        Ok((_, document)) => match document["status"].as_str() {
            Some("ok") => Outcome::Good("it answers and can store".to_owned()),
            Some("degraded") => Outcome::Good("it answers and takes alerts, with less than it should have".to_owned()),
            _ => broken("the receiver says that it does not work", remedy),
        },
    }
}

/// An alert with another secret must not be taken.
async fn wrong_secret(drill: &mut Drill<'_>) -> Outcome {
    let body = alert(drill, "ALERT_STATE_EVENT_START", "wrong-secret");
    match receiver::ask(&drill.url, Some((Some(WRONG_SECRET), &body)), drill.asked.timeout).await {
        Ok((401 | 403, _)) => Outcome::Good("an alert with a wrong secret is refused".to_owned()),
        Ok((status, _)) if (200..300).contains(&status) => broken(
            "the receiver takes alerts with a wrong secret: anybody who reaches it can make attacks up",
            "set cloudflare.webhook_secret, restart cloudflare-webhook, and look for what stands in between",
        ),
        Ok((status, _)) => broken(
            format!("an alert with a wrong secret is answered with HTTP {status}, not refused"),
            "what answers there is not a receiver that works; see its journal",
        ),
        Err(why) => broken(format!("the receiver does not answer: {why}"), "see its journal"),
    }
}

/// The marked alert with the real secret.
async fn delivery(drill: &mut Drill<'_>) -> Outcome {
    let body = alert(drill, "ALERT_STATE_EVENT_START", &drill.attack);
    match deliver(drill, &body).await {
        Ok(delivery) => {
            drill.delivery = Some(delivery);
            Outcome::Good(format!("stored as delivery {delivery}"))
        }
        Err(outcome) => outcome,
    }
}

async fn deliver(drill: &Drill<'_>, body: &Value) -> Result<DeliveryId, Outcome> {
    let Some(secret) = drill.desk.settings.cloudflare.webhook_secret.first() else {
        return Err(broken("no secret is configured", "set cloudflare.webhook_secret"));
    };
    match receiver::ask(
        &drill.url,
        Some((Some(secret.expose_secret()), body)),
        drill.asked.timeout,
    )
    .await
    {
        Err(why) => Err(broken(
            format!("the receiver does not answer: {why}"),
            "is cloudflare-webhook running? see its journal",
        )),
        Ok((401 | 403, _)) => Err(broken(
            "the receiver refuses the configured secret, or this host",
            "restart cloudflare-webhook if cloudflare.webhook_secret was changed; is this host in webhook.allowed_sources?",
        )),
        Ok((503, _)) => Err(broken(
            "the receiver cannot store: alerts are being lost",
            "'cloudflare-mt db check', free space, and its journal",
        )),
        Ok((200, answer)) => match answer["delivery"].as_i64() {
            Some(id) => Ok(DeliveryId(id)),
            None => Err(broken(
                "the answer names no delivery: what answers there is not our receiver",
                "what listens at webhook.listen?",
            )),
        },
        Ok((status, _)) => Err(broken(format!("the receiver answers HTTP {status}"), "see its journal")),
    }
}

/// Event, incident and message that the receiver made in one transaction.
async fn record(drill: &mut Drill<'_>) -> Outcome {
    let desk = drill.desk;
    let Some(delivery) = drill.delivery else {
        return broken("there is no delivery", "");
    };
    let db = match desk.reading() {
        Ok(db) => db,
        Err(trouble) => return trouble.into(),
    };
    let deadline = plus(desk.now(), STORED_WITHIN);
    let found = loop {
        let look = db.read("drill", move |tx| {
            let Some(id) = db::trace::events_of_delivery(tx, delivery)?.into_iter().next() else {
                return Ok(None);
            };
            let Some(event) = db::events::get(tx, id)? else {
                return Ok(None);
            };
            let notices = db::trace::of_event(tx, EventId(event.id))?.notifications;
            let incident = match event.incident_id {
                Some(id) => db::incidents::get(tx, IncidentId(id))?,
                None => None,
            };
            Ok(Some((event, incident, notices)))
        });
        match look.await {
            Ok(Some(found)) => break found,
            Ok(None) if desk.now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
            Ok(None) => {
                let path = desk.settings.database.path.display();
                let remedy = "does the receiver that answered use another database or configuration?";
                return broken(format!("what the receiver stored is not in {path}"), remedy);
            }
            Err(error) => return cli::Trouble::database("what the receiver stored cannot be read", &error).into(),
        }
    };
    let (event, incident, notices) = found;
    let fault = "this is a fault of the program: do not repeat the drill";
    let Some(incident) = incident else {
        return broken(
            format!("event #{} is stored, and joined to no incident", event.id),
            fault,
        );
    };
    if !event.is_test || !incident.is_test {
        return broken(format!("event #{} is stored, and not as a test", event.id), fault);
    }
    if let Some(own) = incident.prefixes.first() {
        return broken(format!("the drill is tied to {own}, which is yours"), fault);
    }
    let Some(notice) = notices.first() else {
        return broken(
            format!("event #{} has no message: nobody would be told", event.id),
            fault,
        );
    };
    (drill.incident, drill.notification) = (Some(incident.id), Some(notice.id));
    Outcome::Good(format!(
        "event #{}, incident {}, message {}",
        event.id, incident.id, notice.id
    ))
}

async fn decision(drill: &mut Drill<'_>) -> Outcome {
    rehearsed::decisions(&drill.desk.settings, drill.prefix, drill.desk.now())
}

/// The message of the alert, sent by a service to the people who read it.
async fn message(drill: &mut Drill<'_>) -> Outcome {
    let Some(id) = drill.notification else {
        return broken("there is no message", "");
    };
    let db = match drill.desk.reading() {
        Ok(db) => db,
        Err(trouble) => return trouble.into(),
    };
    match wait_for(drill.desk, &db, id, drill.asked.timeout).await {
        Ok(fate) if fate.is_sent() => Outcome::Good(format!("sent, marked as a test: {}", fate.words)),
        Ok(fate) => broken(
            format!("message {id} is {}: {}", fate.state, fate.words),
            format!("'cloudflare-mt notifications show {id}' shows every try"),
        ),
        Err(trouble) => trouble.into(),
    }
}

/// A person's acknowledgement, or the drill's own.
async fn acknowledgement(drill: &mut Drill<'_>) -> Outcome {
    let (desk, Some(incident)) = (drill.desk, drill.incident) else {
        return broken("there is no incident", "");
    };
    match drill.asked.person {
        Some(limit) => by_a_person(drill, incident, limit).await,
        None => {
            let now = desk.now();
            let actor = cli::actor::of_this_process().await;
            let by = actor.clone();
            let stored = desk.write("the acknowledgement was not stored", move |tx| {
                db::incidents::acknowledge(tx, incident, &by, now)?;
                let line = Line {
                    at: now,
                    kind: "acknowledged".to_owned(),
                    text: "Acknowledged by a fire drill".to_owned(),
                    source: crate::PROGRAM.to_owned(),
                    actor: Some(by.clone()),
                    reference: None,
                };
                db::incidents::note(tx, incident, &line, now)?;
                audit(tx, &by, ("incident.acknowledge", &incident.to_string()), None, now)
            });
            if let Err(trouble) = stored.await {
                return trouble.into();
            }
            match read_incident(desk, incident).await {
                Ok(Some(read)) if read.acknowledged_by.as_deref() == Some(actor.as_str()) => {
                    Outcome::Good("stored, by the drill itself (--person waits for somebody)".to_owned())
                }
                Ok(_) => broken("the acknowledgement does not stay", "'cloudflare-mt db check'"),
                Err(outcome) => outcome,
            }
        }
    }
}

async fn by_a_person(drill: &Drill<'_>, incident: IncidentId, limit: Duration) -> Outcome {
    let deadline = plus(drill.desk.now(), limit);
    loop {
        match read_incident(drill.desk, incident).await {
            Ok(Some(read)) => {
                if let Some(by) = read.acknowledged_by {
                    return Outcome::Good(format!("by {}", words::outside(&by, 60)));
                }
            }
            Ok(None) => return broken("the incident is gone", "'cloudflare-mt db check'"),
            Err(outcome) => return outcome,
        }
        let now = drill.desk.now();
        if now >= deadline {
            let text = format!("nobody has acknowledged incident {incident} until {}", clock(now, now));
            return broken(text, "is the chat read, and does everybody on call have an account?");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn read_incident(
    desk: &crate::desk::Desk,
    incident: IncidentId,
) -> Result<Option<db::incidents::Incident>, Outcome> {
    let read = desk.read("the incident cannot be read", move |tx| {
        db::incidents::get(tx, incident)
    });
    read.await.map_err(Outcome::from)
}

/// The attack ends; and nothing was intended about any prefix on account of it.
async fn end(drill: &mut Drill<'_>) -> Outcome {
    let body = alert(drill, "ALERT_STATE_EVENT_END", &drill.attack);
    if let Err(outcome) = deliver(drill, &body).await {
        return outcome;
    }
    let (desk, Some(incident)) = (drill.desk, drill.incident) else {
        return broken("there is no incident", "");
    };
    let deadline = plus(desk.now(), STORED_WITHIN);
    loop {
        match read_incident(desk, incident).await {
            Ok(Some(read)) if read.ended_at.is_some() => break,
            Ok(_) if desk.now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
            Ok(_) => {
                let text = format!("the END alert is stored, and incident {incident} is not over");
                return broken(text, "this is a fault of the program");
            }
            Err(outcome) => return outcome,
        }
    }
    let prefix = drill.prefix;
    let intended = desk.read("the intents cannot be read", move |tx| {
        Ok(db::intents::newest(tx, Some(prefix), 1)?.len())
    });
    match intended.await {
        Ok(0) => Outcome::Good("the incident is over; nothing was intended about any prefix".to_owned()),
        Ok(_) => broken(
            format!("something was intended about {prefix}, which is nobody's"),
            "'cloudflare-mt explain' says by whom: nothing of a drill may lead to an intent",
        ),
        Err(trouble) => trouble.into(),
    }
}

/// Every address in it is of the drill's prefix.
pub fn alert(drill: &Drill<'_>, event: &str, attack: &str) -> Value {
    let marked = Marked {
        title: ("Fire drill", "A fire drill of cloudflare-mt. Nothing is under attack."),
        account: &drill.desk.settings.cloudflare.account_id,
        policy: "cloudflare-mt drill",
        kind: ("dos_attack_l4", event),
        attack: "fire drill",
        attack_id: attack,
        target: Some(drill.prefix.net().addr().to_string()),
    };
    marked.alert(drill.desk.now())
}
