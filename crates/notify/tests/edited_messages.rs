//! Messages that are written anew as more notices of their incident come: how they look, and that they stay one piece.

use crate::support::shown::Shown;
use crate::support::{alert_facts, at, checker, frame, full_l4, now, row};
use db::outbox::{Notification, Told};
use domain::alert::Phase;
use domain::ids::{EventId, IncidentId, NotificationId};
use domain::notice::{Facts, Priority};
use notify::Renderer;
use notify::context::Context;
use notify::document::Room;
use proptest::prelude::*;

fn notice(id: i64, facts: Facts) -> Notification {
    Notification {
        id: NotificationId(id),
        event: Some(EventId(100 + id)),
        incident: Some(IncidentId(17)),
        ..row(facts)
    }
}

fn alert(id: i64, phase: Phase) -> Notification {
    notice(id, alert_facts(full_l4(phase), &["203.0.113.0/24"]))
}

fn first() -> Notification {
    Notification {
        state: "sent".into(),
        sent_at: Some(at("2026-03-27 03:19:31")),
        message_id: Some(7),
        ..alert(1, Phase::Start)
    }
}

fn context(told: Told) -> Context {
    Context {
        told: Some(told),
        ..Context::default()
    }
}

#[test]
fn what_follows_a_message_is_written_into_it() {
    let mut shown = Shown::new();
    let fresh = Told {
        first: first(),
        began_as_digest: false,
        kinds: vec![],
        events: None,
        newest: vec![],
    };
    shown.add("one follower", &[alert(2, Phase::Update)], &context(fresh.clone()));
    let rows = [alert(60, Phase::Update), alert(61, Phase::End)];
    let grown = Told {
        kinds: vec![("alert".into(), 50), ("mitigation".into(), 7)],
        events: Some((EventId(102), EventId(158))),
        newest: (40..58).rev().map(|id| alert(id, Phase::Update)).collect(),
        ..fresh.clone()
    };
    shown.add("many followers", &rows, &context(grown.clone()));
    let digest = Told {
        began_as_digest: true,
        ..grown.clone()
    };
    shown.add("a digest that grows", &rows, &context(digest));
    let mut unknown = first();
    unknown.facts = None;
    unknown.kind = "kind_of_tomorrow".into();
    let mut bare = alert(62, Phase::Update);
    bare.facts = None;
    bare.event = None;
    let missing = Told {
        first: unknown,
        ..grown
    };
    shown.add("facts of a newer version", &[bare], &context(missing));
    insta::assert_snapshot!(shown.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_into_a_message_keeps_the_rules(
        title in "\\PC{0,300}", text in "\\PC{0,3000}", kind in "\\PC{0,60}", count in 0u64..u64::MAX / 8,
        rows in 1usize..300, digest in any::<bool>(),
    ) {
        let raised = |id| notice(id, Facts::Raised { title: title.clone(), text: text.clone(), priority: Priority::High });
        let told = Told {
            first: raised(1),
            began_as_digest: digest,
            kinds: vec![(kind, count), ("alert".into(), 3)],
            events: Some((EventId(i64::MIN), EventId(i64::MAX))),
            newest: (2..40).rev().map(raised).collect(),
        };
        let rows: Vec<Notification> = (50..).take(rows).map(raised).collect();
        let pieces = Renderer::new(&frame()).message(&rows, &context(told), now()).pieces(Room::default());
        prop_assert!(pieces.len() <= 8);
        for piece in &pieces {
            if let Err(problem) = checker::check(&piece.html(), &piece.plain()) {
                return Err(TestCaseError::fail(problem));
            }
        }
    }
}
