//! Rule 11, step by step: what an open intent may do, for every fact that the journal may hold, each at the border where
//! the answer changes.

use std::time::Duration;

use domain::alert::OpenAlert;
use domain::bgp::{BgpState, Epoch};
use domain::decision::Mode;
use domain::hold::{Hold, binds_until};
use domain::ids::IntentId;
use domain::intent::{
    Act, BeforeMark, DEAD_AFTER, Entry, Facts, Gate, IntentState, Limits, Watch, before_mark, gives_up, is_too_late,
    last_check, may_assert_again, may_begin, pause, shows, shows_another, withdrawal_may_arrive,
};

use crate::chaos::{hold, open_alert};
use crate::support::{MIN, advertised, at, dur, p, withdrawn};

const NOW: i64 = 60 * MIN;

/// An automatic withdrawal that may go.
fn entry() -> Entry {
    Entry {
        id: IntentId(5),
        prefix: p("203.0.113.0/24"),
        act: Act::Withdraw,
        automatic: true,
        state: IntentState::Planned,
        epoch: Some(Epoch(at(0))),
        state_version: Some(3),
        force: false,
        created_at: at(NOW - 10),
        not_before: None,
        sending_at: None,
        closed_at: None,
        lease_owner: Some("we".into()),
        lease_until: Some(at(NOW + 20)),
    }
}

fn by_person(act: Act) -> Entry {
    Entry {
        act,
        automatic: false,
        ..entry()
    }
}

fn another(id: i64, prefix: &str) -> Entry {
    Entry {
        id: IntentId(id),
        prefix: p(prefix),
        state: IntentState::Verifying,
        ..entry()
    }
}

#[test]
fn an_intent_is_claimed_when_it_is_open_free_and_its_time_has_come() {
    let may = |change: &dyn Fn(&mut Entry)| {
        let mut entry = entry();
        change(&mut entry);
        entry.may_be_claimed("others", at(NOW))
    };
    assert!(!may(&|_| {}), "somebody else's lease runs");
    assert!(entry().may_be_claimed("we", at(NOW)), "our own lease");
    assert!(
        may(&|entry| entry.lease_until = Some(at(NOW))),
        "it ran out this moment"
    );
    assert!(!may(&|entry| entry.lease_until = Some(at(NOW + 1))));
    assert!(may(&|entry| entry.lease_until = None));
    let free = |entry: &mut Entry| entry.lease_until = None;
    assert!(may(&|entry| {
        free(entry);
        entry.not_before = Some(at(NOW));
    }));
    assert!(!may(&|entry| {
        free(entry);
        entry.not_before = Some(at(NOW + 1));
    }));
    for state in IntentState::ALL {
        let open = may(&|entry| {
            free(entry);
            entry.state = state;
        });
        assert_eq!(open, state.is_open(), "{state:?}");
    }
}

#[test]
fn only_a_call_on_its_way_is_in_flight_and_only_automatic_ones_that_do_not_rest_are_under_way() {
    for state in IntentState::ALL {
        let entry = Entry { state, ..entry() };
        let flies = matches!(state, IntentState::Sending | IntentState::Verifying);
        assert_eq!(entry.is_in_flight(), flies, "{state:?}");
        assert_eq!(entry.is_under_way(at(NOW)), state.is_open(), "{state:?}");
        let later = |seconds| Entry {
            not_before: Some(at(NOW + seconds)),
            ..entry.clone()
        };
        let rests = state == IntentState::Planned;
        assert_eq!(later(1).is_under_way(at(NOW)), state.is_open() && !rests, "{state:?}");
        assert_eq!(
            later(0).is_under_way(at(NOW)),
            state.is_open(),
            "{state:?}: its time has come"
        );
        let asked = Entry {
            automatic: false,
            ..entry
        };
        assert!(!asked.is_under_way(at(NOW)));
    }
}

#[test]
fn what_a_person_advertised_is_kept_for_the_shortest_time_of_an_advertisement() {
    let done = |closed: Option<i64>| Entry {
        state: IntentState::Done,
        closed_at: closed.map(at),
        ..by_person(Act::Advertise)
    };
    let until = |entry: &Entry| entry.keeps_until(dur(900), at(NOW));
    assert_eq!(until(&done(Some(NOW - 899))), Some(at(NOW + 1)));
    assert_eq!(until(&done(Some(NOW - 900))), None);
    assert_eq!(until(&done(None)), Some(at(NOW - 10 + 900)), "from when it was filed");
    assert_eq!(until(&by_person(Act::Advertise)), Some(at(NOW + 900)), "still open");
    for state in [IntentState::Refused, IntentState::Cancelled, IntentState::Unresolved] {
        let ended = Entry {
            state,
            ..done(Some(NOW - 1))
        };
        assert_eq!(until(&ended), None, "{state:?}");
    }
    assert_eq!(until(&by_person(Act::Withdraw)), None);
    let automatic = Entry {
        automatic: true,
        ..done(Some(NOW - 1))
    };
    assert_eq!(until(&automatic), None);
}

#[test]
fn a_person_is_asked_again_after_an_hour() {
    let limits = Limits::default();
    let asked = |entry: Entry, ago: i64| {
        Entry {
            created_at: at(NOW - ago),
            ..entry
        }
        .is_stale(&limits, at(NOW))
    };
    assert!(!asked(by_person(Act::Withdraw), 3_600));
    assert!(asked(by_person(Act::Withdraw), 3_601));
    assert!(
        !asked(by_person(Act::Advertise), 3_601),
        "an advertise is never dropped"
    );
    assert!(!asked(entry(), 3_601), "automation decides each minute anew");
}

#[test]
fn the_live_read_before_the_mark() {
    let ours = p("203.0.113.0/24");
    let class = |entry: &Entry, belongs_to, seen: &BgpState, mode| match before_mark(entry, belongs_to, seen, mode) {
        BeforeMark::GoOn => "go on",
        BeforeMark::Refused(class, _) => class,
        BeforeMark::Cancelled(_) => "cancelled",
    };
    let seen = advertised(0);
    let locked = BgpState {
        locked: true,
        ..seen.clone()
    };
    let ageless = BgpState {
        advertised_modified_at: None,
        ..seen.clone()
    };
    let act = Some(Mode::Act);
    assert_eq!(class(&entry(), ours, &seen, act), "go on");
    assert_eq!(class(&entry(), p("198.51.100.0/24"), &seen, act), "id_mismatch");
    assert_eq!(
        class(&by_person(Act::Advertise), p("198.51.100.0/24"), &seen, None),
        "id_mismatch"
    );
    assert_eq!(class(&by_person(Act::Advertise), ours, &locked, None), "go on");
    assert_eq!(class(&entry(), ours, &locked, act), "not_controllable");
    assert_eq!(class(&entry(), ours, &ageless, act), "epoch_unknown");
    assert_eq!(class(&entry(), ours, &seen, Some(Mode::DryRun)), "cancelled");
    assert_eq!(class(&entry(), ours, &seen, None), "go on");
    assert_eq!(
        class(&by_person(Act::Withdraw), ours, &seen, Some(Mode::DryRun)),
        "go on"
    );
}

/// What the journal holds; each test changes one fact.
#[derive(Clone)]
struct Journal {
    claimed: Entry,
    stored: Option<Entry>,
    open: Vec<Entry>,
    newest_advertise: Option<Entry>,
    holds: Vec<Hold>,
    alerts: Vec<OpenAlert>,
    state_version: i64,
    evidence_at: Option<i64>,
    is_actor: Option<bool>,
    epoch: Option<Epoch>,
}

fn journal(claimed: Entry) -> Journal {
    Journal {
        stored: Some(claimed.clone()),
        open: vec![claimed.clone()],
        newest_advertise: None,
        holds: vec![],
        alerts: vec![],
        state_version: 3,
        evidence_at: Some(NOW - 5),
        is_actor: claimed.automatic.then_some(true),
        epoch: claimed.epoch,
        claimed,
    }
}

impl Journal {
    fn gate(&self) -> Gate {
        let facts = Facts {
            stored: self.stored.as_ref(),
            open: &self.open,
            newest_advertise: self.newest_advertise.as_ref(),
            holds: &self.holds,
            alerts: &self.alerts,
            state_version: self.state_version,
            evidence_at: self.evidence_at.map(at),
            is_actor: self.is_actor,
        };
        last_check(&self.claimed, &facts, self.epoch, &Limits::default(), at(NOW))
    }

    /// The answer with one fact changed, as one word, and why.
    fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut journal = self.clone();
        change(&mut journal);
        match journal.gate() {
            Gate::Open { .. } => "open".to_owned(),
            Gate::Shut { because } => format!("shut: {because}"),
            Gate::Refused { class, because } => format!("refused {class}: {because}"),
            Gate::Wait { because } => format!("wait: {because}"),
            Gate::Gone => "gone".to_owned(),
        }
    }
}

#[test]
fn the_last_check_of_an_automatic_withdrawal() {
    let good = journal(entry());
    assert_eq!(
        good.gate(),
        Gate::Open {
            evidence_at: Some(at(NOW - 5))
        }
    );
    assert_eq!(good.with(|j| j.stored = None), "gone");
    for state in IntentState::ALL
        .into_iter()
        .filter(|state| *state != IntentState::Planned)
    {
        assert_eq!(
            good.with(|j| j.stored = Some(Entry { state, ..entry() })),
            "gone",
            "{state:?}"
        );
    }
    let stolen = Entry {
        lease_owner: Some("others".into()),
        ..entry()
    };
    assert_eq!(good.with(|j| j.stored = Some(stolen)), "gone");
    assert_eq!(
        good.with(|j| j.is_actor = Some(false)),
        "wait: another process is the actor"
    );
    let elsewhere = "shut: the advertisement is not the one that was decided on";
    assert_eq!(good.with(|j| j.epoch = Some(Epoch(at(1)))), elsewhere);
    assert_eq!(good.with(|j| j.epoch = None), elsewhere);
    let nameless = good.with(|j| {
        j.stored = Some(Entry { epoch: None, ..entry() });
        j.epoch = None;
    });
    assert_eq!(nameless, elsewhere);
    assert_eq!(
        good.with(|j| j.state_version = 4),
        "wait: the decision was renewed meanwhile"
    );
    let old = "wait: the evidence is too old; waiting for the next cycle";
    assert_eq!(good.with(|j| j.evidence_at = Some(NOW - 30)), "open");
    assert_eq!(good.with(|j| j.evidence_at = Some(NOW - 31)), old);
    assert_eq!(good.with(|j| j.evidence_at = Some(NOW)), "open");
    assert_eq!(good.with(|j| j.evidence_at = Some(NOW + 1)), old, "from the future");
    assert_eq!(good.with(|j| j.evidence_at = None), old);
    assert_eq!(
        good.with(|j| j.holds = vec![hold(None)]),
        "shut: held by ana@noc: maintenance"
    );
    assert_eq!(
        good.with(|j| j.holds = vec![hold(Some(NOW))]),
        "open",
        "it ended this moment"
    );
    assert_eq!(
        good.with(|j| j.alerts = vec![open_alert(NOW - 60)]),
        "shut: attack alert #7 is open"
    );
    let unread = OpenAlert::unread(at(NOW - 1_000_000));
    assert_eq!(
        good.with(|j| j.alerts = vec![unread.clone()]),
        "shut: notifications of Cloudflare are received and not read yet"
    );
    let foreign = OpenAlert {
        prefixes: vec![p("198.51.100.0/24")],
        ..open_alert(NOW - 60)
    };
    assert_eq!(good.with(|j| j.alerts = vec![foreign]), "open");
}

#[test]
fn the_last_check_looks_at_all_other_open_intents() {
    let good = journal(entry());
    let ours = "203.0.113.0/24";
    let beside = |other: Entry| good.with(|j| j.open.push(other));
    let advertise = Entry {
        act: Act::Advertise,
        state: IntentState::Planned,
        ..another(4, ours)
    };
    assert_eq!(beside(advertise.clone()), "shut: intent 4 advertises it");
    let elsewhere = Entry {
        prefix: p("198.51.100.0/24"),
        automatic: false,
        ..advertise.clone()
    };
    assert_eq!(beside(elsewhere), "open");
    assert_eq!(
        beside(another(4, ours)),
        "wait: intent 4 on the same prefix is under way"
    );
    let waiting = Entry {
        state: IntentState::Planned,
        ..another(4, ours)
    };
    assert_eq!(beside(waiting), "open");
    assert_eq!(
        beside(another(4, "198.51.100.0/24")),
        "wait: intent 4 is under way, one at a time"
    );
    let asked = Entry {
        automatic: false,
        ..another(4, "198.51.100.0/24")
    };
    assert_eq!(beside(asked), "open", "a person's act elsewhere keeps nobody back");
    // Asked for before it, and done a while ago or just now.
    let done = |ago: i64| Entry {
        state: IntentState::Done,
        closed_at: Some(at(NOW - ago)),
        automatic: false,
        ..advertise.clone()
    };
    let kept = "shut: intent 4 of a person advertises it";
    assert_eq!(good.with(|j| j.newest_advertise = Some(done(899))), kept);
    assert_eq!(good.with(|j| j.newest_advertise = Some(done(900))), "open");
    // Asked for after it.
    let later = Entry {
        id: IntentId(6),
        ..done(5_000)
    };
    let overtaken = "intent 6 advertises it, and was asked for later";
    assert_eq!(
        good.with(|j| j.newest_advertise = Some(later.clone())),
        format!("shut: {overtaken}")
    );
    let same = Entry {
        id: IntentId(5),
        ..done(5_000)
    };
    assert_eq!(good.with(|j| j.newest_advertise = Some(same)), "open");
    let person = journal(by_person(Act::Withdraw));
    assert_eq!(
        person.with(|j| j.newest_advertise = Some(later)),
        format!("refused overtaken: {overtaken}")
    );
}

#[test]
fn the_last_check_of_what_a_person_asked_for() {
    let good = journal(by_person(Act::Withdraw));
    assert_eq!(good.gate(), Gate::Open { evidence_at: None });
    let ours = "203.0.113.0/24";
    let beside = |other: Entry| good.with(|j| j.open.push(other));
    assert_eq!(
        beside(another(4, ours)),
        "wait: intent 4 on the same prefix is under way"
    );
    assert_eq!(beside(another(4, "198.51.100.0/24")), "open");
    let waiting = Entry {
        state: IntentState::Planned,
        ..another(4, ours)
    };
    assert_eq!(beside(waiting), "open");
    let itself = Entry {
        state: IntentState::Sending,
        ..by_person(Act::Withdraw)
    };
    assert_eq!(good.with(|j| j.open = vec![itself]), "open");
    assert_eq!(
        good.with(|j| j.holds = vec![hold(None)]),
        "refused held: held by ana@noc: maintenance"
    );
    let forced = journal(Entry {
        force: true,
        ..by_person(Act::Withdraw)
    });
    assert_eq!(forced.with(|j| j.holds = vec![hold(None)]), "open");
    // An advertise is asked about nothing but whether it is still its own.
    let advertise = journal(by_person(Act::Advertise));
    let everything = advertise.with(|j| {
        j.open.push(another(4, ours));
        j.holds = vec![hold(None)];
        j.alerts = vec![open_alert(NOW - 1)];
        j.newest_advertise = Some(Entry {
            id: IntentId(9),
            ..by_person(Act::Advertise)
        });
        j.evidence_at = None;
    });
    assert_eq!(everything, "open");
}

#[test]
fn a_marked_call_begins_at_once_or_not_at_all() {
    let limits = Limits::default();
    let begins = |asked: i64, evidence: Option<i64>, bump: Option<u64>| {
        may_begin(
            at(NOW - asked),
            evidence.map(|ago| at(NOW - ago)),
            bump.map(Duration::from_secs),
            &limits,
            at(NOW),
        )
    };
    assert!(begins(30, None, None) && !begins(31, None, None));
    assert!(begins(1, Some(30), None) && !begins(1, Some(31), None));
    assert!(begins(30, Some(1), None) && !begins(31, Some(1), None));
    assert!(begins(1, None, Some(5)) && !begins(1, None, Some(6)));
    let late =
        |begun: i64, bump: Option<u64>| is_too_late(at(NOW - begun), bump.map(Duration::from_secs), &limits, at(NOW));
    assert!(!late(15, None) && late(16, None));
    assert!(!late(1, Some(15)) && late(1, Some(16)));
}

#[test]
fn a_re_read_shows_success_by_the_flag_and_another_advertisement_by_its_epoch() {
    let withdraw = entry();
    let advertise = by_person(Act::Advertise);
    let silent = BgpState {
        advertised: None,
        ..advertised(0)
    };
    assert!(shows(&withdrawn(9), &withdraw) && !shows(&advertised(0), &withdraw));
    assert!(shows(&advertised(9), &advertise) && !shows(&withdrawn(0), &advertise));
    assert!(!shows(&silent, &withdraw) && !shows(&silent, &advertise));
    assert!(!shows_another(&advertised(0), &withdraw), "the one that it was to end");
    assert!(shows_another(&advertised(1), &withdraw));
    assert!(!shows_another(&withdrawn(1), &withdraw), "none at all");
    assert!(!shows_another(&advertised(1), &advertise));
    let nameless = Entry { epoch: None, ..entry() };
    assert!(!shows_another(&advertised(1), &nameless));
}

#[test]
fn an_advertise_waits_for_a_withdrawal_that_may_still_arrive() {
    let sent = |seconds: Option<i64>| Entry {
        state: IntentState::Sending,
        sending_at: seconds.map(at),
        ..entry()
    };
    let arrives = |other: Entry| withdrawal_may_arrive(&[other], p("203.0.113.0/24"), at(NOW - 30));
    assert!(arrives(sent(Some(NOW - 30))) && !arrives(sent(Some(NOW - 31))));
    assert!(arrives(sent(None)), "nobody knows when");
    assert!(!arrives(Entry {
        prefix: p("198.51.100.0/24"),
        ..sent(Some(NOW))
    }));
    assert!(!arrives(Entry {
        act: Act::Advertise,
        ..sent(Some(NOW))
    }));
    assert!(!arrives(Entry {
        state: IntentState::Planned,
        ..sent(Some(NOW))
    }));
}

#[test]
fn an_advertise_is_asserted_again_until_it_is_given_up() {
    let limits = Limits::default();
    let again = |change: &dyn Fn(&mut Entry), newest: i64, last_call: Option<i64>| {
        let mut entry = Entry {
            state: IntentState::Verifying,
            sending_at: Some(at(NOW - 899)),
            ..by_person(Act::Advertise)
        };
        change(&mut entry);
        may_assert_again(
            &entry,
            Some(IntentId(newest)),
            last_call.map(|ago| at(NOW - ago)),
            &limits,
            at(NOW),
        )
    };
    assert!(again(&|_| {}, 5, Some(30)) && !again(&|_| {}, 5, Some(29)));
    assert!(again(&|_| {}, 5, None));
    assert!(!again(&|_| {}, 6, Some(30)), "somebody asked for something later");
    assert!(!again(&|entry| entry.act = Act::Withdraw, 5, Some(30)));
    assert!(!again(&|entry| entry.sending_at = Some(at(NOW - 900)), 5, Some(30)));
    let sent = |seconds: Option<i64>, created: i64| Entry {
        sending_at: seconds.map(|ago| at(NOW - ago)),
        created_at: at(NOW - created),
        ..entry()
    };
    assert!(!gives_up(&sent(Some(899), 5_000), &limits, at(NOW)));
    assert!(gives_up(&sent(Some(900), 5), &limits, at(NOW)));
    assert!(gives_up(&sent(None, 900), &limits, at(NOW)) && !gives_up(&sent(None, 899), &limits, at(NOW)));
}

#[test]
fn pauses_double_up_to_sixteen_times_and_for_an_advertise_once() {
    let limits = Limits::default();
    let seconds =
        |act, failures, told: Option<u64>| pause(act, failures, told.map(Duration::from_secs), &limits).as_secs();
    let withdraw: Vec<u64> = (0..7).map(|failures| seconds(Act::Withdraw, failures, None)).collect();
    assert_eq!(withdraw, [30, 60, 120, 240, 480, 480, 480]);
    let advertise: Vec<u64> = (0..4).map(|failures| seconds(Act::Advertise, failures, None)).collect();
    assert_eq!(advertise, [30, 60, 60, 60]);
    assert_eq!(
        seconds(Act::Withdraw, 3, Some(5)),
        30,
        "never sooner than the first pause"
    );
    assert_eq!(seconds(Act::Withdraw, 0, Some(300)), 300);
}

#[test]
fn an_owner_is_dead_when_its_counter_stood_still_for_twenty_seconds_of_our_clock() {
    let mut watch = Watch::new();
    assert_eq!(watch.dead(dur(1_000)), None, "nothing was seen");
    watch.saw(1, dur(100));
    assert_eq!(watch.dead(dur(100) + DEAD_AFTER - dur(1)), None);
    assert_eq!(watch.dead(dur(100) + DEAD_AFTER), Some(&1));
    watch.saw(1, dur(110));
    assert_eq!(
        watch.dead(dur(100) + DEAD_AFTER),
        Some(&1),
        "seeing the same again is no sign of life"
    );
    watch.saw(2, dur(115));
    assert_eq!(watch.dead(dur(100) + DEAD_AFTER), None);
    watch.forget();
    assert_eq!(watch.dead(dur(10_000)), None);
}

#[test]
fn a_hold_binds_until_its_end_was_announced_for_long_enough() {
    let binds = |until: i64, announced: Option<i64>| binds_until(at(until), announced.map(at), dur(600), at(NOW));
    assert_eq!(binds(NOW + 700, Some(NOW - 1)), Some(at(NOW + 700)));
    assert_eq!(binds(NOW + 1, Some(NOW - 1)), Some(at(NOW + 599)));
    assert_eq!(binds(NOW - 50, None), Some(at(NOW + 600)), "nobody announced it yet");
    assert_eq!(binds(NOW - 50, Some(NOW - 599)), Some(at(NOW + 1)));
    assert_eq!(binds(NOW - 50, Some(NOW - 600)), None);
    assert_eq!(binds(NOW, Some(NOW - 600)), None);
}
