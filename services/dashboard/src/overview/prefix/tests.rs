//! What a prefix is called when readings are fresh, old, missing or contradicted.

use std::collections::BTreeSet;

use domain::alert::OpenAlert;
use domain::bgp::{BgpPrefix, Epoch};
use domain::calm::TrafficUnknown;
use domain::decision::{Decision, Mode, NextAction, PrefixState, Unknown};
use domain::ids::{BgpPrefixId, HoldId, PrefixId};
use domain::time::minus;

use super::*;
use crate::overview::sign::{AUTOWITHDRAW, Life};

fn now() -> Timestamp {
    "2026-11-22T03:27:00Z".parse().unwrap()
}

fn behind(seconds: u64) -> Timestamp {
    minus(now(), Duration::from_secs(seconds))
}

fn ahead(seconds: u64) -> Timestamp {
    plus(now(), Duration::from_secs(seconds))
}

fn prefix() -> Prefix {
    "203.0.113.0/24".parse().unwrap()
}

fn bgp(advertised: Option<bool>, changed_s: u64) -> BgpState {
    BgpState {
        advertised,
        advertised_modified_at: Some(behind(changed_s)),
        on_demand_enabled: true,
        locked: false,
        bgp_signalled: false,
        prepend: None,
        auto_advertise_withdraw: false,
    }
}

fn entry(state: BgpState, age_s: u64) -> Entry {
    Entry {
        prefix: BgpPrefix {
            prefix: prefix(),
            parent_id: PrefixId::new("p"),
            id: BgpPrefixId::new("b"),
            asn: None,
            description: "DMZ".into(),
            state,
        },
        managed: true,
        read_at: behind(age_s),
        error: None,
        error_since: None,
    }
}

fn decided(verdict: Verdict, blocks: Vec<Block>, state: BgpState, age_s: u64) -> Now {
    let at = behind(age_s);
    Now {
        prefix: prefix(),
        at,
        decision: Decision {
            verdict,
            state: PrefixState {
                calm: Some(CalmTrack {
                    epoch: Epoch(behind(7_200)),
                    calm_since: behind(700),
                    verified_until: behind(300),
                    saw_rows: true,
                    newest_row: None,
                    rows_from: None,
                    attacked: false,
                }),
                systems: BTreeSet::new(),
                ..PrefixState::default()
            },
            effects: vec![],
            blocks,
            next: NextAction::default(),
            calm_period: Duration::from_secs(900),
            settled_until: Some(behind(300)),
            latest: None,
            noise: false,
            restless: false,
            decided_at: at,
        },
        bgp: Some(state),
        managed: true,
        mode: Mode::Act,
    }
}

fn calm() -> Verdict {
    Verdict::Calm {
        since: behind(700),
        due: ahead(491),
    }
}

fn automation(life: Life, seen_s: u64) -> Service {
    let mut service = Service::default_of(AUTOWITHDRAW);
    service.life = life;
    service.seen_at = (life != Life::NeverSeen).then(|| behind(seen_s));
    service
}

fn hold(until: Option<Timestamp>) -> Hold {
    Hold {
        id: HoldId(1),
        prefix: Some(prefix()),
        actor: "ana".into(),
        reason: "maintenance".into(),
        created_at: behind(60),
        until,
    }
}

/// What one judgement looks at, with the usual things around it.
struct Case {
    entry: Option<Entry>,
    decided: Option<Now>,
    automation: Service,
    holds: Vec<Hold>,
    holds_are_known: bool,
    alerts: Vec<OpenAlert>,
}

impl Case {
    fn new(entry: Option<Entry>, decided: Option<Now>) -> Self {
        Self {
            entry,
            decided,
            automation: automation(Life::Running, 10),
            holds: vec![],
            holds_are_known: true,
            alerts: vec![],
        }
    }

    fn judged(&self) -> PrefixView {
        let sight = Sight {
            now: now(),
            automation: &self.automation,
            holds: &self.holds,
            holds_are_known: self.holds_are_known,
            alerts: &self.alerts,
            intents: &[],
            believed_for: Duration::from_secs(180),
            advertisement_spreads: Duration::from_secs(420),
            settle: Duration::from_secs(300),
            unreadable: None,
        };
        let known = Known {
            prefix: prefix(),
            entry: self.entry.as_ref(),
            decided: self.decided.as_ref(),
            managed: true,
            configured: true,
            description: None,
        };
        judge(known, &sight)
    }
}

fn advertised() -> BgpState {
    bgp(Some(true), 7_200)
}

#[test]
fn fresh_answers_are_believed() {
    let table = [
        (Verdict::Attack, advertised(), State::UnderAttack, "under attack"),
        (calm(), advertised(), State::Calm, "calm, withdrawing at 03:35 UTC"),
        (Verdict::Withdraw, advertised(), State::Calm, "calm, withdrawing now"),
        (Verdict::NotManaged, advertised(), State::NotManaged, "not managed"),
        (Verdict::Direct, bgp(Some(false), 7_200), State::Direct, "direct"),
        (
            Verdict::Propagating { until: ahead(60) },
            bgp(Some(true), 360),
            State::Propagating,
            "propagating, advertised",
        ),
        (
            Verdict::Direct,
            bgp(Some(false), 600),
            State::Propagating,
            "propagating, withdrawn",
        ),
    ];
    for (verdict, state, expected, words) in table {
        let view = Case::new(None, Some(decided(verdict.clone(), vec![], state, 41))).judged();
        assert_eq!((view.state, view.words.as_str()), (expected, words), "{verdict:?}");
    }
}

#[test]
fn what_is_old_is_unknown_and_never_calm() {
    let stale = Case::new(None, Some(decided(calm(), vec![], advertised(), 181))).judged();
    assert_eq!(stale.state, State::Unknown);
    assert_eq!(stale.unknown_since, Some(behind(181)));
    assert_eq!(
        (stale.advertised, stale.under_attack, stale.deadline),
        (None, None, None)
    );
    assert!(
        stale.next.contains("last known: advertised, 3 min ago"),
        "{}",
        stale.next
    );

    let nothing = Case::new(None, None).judged();
    assert_eq!((nothing.state, nothing.unknown_since), (State::Unknown, None));
    assert!(
        nothing.next.contains("its BGP state was never read"),
        "{}",
        nothing.next
    );

    let future = Case::new(Some(entry(advertised(), 0)), None);
    let mut future = future;
    if let Some(entry) = &mut future.entry {
        entry.read_at = ahead(600);
    }
    assert_eq!(
        future.judged().state,
        State::Unknown,
        "a reading from the future proves nothing"
    );
}

#[test]
fn a_failed_reading_keeps_the_reason_and_the_last_state() {
    let mut case = Case::new(Some(entry(advertised(), 1_560)), None);
    if let Some(entry) = &mut case.entry {
        entry.error = Some("HTTP 503".into());
        entry.error_since = Some(behind(1_500));
    }
    let view = case.judged();
    assert_eq!((view.state, view.advertised), (State::Unknown, None));
    assert!(
        view.next.contains("HTTP 503; last known: advertised, 26 min ago"),
        "{}",
        view.next
    );
    assert_eq!(view.error.as_deref(), Some("HTTP 503"));
}

#[test]
fn without_an_answer_the_live_state_alone_is_told() {
    let view = Case::new(Some(entry(advertised(), 20)), None).judged();
    assert_eq!(
        (view.state, view.advertised, view.under_attack),
        (State::Protected, Some(true), None)
    );
    assert!(view.attack_is_uncertain());
    assert!(view.next.contains("its traffic was never judged"), "{}", view.next);
    let direct = Case::new(Some(entry(bgp(Some(false), 7_200), 20)), None).judged();
    assert_eq!((direct.state, direct.attack_is_uncertain()), (State::Direct, false));
    let silent_flag = Case::new(Some(entry(bgp(None, 7_200), 20)), None).judged();
    assert_eq!(silent_flag.state, State::Unknown);
}

#[test]
fn a_newer_reading_overrules_an_older_answer() {
    // Withdrawn by somebody 30 s ago, read 10 s ago; the automation judged 41 s ago.
    let case = Case::new(
        Some(entry(bgp(Some(false), 30), 10)),
        Some(decided(calm(), vec![], advertised(), 41)),
    );
    let view = case.judged();
    assert_eq!((view.state, view.advertised), (State::Propagating, Some(false)));
    assert_eq!(view.under_attack, None, "the old answer is about another world");
    // The same state read again contradicts nothing.
    let same = Case::new(
        Some(entry(advertised(), 10)),
        Some(decided(calm(), vec![], advertised(), 41)),
    );
    assert_eq!(same.judged().state, State::Calm);
}

#[test]
fn a_deadline_runs_only_while_the_automation_is_seen() {
    let mut case = Case::new(None, Some(decided(calm(), vec![], advertised(), 41)));
    let deadline = case.judged().deadline.unwrap();
    assert_eq!((deadline.at, deadline.runs_until), (ahead(491), Some(ahead(50))));
    for (life, seen, words) in [
        (Life::Late, 90, "cloudflare-autowithdraw was last seen 1 min ago"),
        (Life::Stopped, 90, "cloudflare-autowithdraw was stopped 1 min ago"),
        (Life::NeverSeen, 0, "cloudflare-autowithdraw was never seen"),
    ] {
        case.automation = automation(life, seen);
        let view = case.judged();
        let deadline = view.deadline.as_ref().unwrap();
        assert_eq!(deadline.runs_until, None, "{life:?}");
        assert_eq!(deadline.stands_because.as_deref(), Some(words));
        assert_eq!(view.words, "calm, clock stopped");
        assert!(view.next.contains("nothing is certain"), "{}", view.next);
    }
}

#[test]
fn blocks_move_or_forbid_the_deadline() {
    let later = Block::TooSoon { until: ahead(900) };
    let view = Case::new(None, Some(decided(calm(), vec![later.clone()], advertised(), 41))).judged();
    assert_eq!(view.deadline.map(|deadline| deadline.at), Some(ahead(900)));
    let forbidden = vec![later, Block::DryRun];
    let view = Case::new(None, Some(decided(calm(), forbidden, advertised(), 41))).judged();
    assert_eq!((view.state, view.deadline.is_none()), (State::Protected, true));
    assert!(view.next.contains("runs dry"), "{}", view.next);
}

#[test]
fn a_persons_word_counts_at_once() {
    let mut case = Case::new(None, Some(decided(calm(), vec![], advertised(), 41)));
    case.holds = vec![hold(Some(ahead(1_980)))];
    let view = case.judged();
    assert_eq!(
        (view.state, view.words.as_str()),
        (State::Held, "held by ana until 04:00 UTC")
    );
    assert_eq!(view.deadline, None);
    // An attack and what is not known are shown before the hold.
    case.decided = Some(decided(Verdict::Attack, vec![], advertised(), 41));
    assert_eq!(case.judged().state, State::UnderAttack);
    assert!(case.judged().next.contains("held by ana"), "{}", case.judged().next);

    // The answer still knows a hold that was released since.
    let held = Block::Held {
        by: "ana".into(),
        reason: "maintenance".into(),
        until: None,
        everywhere: false,
    };
    case.holds = vec![];
    case.decided = Some(decided(calm(), vec![held], advertised(), 41));
    assert_eq!(case.judged().state, State::Calm, "released");
    case.holds_are_known = false;
    assert_eq!(
        case.judged().state,
        State::Protected,
        "whether it was released is not known"
    );
}

#[test]
fn unknown_says_why_and_since_when() {
    let verdict = Verdict::Unknown {
        because: Unknown::Data(TrafficUnknown::Stale { age_s: 1_140 }),
        since: behind(720),
    };
    let view = Case::new(None, Some(decided(verdict, vec![], advertised(), 41))).judged();
    assert_eq!((view.state, view.unknown_since), (State::Unknown, Some(behind(720))));
    assert_eq!(view.advertised, Some(true), "that it is advertised is known");
    assert!(view.attack_is_uncertain());
    assert!(view.next.contains("the newest row is 19 min old"), "{}", view.next);
}

#[test]
fn an_open_alert_on_a_withdrawn_prefix_is_exposed() {
    let mut case = Case::new(
        None,
        Some(decided(Verdict::Direct, vec![], bgp(Some(false), 7_200), 41)),
    );
    assert!(!case.judged().is_exposed());
    case.alerts = vec![OpenAlert {
        event: 42,
        kind: "dos_attack_l4".into(),
        since: behind(60),
        prefixes: vec!["203.0.113.10/32".parse().unwrap()],
        unresolved: false,
    }];
    let view = case.judged();
    assert!(view.is_exposed());
    assert_eq!(view.open_alerts, [42]);
}

#[test]
fn the_chain_names_time_and_source_of_every_link() {
    let blocks = vec![Block::OneAtATime];
    let mut case = Case::new(
        Some(entry(advertised(), 60)),
        Some(decided(calm(), blocks, advertised(), 41)),
    );
    case.holds = vec![hold(None)];
    let chain = case.judged().why;
    let sources: Vec<&str> = chain.iter().map(|link| link.source.as_str()).collect();
    assert_eq!(sources, ["Cloudflare API", AUTOWITHDRAW, "ana", AUTOWITHDRAW]);
    assert!(chain.iter().all(|link| link.at.is_some()));
    assert_eq!(chain[1].text, "calm since 03:15 UTC, 6 min 40 s of 15 min proven");
    assert_eq!(chain[2].text, "held by ana until released: maintenance");
    assert_eq!(
        chain[3].text,
        "no withdrawal: another automatic withdrawal is under way"
    );
}
