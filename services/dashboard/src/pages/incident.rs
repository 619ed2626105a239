//! `/incidents/{id}`: one attack from its first sign to the withdrawal.

use std::collections::BTreeSet;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use db::events::Event;
use db::incidents::{self, Duty, Incident, Line};
use db::outbox::Notification;
use db::users::{self, Role};
use db::{events, outbox};
use domain::ids::IncidentId;
use domain::prefix::Prefix;
use domain::time::{minus, plus, since};
use jiff::Timestamp;

use super::curves::{Curves, Happened};
use super::shares::Rankings;
use super::{Shell, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::current;
use crate::overview::log::LogRow;
use crate::overview::prefix::PrefixView;
use crate::overview::state::Tone;
use crate::traffic::{Asked, Window};
use crate::words;

/// Lines of the timeline, messages and deliveries shown. An attack of a day has some dozens.
pub(crate) const MOST_LINES: u32 = 500;
pub(crate) const MOST_MESSAGES: u32 = 200;
pub(crate) const MOST_DELIVERIES: u32 = 50;

/// Of each delivery's body, in characters; all of it is in the API.
const SHOWN_BODY: usize = 6_000;

/// Ordinary traffic that a curve shows before and after the incident.
const AROUND: Duration = Duration::from_secs(600);

/// A curve of an incident that never ended stops here.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

#[derive(Template)]
#[template(path = "incident.html")]
struct Page {
    shell: Shell,
    incident: Incident,
    prefixes: Vec<PrefixView>,
    timeline: Vec<Line>,
    messages: Vec<Notification>,
    deliveries: Vec<Delivery>,
    duty: Option<Duty>,
    /// Accounts that may be given the incident.
    people: Vec<String>,
    consists: Rankings,
    curves: Curves,
    /// Everybody who did something about it.
    actors: Vec<String>,
}

struct Delivery {
    row: LogRow,
    body: Option<String>,
}

/// What is stored about one incident.
pub(crate) struct Stored {
    pub(crate) incident: Incident,
    pub(crate) timeline: Vec<Line>,
    pub(crate) messages: Vec<Notification>,
    pub(crate) events: Vec<Event>,
    pub(crate) duty: Option<Duty>,
}

/// Reads everything about an incident as one moment.
///
/// # Errors
/// 404 when there is no such incident.
pub(crate) async fn stored(app: &App, id: i64) -> Result<Stored, Failure> {
    let id = IncidentId(id);
    let read = move |tx: &db::ReadTx<'_>| {
        let Some(incident) = incidents::get(tx, id)? else {
            return Ok(None);
        };
        // It may have been merged into another one since the link was made.
        let id = incident.id;
        Ok(Some(Stored {
            incident,
            duty: incidents::duty(tx, id)?,
            timeline: incidents::timeline(tx, id, MOST_LINES)?,
            messages: outbox::of_incident(tx, id, MOST_MESSAGES)?,
            events: events::of_incident(tx, id, MOST_DELIVERIES)?,
        }))
    };
    let found = app.db().read("incident", read).await?;
    found.ok_or_else(|| Failure::not_found("There is no such incident."))
}

/// `GET /incidents/{id}`
pub(crate) async fn page(
    State(app): State<App>,
    member: Member,
    asked: Asked,
    Path(id): Path<i64>,
) -> Result<Response, Failure> {
    let overview = main::situation(&app).await?;
    let stored = stored(&app, id).await?;
    let ranked = app.curves().of_incident(&app, stored.incident.id).await?;
    let people = match member.may_operate() {
        true => app.db().read("accounts", operators).await?,
        false => Vec::new(),
    };
    let window = asked
        .own(app.now())
        .unwrap_or_else(|| around(&stored.incident, app.now()));
    let happened = happened(&stored);
    let curves = Curves::of_incident(&app, &stored.incident.prefixes, window, &happened).await;
    let title = format!("Incident {}", stored.incident.id);
    let shell = Shell::over(&app, &member, &overview, &title, "incidents");
    let prefixes = stored
        .incident
        .prefixes
        .iter()
        .filter_map(|prefix| overview.prefix(*prefix))
        .cloned()
        .collect();
    let actors: BTreeSet<String> = stored
        .timeline
        .iter()
        .filter_map(|line| line.actor.as_deref())
        .map(|actor| words::outside_up_to(actor, 40))
        .collect();
    Ok(rendered(&Page {
        shell,
        prefixes,
        people,
        curves,
        consists: Rankings::of(&ranked),
        actors: actors.into_iter().collect(),
        duty: stored.duty,
        incident: stored.incident,
        timeline: stored.timeline,
        messages: stored.messages,
        deliveries: stored.events.iter().map(Delivery::of).collect(),
    }))
}

/// Accounts that may look after an incident.
fn operators(tx: &db::ReadTx<'_>) -> Result<Vec<String>, db::DbError> {
    let accounts = users::all(tx)?;
    let able = accounts
        .into_iter()
        .filter(|user| user.role >= Role::Operator && !user.disabled);
    Ok(able.map(|user| user.name).collect())
}

/// The incident with some time before and after.
fn around(incident: &Incident, now: Timestamp) -> Window {
    let ends = [incident.ended_at, incident.withdrawn_at].into_iter().flatten();
    let end = match incident.ended_at.is_some() || incident.withdrawn_at.is_some() {
        true => ends.fold(incident.last_sign_at, Timestamp::max),
        // Some kinds of alert have no END: what is a day silent is over.
        false if since(now, incident.last_sign_at) > Duration::from_secs(86_400) => incident.last_sign_at,
        false => now,
    };
    let from = minus(incident.began_at, AROUND);
    Window {
        from,
        to: plus(end, AROUND)
            .min(now)
            .clamp(plus(from, AROUND), plus(from, LONGEST)),
        span: None,
    }
}

/// What is marked in the curve: the lines of the timeline that change something.
fn happened(stored: &Stored) -> Happened {
    let marked = |line: &Line| {
        let class = kind_class(&line.kind);
        (class != "other").then(|| (line.at, class, words::outside_up_to(&line.text, 120)))
    };
    stored.timeline.iter().filter_map(marked).collect()
}

/// A class of the style sheet for kinds that are looked for first.
fn kind_class(kind: &str) -> &'static str {
    match kind {
        _ if kind.contains("withdraw") => "withdraw",
        _ if kind.contains("advertis") => "advertise",
        _ if kind.contains("attack") || kind.contains("start") => "start",
        _ if kind.contains("calm") || kind.contains("end") => "end",
        _ => "other",
    }
}

impl Delivery {
    fn of(event: &Event) -> Self {
        let body = event.raw_payload.as_deref().map(|raw| {
            let pretty = serde_json::from_str::<serde_json::Value>(raw)
                .ok()
                .and_then(|value| serde_json::to_string_pretty(&value).ok());
            let text = words::block(pretty.as_deref().unwrap_or(raw));
            match text.char_indices().nth(SHOWN_BODY) {
                Some((end, _)) => format!("{}\n… (cut; GET /api/attacks/{} has all of it)", &text[..end], event.id),
                None => text,
            }
        });
        Self {
            row: LogRow::of(event),
            body,
        }
    }
}

impl Page {
    fn title(&self) -> String {
        current::title(&self.incident)
    }

    fn peak(&self) -> Option<String> {
        words::rates(self.incident.peak_bps, self.incident.peak_pps)
    }

    /// `ongoing`, `ended`, `withdrawn`
    fn state(&self) -> (&'static str, Tone) {
        match (self.incident.withdrawn_at, self.incident.ended_at) {
            (Some(_), _) => ("withdrawn", Tone::Plain),
            (None, Some(_)) => ("ended", Tone::Plain),
            (None, None) => ("ongoing", Tone::Warn),
        }
    }

    fn length(&self) -> String {
        let end = self.incident.ended_at.unwrap_or(self.shell.now);
        words::age(since(end, self.incident.began_at))
    }

    fn kind(&self, line: &Line) -> String {
        self.kind_words(&line.kind)
    }

    fn kind_class(&self, line: &Line) -> &'static str {
        kind_class(&line.kind)
    }

    /// What people wrote, newest first.
    fn notes(&self) -> impl Iterator<Item = &Line> {
        self.timeline.iter().rev().filter(|line| line.kind == "note")
    }

    fn is_mine(&self) -> bool {
        let me = self.shell.person.as_ref().map(|person| person.name.as_str());
        self.duty.as_ref().is_some_and(|duty| Some(duty.person.as_str()) == me)
    }

    fn text(&self, text: &str) -> String {
        words::outside_up_to(text, 1_000)
    }

    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 60)
    }

    fn fate_tone(&self, message: &Notification) -> &'static str {
        match message.state.as_str() {
            "sent" => "good",
            "queued" => "plain",
            "suppressed" => "plain",
            _ => "warn",
        }
    }

    fn anchor(&self, prefix: &Prefix) -> String {
        super::anchor(*prefix)
    }

    fn kind_words(&self, kind: &str) -> String {
        words::outside_up_to(kind, 40).replace('_', " ")
    }

    fn priority(&self, message: &Notification) -> &'static str {
        message.priority.as_str()
    }
}
