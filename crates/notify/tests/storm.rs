//! A thousand events in a minute across ten incidents: who is told first, that the limits hold, and that every event is
//! counted in some message.
//!
//! Time is shortened by a factor: every wait of the sender, the pace's window and gap, and the storm itself. The sender
//! is the real one, with the real database and four drains as four processes have. `in_real_time` is the same at factor
//! one against the simulator's own flood control; it takes minutes and is run on demand.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::bench::{Bench, calm_sim, raised};
use cf_sim::{FaultKind, FaultSpec, SentMessage, SimConfig, Target};
use db::OpenOptions;
use db::outbox::{self, Attempt, Notification, Pace};
use domain::alert::Phase;
use domain::ids::{EventId, IncidentId, NotificationId};
use domain::notice::{Facts, Notice, Priority};
use domain::time::since;
use jiff::Timestamp;
use notify::drain::Limits;

const EVENTS: u32 = 1_000;
const INCIDENTS: u32 = 10;

struct Storm {
    bench: Bench,
    factor: u32,
    /// One of so many events is critical.
    critical_every: u32,
    /// What the chat takes per minute is counted over this.
    minute: Duration,
}

impl Storm {
    async fn new(config: SimConfig, factor: u32) -> Self {
        let mut bench = Bench::with(config).await;
        let normal = Limits::default();
        let pace = Pace {
            per_window: 20,
            reserve: 4,
            // Shortened, what a busy machine adds to single requests would be minutes: the margin is wider.
            window: if factor == 1 {
                Duration::from_secs(61)
            } else {
                Duration::from_secs(68) / factor
            },
            gap: Duration::from_secs(1) / factor,
        };
        bench.limits = Limits {
            lease: normal.lease / factor.min(6),
            poll: normal.poll / factor,
            longest_rest: normal.longest_rest / factor,
            pace: (factor > 1).then_some(pace),
            backoff: normal.backoff / factor,
            backoff_most: normal.backoff_most / factor,
            pause_most: normal.pause_most / factor,
            ..normal
        };
        bench.deadline = Duration::from_secs(15) / factor;
        Self {
            bench,
            factor,
            critical_every: EVENTS / 4,
            minute: Duration::from_secs(60) / factor,
        }
    }

    /// Enters the events over a minute. Incident `n` begins in second `6 n`.
    async fn blow(&self) -> Vec<NotificationId> {
        let mut ids = Vec::new();
        let began = tokio::time::Instant::now();
        for number in 0..EVENTS {
            tokio::time::sleep_until(began + self.minute * number / EVENTS).await;
            let second = number * 60 / EVENTS;
            let running = (second / 6 + 1).min(INCIDENTS);
            let opens = (number * INCIDENTS).is_multiple_of(EVENTS);
            let which = if opens { running - 1 } else { number % running };
            let critical = number % self.critical_every == self.critical_every * 2 / 5 && !opens;
            ids.push(self.event(number, which, critical).await);
        }
        ids
    }

    async fn event(&self, number: u32, which: u32, critical: bool) -> NotificationId {
        let mut alert = crate::support::full_l4(if number.is_multiple_of(3) {
            Phase::Start
        } else {
            Phase::Update
        });
        alert.attack_id = Some(format!("attack-{which}"));
        alert.correlation_id = None;
        alert.policy_id = None;
        alert.rule_id = None;
        alert.targets = vec![crate::support::prefix(&format!("203.0.113.{which}/32"))];
        let prefix = crate::support::prefix(&format!("10.{which}.0.0/24"));
        self.bench
            .db
            .write("test.event", move |tx| {
                let now = Timestamp::now();
                let event = Some(EventId(10_000 + i64::from(number)));
                if critical {
                    let facts = raised(&format!("hijack {number}"), Priority::Critical);
                    let notice = Notice {
                        event,
                        ..Notice::about(facts)
                    };
                    return outbox::enqueue(tx, &notice, now);
                }
                let incident = db::incidents::join(tx, &alert, &[prefix], now)?;
                let notice = Notice {
                    facts: Facts::Alert {
                        alert: Box::new(alert),
                        prefixes: vec![prefix],
                        unresolved: false,
                    },
                    event,
                    incident: Some(incident),
                    group: Some(format!("incident:{incident}")),
                };
                outbox::enqueue(tx, &notice, now)
            })
            .await
            .unwrap()
    }

    async fn wait_all_sent(&self, limit: Duration) -> Vec<Notification> {
        let end = tokio::time::Instant::now() + limit;
        loop {
            let rows = self
                .bench
                .db
                .read("test.rows", |tx| outbox::newest(tx, None, 10_000))
                .await
                .unwrap();
            let open: Vec<_> = rows.iter().filter(|row| row.state != "sent").collect();
            if open.is_empty() {
                return rows;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "{} of {} are not sent, the first: {:?}",
                open.len(),
                rows.len(),
                open.last()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Requests that reached the chat, refused ones too, oldest first.
    fn request_times(&self) -> Vec<Timestamp> {
        let mut times: Vec<Timestamp> = self.bench.requests().iter().map(|request| request.at).collect();
        times.sort();
        times
    }

    fn never_over_twenty_a_minute(&self) {
        let times = self.request_times();
        for (index, first) in times.iter().enumerate() {
            let within = times[index..]
                .iter()
                .take_while(|time| since(**time, *first) < self.minute)
                .count();
            assert!(within <= 20, "{within} within {:?} from {first}", self.minute);
        }
    }
}

/// What a message says about how many notices are in it.
fn counted(message: &SentMessage) -> u64 {
    let number = |before: &str, after: &str| {
        message.text.lines().find_map(|line| {
            let rest = &line[line.find(before)? + before.len()..];
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            rest[digits.len()..]
                .starts_with(after)
                .then(|| digits.parse::<u64>().ok())?
        })
    };
    if let Some(followers) = number("Since then: ", " notice") {
        return 1 + followers;
    }
    let title = message.text.lines().next().unwrap_or_default();
    title
        .split_once(" notices")
        .and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok())
        .unwrap_or(1)
}

/// Every row is in the message that it is recorded with, and every message holds as many notices as it says.
fn every_event_is_counted(storm: &Storm, rows: &[Notification]) {
    let mut by_message: BTreeMap<i64, Vec<&Notification>> = BTreeMap::new();
    for row in rows {
        by_message.entry(row.message_id.unwrap()).or_default().push(row);
    }
    let messages = storm.bench.sim.messages();
    for message in &messages {
        let Some(held) = by_message.get(&message.message_id) else {
            // Its answer was lost: the same event was told again.
            if message.text.contains("Messages reach the chat again") {
                continue;
            }
            let number = message.text.split('#').nth(1).unwrap_or_default();
            let number: String = number.chars().take_while(char::is_ascii_digit).collect();
            let again = format!("#{number}");
            let told = messages
                .iter()
                .any(|other| by_message.contains_key(&other.message_id) && other.text.contains(&again));
            assert!(told, "nobody knows of {}", message.text);
            continue;
        };
        assert_eq!(counted(message), held.len() as u64, "{}", message.text);
        if let [row] = held.as_slice() {
            let number = format!("#{}", row.event.unwrap());
            assert!(message.text.contains(&number), "{number}: {}", message.text);
        }
        if message.parse_mode.is_some() {
            crate::support::checker::check(&message.raw, &message.text).unwrap();
        }
    }
    let total: u64 = by_message.values().map(|rows| rows.len() as u64).sum();
    assert_eq!(total, rows.len() as u64);
    assert!(by_message.keys().all(|id| messages.iter().any(|m| m.message_id == *id)));
}

/// The first notice of each incident. `rows` are newest first.
fn firsts(rows: &[Notification]) -> BTreeMap<IncidentId, &Notification> {
    let mut first: BTreeMap<IncidentId, &Notification> = BTreeMap::new();
    for row in rows.iter().rev() {
        if let Some(incident) = row.incident {
            first.entry(incident).or_insert(row);
        }
    }
    assert_eq!(first.len(), INCIDENTS as usize);
    first
}

/// Each incident's first page started within the five seconds of its entry, or in its turn at the chat's pace,
/// judged by what the database and the chat recorded: how many requests went before it, and whose they were. What a
/// fault kept back is not judged. Returns how many were.
async fn first_pages_had_their_turn(storm: &Storm, rows: &[Notification]) -> usize {
    let pages = firsts(rows);
    let mut starts: Vec<(Timestamp, bool)> = Vec::new();
    for row in rows {
        let follows = row.priority != Priority::Critical && !pages.values().any(|page| page.id == row.id);
        let tries = attempts(storm, row.id).await;
        starts.extend(
            tries
                .iter()
                .filter(|try_| try_.outcome == "started")
                .map(|try_| (try_.at, follows)),
        );
    }
    let faults = fault_times(storm);
    let gap = Duration::from_secs(1) / storm.factor;
    let mut judged = 0;
    for page in pages.values() {
        let (came, went) = (page.created_at, attempts(storm, page.id).await[0].at);
        if faults.iter().any(|(from, to)| *from <= went && came <= *to) {
            continue;
        }
        judged += 1;
        let before: Vec<bool> = starts
            .iter()
            .filter(|(at, _)| (came..went).contains(at))
            .map(|(_, follows)| *follows)
            .collect();
        let overtook = before.iter().filter(|follows| **follows).count();
        // At most one request per process can have been under way already.
        assert!(overtook <= 4, "{overtook} followers went before {page:?}");
        // The machine's own delay is not shortened by the factor.
        let turn = gap * u32::try_from(before.len() + 1).unwrap();
        assert!(
            since(went, came) <= Duration::from_secs(5) + turn,
            "{:?} {page:?}",
            since(went, came)
        );
    }
    judged
}

/// From each request that failed to the next one that did not.
fn fault_times(storm: &Storm) -> Vec<(Timestamp, Timestamp)> {
    let requests = storm.bench.requests();
    let failed = requests.iter().filter(|request| request.status != Some(200));
    failed
        .map(|failed| {
            let later = requests
                .iter()
                .filter(|other| other.status == Some(200) && other.at > failed.at);
            (failed.at, later.map(|other| other.at).min().unwrap_or(Timestamp::MAX))
        })
        .collect()
}

/// How long each first page waited, shortest first, in time as it would be without the factor.
fn first_pages(storm: &Storm, rows: &[Notification]) -> Vec<Duration> {
    let first = firsts(rows);
    let messages = storm.bench.sim.messages();
    let mut waits: Vec<Duration> = first
        .values()
        .map(|row| {
            let message = messages.iter().find(|m| Some(m.message_id) == row.message_id).unwrap();
            since(message.at, row.created_at) * storm.factor
        })
        .collect();
    waits.sort();
    waits
}

async fn attempts(storm: &Storm, id: NotificationId) -> Vec<Attempt> {
    storm.bench.attempts(id).await
}

/// No critical notice is among others, and each is named.
fn critical_ones_are_never_merged_away(storm: &Storm, rows: &[Notification]) {
    let messages = storm.bench.sim.messages();
    for row in rows.iter().filter(|row| row.priority == Priority::Critical) {
        let together = rows.iter().filter(|other| other.message_id == row.message_id);
        assert!(
            together.clone().all(|other| other.priority == Priority::Critical),
            "{row:?}"
        );
        let message = messages
            .iter()
            .find(|message| Some(message.message_id) == row.message_id)
            .unwrap();
        let number = format!("#{}", row.event.unwrap());
        assert!(message.text.contains(&number), "{number}: {}", message.text);
    }
}

/// Each is sent before any follower that was there when it came. At most one request per process can have been under way
/// already.
async fn critical_ones_wait_behind_nobody(storm: &Storm, rows: &[Notification]) {
    for row in rows.iter().filter(|row| row.priority == Priority::Critical) {
        let first = attempts(storm, row.id).await.remove(0);
        let mut overtook = 0;
        for other in rows.iter().filter(|other| other.priority != Priority::Critical) {
            if other.created_at < row.created_at && other.sent_at > Some(row.created_at) {
                let starts = attempts(storm, other.id).await;
                overtook += starts
                    .iter()
                    .filter(|a| a.outcome == "started" && a.at > row.created_at && a.at < first.at)
                    .count();
            }
        }
        assert!(overtook <= 4, "{overtook} requests went before {row:?}");
    }
}

async fn blow_over(storm: &Storm, faults: bool, limit: Duration) {
    let drains: Vec<_> = ["a", "b", "c", "d"]
        .map(|owner| {
            storm.bench.run_on(
                storm.bench.other_process(OpenOptions::default()),
                owner,
                Some(storm.bench.sender()),
            )
        })
        .into();
    if faults {
        // Spread over the storm: each lets some requests pass first.
        let set = |kind: FaultKind, skip: u32, times: u32| {
            let mut fault = FaultSpec::new(Target::Telegram, kind).times(times);
            fault.skip = skip;
            storm.bench.sim.set_fault(fault)
        };
        set(FaultKind::RateLimited { retry_after: Some(1) }, 2, 2);
        set(FaultKind::Hang, 3, 2);
        set(
            FaultKind::Status {
                status: 503,
                body: None,
            },
            4,
            3,
        );
        let refused = FaultKind::Telegram {
            code: 400,
            description: "Bad Request: can't parse entities: x".into(),
            retry_after: None,
            migrate_to_chat_id: None,
        };
        // Never the same message twice: plain text that cannot be parsed is no answer of Telegram's.
        for skip in [6, 12, 18] {
            set(refused.clone(), skip, 1);
        }
        let mut lost = FaultSpec::new(Target::Telegram, FaultKind::Hang).times(1).after_apply();
        lost.skip = 8;
        storm.bench.sim.set_fault(lost);
    }
    let ids = storm.blow().await;
    assert_eq!(ids.len(), EVENTS as usize);
    let rows = storm.wait_all_sent(limit).await;
    assert_eq!(rows.len(), EVENTS as usize);
    for drain in drains {
        drain.stop().await;
    }
    storm.never_over_twenty_a_minute();
    every_event_is_counted(storm, &rows);
    critical_ones_are_never_merged_away(storm, &rows);
    if storm.critical_every == EVENTS / 4 {
        critical_ones_wait_behind_nobody(storm, &rows).await;
    }
    let judged = first_pages_had_their_turn(storm, &rows).await;
    assert!(faults || judged == INCIDENTS as usize, "{judged} first pages");
    let requests = storm.bench.requests();
    let edits = requests.iter().filter(|r| r.path.contains("EditMessageText")).count();
    let waits = first_pages(storm, &rows);
    eprintln!(
        "factor {}: {} requests, {edits} of them edits, {} messages; first pages waited {waits:?}, {judged} without a fault",
        storm.factor,
        requests.len(),
        storm.bench.sim.messages().len(),
    );
    assert!(edits > 0);
    if !faults {
        assert_eq!(
            requests.len(),
            requests.iter().filter(|r| r.status == Some(200)).count()
        );
        assert!(storm.bench.sim.messages().len() < 60);
    }
}

#[tokio::test]
async fn a_thousand_events_in_a_minute_are_all_told_within_the_limits() {
    let storm = Storm::new(calm_sim(), 10).await;
    blow_over(&storm, false, Duration::from_secs(120)).await;
}

/// Fifty hijacks in a minute: they go together, and the incidents that begin keep their turn.
#[tokio::test]
async fn a_flood_of_critical_notices_leaves_first_pages_their_turn() {
    let mut storm = Storm::new(calm_sim(), 10).await;
    storm.critical_every = EVENTS / 50;
    blow_over(&storm, false, Duration::from_secs(150)).await;
}

#[tokio::test]
async fn with_faults_too_and_everything_is_told_when_they_end() {
    let storm = Storm::new(calm_sim(), 10).await;
    blow_over(&storm, true, Duration::from_secs(180)).await;
}

#[tokio::test]
#[ignore = "takes about four minutes"]
async fn in_real_time_against_the_flood_control_of_the_simulator() {
    let mut config = calm_sim();
    config.telegram_limits.enabled = true;
    config.telegram_limits.edits_count = true;
    let storm = Storm::new(config, 1).await;
    blow_over(&storm, false, Duration::from_secs(600)).await;
    let rows = storm.wait_all_sent(Duration::from_secs(1)).await;
    let waits = first_pages(&storm, &rows);
    assert!(waits.last().unwrap() <= &Duration::from_secs(5), "{waits:?}");
}

/// An hour without Telegram, thirty seconds long; services die and come back meanwhile.
#[tokio::test]
async fn an_hour_without_telegram_loses_nothing_and_repeats_nothing() {
    let mut storm = Storm::new(calm_sim(), 120).await;
    storm.bench.limits.stuck_after = Duration::from_secs(300) / 120;
    storm.bench.limits.upkeep_every = Duration::from_millis(200);
    storm.bench.limits.lease = Duration::from_secs(2);
    // The pace is the business of other tests.
    storm.bench.limits.pace = Some(Pace {
        per_window: 1_000,
        reserve: 4,
        window: Duration::from_secs(1),
        gap: Duration::from_millis(5),
    });
    let start = |owner: &str| {
        let db = storm.bench.other_process(OpenOptions::default());
        storm.bench.run_on(db, owner, Some(storm.bench.sender()))
    };
    let mut drains = vec![start("a0"), start("b0")];
    let before = storm.event(0, 0, false).await;
    storm.bench.wait_state(before, "sent").await;
    storm.bench.sim.stop_listening().await;
    let down = tokio::time::Instant::now();
    for round in 1..=10u32 {
        for number in 0..20 {
            storm
                .event(round * 20 + number, number % 5, number == 7 && round % 4 == 0)
                .await;
        }
        tokio::time::sleep_until(down + Duration::from_secs(3) * round).await;
        // One is killed in the middle of whatever it does, and a new one comes.
        drains.remove(0).kill().await;
        drains.push(start(&format!("c{round}")));
    }
    let announced = storm.bench.db.read("test", outbox::stuck_since).await.unwrap();
    assert!(announced.is_some(), "the outage was announced");
    storm.bench.sim.resume_listening().await.unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(90);
    let rows = loop {
        let rows = storm
            .bench
            .db
            .read("test.rows", |tx| outbox::newest(tx, None, 10_000))
            .await
            .unwrap();
        let told = |group: &str| {
            rows.iter()
                .any(|row| row.group.as_deref() == Some(group) && row.state != "queued")
        };
        if told("outbox.unstuck") && rows.iter().all(|row| row.state != "queued") {
            break rows;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{:#?}",
            rows.iter().find(|row| row.state == "queued")
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for drain in drains {
        drain.stop().await;
    }
    // The announcement of the outage is for other channels, once; its end is for the chat, once.
    let of =
        |group: &str| -> Vec<&Notification> { rows.iter().filter(|row| row.group.as_deref() == Some(group)).collect() };
    assert_eq!((of("outbox.stuck").len(), of("outbox.unstuck").len()), (1, 1));
    assert_eq!(of("outbox.stuck")[0].state, "suppressed");
    assert_eq!(storm.bench.db.read("test", outbox::stuck_since).await.unwrap(), None);
    let texts = storm.bench.texts();
    assert_eq!(
        texts
            .iter()
            .filter(|text| text.contains("Messages reach the chat again after"))
            .count(),
        1
    );
    let events: Vec<Notification> = rows.into_iter().filter(|row| row.event.is_some()).collect();
    assert_eq!(events.len(), 201);
    assert!(events.iter().all(|row| row.state == "sent"));
    every_event_is_counted(&storm, &events);
    // No answer was lost, so nothing is in the chat twice: one message per recorded one, and the notice of the end.
    let recorded: std::collections::BTreeSet<_> = events.iter().map(|row| row.message_id).collect();
    assert_eq!(texts.len(), recorded.len() + 1);
}
