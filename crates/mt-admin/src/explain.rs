//! `explain`: what happened at an event, what came of it, which messages were made of it and why each was sent or not;
//! or, for a prefix, the chain from evidence to next action (which is [`cli::explain`]'s).

use cli::explain::{ActView, acts_table};
use cli::words::{self, clock, stamp};
use cli::{Ink, Table, Trouble, ink};
use daemon::exit;
use db::events::Event;
use db::incidents::{Incident, Line};
use db::outbox::{Attempt, Channel, Copy, Notification};
use db::trace::Delivery;
use db::{DbError, ReadTx};
use domain::ids::{EventId, IncidentId};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;

use crate::args::Subject;
use crate::desk::Desk;
use crate::notifications::{channel_trouble, chat_of, copy_words, why};

/// Lines of a timeline that are shown.
const MOST_LINES: u32 = 200;

/// Explains it.
///
/// # Errors
/// When it is not known, or the database cannot be read.
pub async fn run(desk: &Desk, what: Subject) -> Result<u8, Trouble> {
    match what {
        Subject::Event(event) => of_event(desk, event).await,
        Subject::Prefix(prefix) => of_prefix(desk, prefix).await,
    }
}

async fn of_prefix(desk: &Desk, prefix: Prefix) -> Result<u8, Trouble> {
    let explanation = cli::explain::prefix(&desk.reading()?, &desk.settings, prefix, desk.now()).await?;
    if desk.out.is_json() {
        desk.out.document(&explanation)?;
    } else {
        desk.out.text(&explanation.text(desk.out.screen()))?;
    }
    Ok(exit::DONE)
}

/// A message with its tries and why it stands as it does.
#[derive(Debug, Serialize)]
struct NoticeView {
    notification: Notification,
    why: String,
    /// What became of it at other channels.
    copies: Vec<Copy>,
    attempts: Vec<Attempt>,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Explained {
    schema: &'static str,
    at: Timestamp,
    event: Event,
    /// The delivery it came from.
    delivery: Option<Delivery>,
    incident: Option<Incident>,
    timeline: Vec<Line>,
    /// The act it records.
    act: Option<ActView>,
    notices: Vec<NoticeView>,
    /// What holds up everything that is sent.
    channel: Option<Channel>,
}

async fn of_event(desk: &Desk, id: EventId) -> Result<u8, Trouble> {
    let (now, chat) = (desk.now(), chat_of(&desk.settings));
    let found = desk
        .read("the event cannot be explained", move |tx| {
            find(tx, id, chat.as_deref(), now)
        })
        .await?;
    let explained = found.ok_or_else(|| {
        let remedy = "messages carry the number of their event; 'cloudflare-mt db query' can search attack_events";
        Trouble::failed("event.unknown", format!("there is no event #{id}")).remedy(remedy)
    })?;
    if desk.out.is_json() {
        desk.out.document(&explained)?;
    } else {
        desk.out.text(&text(&explained, desk))?;
    }
    Ok(exit::DONE)
}

fn find(tx: &ReadTx<'_>, id: EventId, chat: Option<&str>, now: Timestamp) -> Result<Option<Explained>, DbError> {
    let Some(event) = db::events::get(tx, id)? else {
        return Ok(None);
    };
    let trace = db::trace::of_event(tx, id)?;
    let incident = match event.incident_id.map(IncidentId) {
        Some(id) => db::incidents::get(tx, id)?,
        None => None,
    };
    let timeline = match &incident {
        Some(incident) => db::incidents::timeline(tx, incident.id, MOST_LINES)?,
        None => Vec::new(),
    };
    let act = match trace.intent {
        Some(id) => match db::intents::get(tx, id)? {
            Some(intent) => Some(ActView {
                attempts: db::intents::attempts(tx, id)?,
                intent,
            }),
            None => None,
        },
        None => None,
    };
    let mut notices = Vec::new();
    for notification in trace.notifications {
        notices.push(NoticeView {
            why: why(&notification),
            attempts: db::outbox::attempts(tx, notification.id, MOST_LINES)?,
            copies: db::outbox::copies(tx, notification.id)?,
            notification,
        });
    }
    let channel = chat.map(|chat| db::outbox::channel(tx, chat)).transpose()?;
    Ok(Some(Explained {
        schema: "cloudflare-mt/explain-event/1",
        at: now,
        event,
        delivery: trace.delivery,
        incident,
        timeline,
        act,
        notices,
        channel: channel.filter(|channel| *channel != Channel::default()),
    }))
}

fn text(explained: &Explained, desk: &Desk) -> String {
    let (screen, now) = (desk.out.screen(), explained.at);
    let heading = |words: &str| format!("\n{}\n", ink(Ink::Strong, words));
    let event = &explained.event;
    let title = format!("Event #{}", event.id);
    let mut text = format!("{}\n", ink(Ink::Strong, &title));
    text.push_str(&cli::table::fields(
        &event_fields(event, explained.delivery.as_ref(), now),
        screen,
    ));
    if let Some(act) = &explained.act {
        text.push_str(&heading("The act it records"));
        text.push_str(&acts_table(std::slice::from_ref(act), screen));
        let mut table = Table::new(&["WHEN (UTC)", "STEP", "CLASS", "WORDS"]);
        for attempt in &act.attempts {
            let words = words::outside(&attempt.words, words::LONG);
            table.row([stamp(attempt.at), attempt.step.clone(), attempt.class.clone(), words]);
        }
        text.push_str(&table.render(screen));
    }
    text.push_str(&heading("Messages about it"));
    if explained.notices.is_empty() {
        text.push_str("none: no message is made of this kind of event\n");
    }
    let mut table = Table::new(&["NO", "KIND", "PRIORITY", "STATE", "WHY"]);
    for notice in &explained.notices {
        let row = &notice.notification;
        let (kind, state) = (words::outside(&row.kind, 40), words::outside(&row.state, 20));
        table.row([
            row.id.to_string(),
            kind,
            row.priority.as_str().to_owned(),
            state,
            notice.why.clone(),
        ]);
    }
    text.push_str(&table.render(screen));
    for notice in &explained.notices {
        for copy in &notice.copies {
            let (channel, fate) = copy_words(copy);
            text.push_str(&format!("message {} by {channel}: {fate}\n", notice.notification.id));
        }
        if !notice.attempts.is_empty() {
            text.push_str(&format!("tries of message {}:\n", notice.notification.id));
            text.push_str(&crate::notifications::attempts_table(&notice.attempts, desk));
        }
    }
    if let Some(trouble) = explained
        .channel
        .as_ref()
        .and_then(|channel| channel_trouble(channel, now))
    {
        text.push_str(&format!("{}\n", ink(Ink::Warn, &trouble)));
    }
    if let Some(incident) = &explained.incident {
        text.push_str(&heading(&format!("Incident {}", incident.id)));
        text.push_str(&cli::table::fields(&incident_fields(incident, now), screen));
        let mut table = Table::new(&["WHEN (UTC)", "WHAT", "BY"]);
        for line in &explained.timeline {
            let by = line.actor.as_deref().unwrap_or(&line.source);
            table.row([
                stamp(line.at),
                words::outside(&line.text, words::LONG),
                words::outside(by, 60),
            ]);
        }
        text.push_str(&table.render(screen));
    }
    text
}

fn event_fields(event: &Event, delivery: Option<&Delivery>, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    let mut say = |name: &'static str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            fields.push((name, words::outside(&value, words::LONG)));
        }
    };
    let kind = event.alert_type.as_deref().unwrap_or("-");
    let marked = if event.is_test { " (a marked test)" } else { "" };
    say("what", Some(format!("{} {kind}{marked}", event.event_type)));
    say("prefix", event.prefix.clone());
    let target = event.target_ip.as_ref().map(|target| match event.target_port {
        Some(port) => format!("{target} port {port}"),
        None => target.clone(),
    });
    say("target", target);
    say("vector", event.attack_vector.clone());
    say("protocol", event.protocol.clone());
    let rate: Vec<String> = [
        event.packets_per_second.as_ref().map(|rate| format!("{rate} pps")),
        event.megabits_per_second.as_ref().map(|rate| format!("{rate} Mbps")),
    ]
    .into_iter()
    .flatten()
    .collect();
    say("rate", Some(rate.join(", ")));
    say("severity", event.severity.clone());
    say("policy", event.policy_name.clone());
    say("attack id", event.attack_id.clone());
    say("action", event.action_taken.clone());
    say("by", event.actor.clone());
    say("sender's time", event.event_time.map(|at| format!("{} UTC", stamp(at))));
    say("recorded", event.created_at.map(|at| format!("{} UTC", stamp(at))));
    if let Some(delivery) = delivery {
        let from = delivery.source_ip.as_deref().unwrap_or("an unknown address");
        say(
            "delivery",
            Some(format!(
                "{} from {from} at {} UTC",
                delivery.id,
                stamp(delivery.received_at)
            )),
        );
        if delivery.duplicates > 0 {
            let last = delivery
                .last_duplicate_at
                .map_or_else(String::new, |at| format!(", last {}", clock(at, now)));
            say(
                "came again",
                Some(format!(
                    "{}{last}; counted, not processed again",
                    words::counted(
                        usize::try_from(delivery.duplicates).unwrap_or(usize::MAX),
                        "time",
                        "times"
                    )
                )),
            );
        }
        if delivery.unresolved {
            say("prefixes", Some("it could not be tied to prefixes of ours".to_owned()));
        }
        say("unreadable in it", delivery.problem.clone());
    }
    fields
}

fn incident_fields(incident: &Incident, now: Timestamp) -> Vec<(&'static str, String)> {
    let prefixes: Vec<String> = incident.prefixes.iter().map(ToString::to_string).collect();
    let mut fields = vec![
        ("title", words::outside(&incident.title, 100)),
        ("prefixes", prefixes.join(", ")),
        ("began", clock(incident.began_at, now)),
    ];
    match incident.ended_at {
        Some(at) => fields.push(("ended", format!("{}, says Cloudflare", clock(at, now)))),
        None => fields.push(("last sign", clock(incident.last_sign_at, now))),
    }
    if let Some(at) = incident.withdrawn_at {
        fields.push(("withdrawn", clock(at, now)));
    }
    fields
}
