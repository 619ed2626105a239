//! Managed rules and overrides: the setting meant and no other, two people at once, undo of each kind of change.

use cf_api::ErrorClass;
use cf_api::rest::rulesets::{EntryPoint, MANAGED_DDOS_L4, Overrides, RuleBody, Ruleset};
use cf_api::rest::rulesets_changes::{Position, RulesetChange};
use cf_sim::FaultKind;
use rules::desk::{Desk, Outcome};
use rules::effective::{Source, scopes};
use rules::overrides::{About, Edit, Essence, Where, add, find_managed, problems, set};

use crate::account::{account, by};

fn eoff(expression: &str, name: &str) -> RuleBody {
    let overrides = Overrides {
        sensitivity_level: Some("eoff".into()),
        ..Overrides::default()
    };
    RuleBody::overriding(MANAGED_DDOS_L4, expression, name, &overrides)
}

async fn read(desk: &Desk) -> (Ruleset, EntryPoint) {
    desk.read_ddos().await.unwrap()
}

async fn make(desk: &Desk, change: &RulesetChange) -> EntryPoint {
    let (_, point) = read(desk).await;
    desk.check_ddos(&point, change).await.unwrap();
    let done = desk.change_ddos(&by("test"), &point, change, "subject").await.unwrap();
    assert!(done.only_ours);
    done.entry_point.unwrap()
}

async fn add_one(desk: &Desk, body: RuleBody) -> EntryPoint {
    let (_, point) = read(desk).await;
    make(desk, &add(&point, body, None)).await
}

fn names(point: &EntryPoint) -> Vec<&str> {
    point
        .rules()
        .iter()
        .filter_map(|it| it.description.as_deref())
        .collect()
}

#[tokio::test]
async fn exactly_the_rule_meant_is_set_and_reset() {
    let account = account().await;
    let desk = &account.desk;
    // Somebody's override for one host stands first.
    let point = add_one(desk, eoff("ip.dst eq 203.0.113.9", "host")).await;
    let host = Essence::of(&point.rules()[0]);
    let (managed, point) = read(desk).await;
    let rule = find_managed(&managed, "UDP-0001").unwrap();
    let about = About::Rule(&rule.id);
    let change = set(
        &point,
        &managed,
        Where::Everywhere,
        about,
        &Edit::Keep,
        &Edit::Set("low".into()),
    );
    let point = make(desk, &change.unwrap().unwrap()).await;
    assert_eq!(names(&point), ["host", "global"], "the host's override stays first");
    assert_eq!(Essence::of(&point.rules()[0]), host, "and as it was");
    let all = scopes(&managed, point.rules());
    let of = |index: usize| all[index].rules.iter().find(|it| it.rule == rule.id).unwrap().clone();
    assert_eq!(
        (of(1).sensitivity.value.as_str(), of(1).sensitivity.source),
        ("low", Source::Rule)
    );
    assert_eq!(
        (of(1).action.value, of(1).action.source),
        (rule.action.clone().unwrap(), Source::Default)
    );
    assert_eq!(of(0).sensitivity.value, "eoff");
    // The action is added; the sensitivity stays.
    let change = set(
        &point,
        &managed,
        Where::Everywhere,
        about,
        &Edit::Set("log".into()),
        &Edit::Keep,
    );
    let point = make(desk, &change.unwrap().unwrap()).await;
    let entry = &point.rules()[1].overrides().unwrap().rules[0];
    assert_eq!(
        (entry.action.as_deref(), entry.sensitivity_level.as_deref()),
        (Some("log"), Some("low"))
    );
    assert_eq!(
        set(
            &point,
            &managed,
            Where::Everywhere,
            about,
            &Edit::Set("log".into()),
            &Edit::Keep
        ),
        Ok(None)
    );
    // Reset drops the entry.
    let change = set(&point, &managed, Where::Everywhere, about, &Edit::Reset, &Edit::Reset);
    let point = make(desk, &change.unwrap().unwrap()).await;
    assert!(point.rules()[1].overrides().unwrap().rules.is_empty());
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_with_a_reason() {
    let account = account().await;
    let (managed, point) = read(&account.desk).await;
    let udp = find_managed(&managed, "UDP-0001").unwrap();
    let fixed = managed
        .rules
        .iter()
        .find(|it| it.categories.iter().any(|it| it == "read-only"))
        .unwrap();
    let words = |rule: &str, action: &str, sensitivity: &str| {
        let edit = |word: &str| {
            if word.is_empty() {
                Edit::Keep
            } else {
                Edit::Set(word.into())
            }
        };
        let made = set(
            &point,
            &managed,
            Where::Everywhere,
            About::Rule(rule),
            &edit(action),
            &edit(sensitivity),
        );
        made.unwrap_err()
            .into_iter()
            .map(|it| it.text)
            .collect::<Vec<_>>()
            .join("; ")
    };
    assert!(words(&udp.id, "ddos_dynamic", "").contains("reset"));
    assert!(words(&udp.id, "managed_challenge", "").contains("HTTP"));
    assert!(words(&udp.id, "", "high").contains("default"));
    assert!(words(&fixed.id, "log", "").contains("read only"));
    assert!(words("0000", "log", "").contains("no managed rule"));
    let wrong: Overrides =
        serde_json::from_value(serde_json::json!({"rules": [{"id": udp.id, "action": "log", "enabled": false}]}))
            .unwrap();
    let found = problems(&managed, "ip.dst eq 192.0.2.1 and tcp.dstport eq 80", &wrong);
    let text: Vec<&str> = found.iter().map(|it| it.text.as_str()).collect();
    assert!(
        text.iter().any(|it| it.contains("switched off")) && text.iter().any(|it| it.contains("is about UDP")),
        "{text:?}"
    );
    // What our checks let through and Cloudflare does not, its dry run says.
    let bad = add(&point, eoff("ip.dst eq 192.0.2.1 and", "bad"), None);
    let refused = account.desk.check_ddos(&point, &bad).await.unwrap_err();
    assert_eq!(
        (refused.class, refused.outcome),
        (Some(ErrorClass::Refused), Outcome::NotDone),
        "{refused}"
    );
    assert_eq!(read(&account.desk).await.1, point, "a dry run changes nothing");
}

#[tokio::test]
async fn two_people_at_the_same_rules() {
    let account = account().await;
    add_one(&account.desk, eoff("ip.dst eq 203.0.113.1", "one")).await;
    let (_, seen) = read(&account.desk).await;
    add_one(&account.other, eoff("ip.dst eq 203.0.113.2", "two")).await;
    let change = RulesetChange::Delete {
        id: seen.rules()[0].id.clone(),
    };
    let refused = account
        .desk
        .change_ddos(&by("late"), &seen, &change, "one")
        .await
        .unwrap_err();
    assert_eq!(
        (refused.class, refused.outcome),
        (Some(ErrorClass::Conflict), Outcome::NotDone)
    );
    assert_eq!(names(&read(&account.desk).await.1), ["one", "two"]);
    // A version that cannot be read lets nothing be written.
    let (_, seen) = read(&account.desk).await;
    for kind in [
        FaultKind::Garbage,
        FaultKind::Status {
            status: 404,
            body: None,
        },
        FaultKind::Html { status: 404 },
    ] {
        account.fault("/entrypoint", "GET", kind.clone(), false);
        let sent = account.changes();
        assert!(
            account.desk.change_ddos(&by("a"), &seen, &change, "one").await.is_err(),
            "{kind:?}"
        );
        assert_eq!(account.changes(), sent, "{kind:?}");
    }
}

#[tokio::test]
async fn each_kind_of_change_is_taken_back() {
    let account = account().await;
    let desk = &account.desk;
    for (name, host) in [("a", 1), ("b", 2), ("c", 3)] {
        add_one(desk, eoff(&format!("ip.dst eq 203.0.113.{host}"), name)).await;
    }
    let (_, before) = read(desk).await;
    let essences = |point: &EntryPoint| point.rules().iter().map(Essence::of).collect::<Vec<_>>();
    let id = before.rules()[1].id.clone();
    let mut edited = before.rules()[1].body();
    edited.set_enabled(false);
    for change in [
        RulesetChange::Delete { id: id.clone() },
        RulesetChange::Move {
            id: before.rules()[0].id.clone(),
            position: Position::Last,
        },
        RulesetChange::Move {
            id: before.rules()[2].id.clone(),
            position: Position::First,
        },
        RulesetChange::Edit {
            id: id.clone(),
            rule: edited,
            position: None,
        },
        add(&before, eoff("ip.dst eq 203.0.113.4", "d"), Some(Position::First)),
    ] {
        let (_, now) = read(desk).await;
        let change = match change {
            // The deleted rule came back under another id.
            RulesetChange::Edit { rule, .. } => RulesetChange::Edit {
                id: now.rules()[1].id.clone(),
                rule,
                position: None,
            },
            other => other,
        };
        let changed = make(desk, &change).await;
        let expected: Vec<Essence> = rules::overrides::after(now.rules(), &change)
            .into_iter()
            .map(|it| it.1)
            .collect();
        assert_eq!(essences(&changed), expected, "{change:?}");
        assert_ne!(essences(&changed), essences(&before), "{change:?}");
        desk.undo(&by("back"), None).await.unwrap();
        assert_eq!(essences(&read(desk).await.1), essences(&before), "{change:?}");
    }
    // What somebody changed afterwards is kept.
    let (_, now) = read(desk).await;
    let mut off = now.rules()[0].body();
    off.set_enabled(false);
    let first = RulesetChange::Edit {
        id: now.rules()[0].id.clone(),
        rule: off.clone(),
        position: None,
    };
    make(desk, &first).await;
    let change = desk.changes(1).await.unwrap()[0].id;
    off.set_description("theirs");
    make(
        &account.other,
        &RulesetChange::Edit {
            id: now.rules()[0].id.clone(),
            rule: off,
            position: None,
        },
    )
    .await;
    let refused = desk.undo(&by("back"), Some(change)).await.unwrap_err();
    assert_eq!(refused.code, "undo.changed_since");
}

#[tokio::test]
async fn the_first_override_of_an_account_can_be_lost_and_found() {
    let account = account().await;
    let (_, point) = read(&account.desk).await;
    assert_eq!(point.ruleset(), None);
    account.fault("/entrypoint", "PUT", FaultKind::Reset, true);
    let change = add(&point, eoff("ip.dst eq 203.0.113.1", "one"), None);
    assert!(matches!(change, RulesetChange::Put { .. }));
    let done = account
        .desk
        .change_ddos(&by("a"), &point, &change, "one")
        .await
        .unwrap();
    assert_eq!(names(&done.entry_point.unwrap()), ["one"]);
    account.desk.undo(&by("back"), None).await.unwrap();
    assert_eq!(read(&account.desk).await.1.rules(), []);
    let versions = account.desk.cloudflare();
    let id = read(&account.desk).await.1.ruleset().unwrap().summary.id.clone();
    let old = versions.list_ruleset_versions(&id).await.unwrap();
    assert!(old.len() >= 2);
    assert_eq!(versions.get_ruleset_version(&id, "1").await.unwrap().rules.len(), 1);
    assert!(versions.list_rulesets().await.unwrap().iter().any(|it| it.id == id));
}
