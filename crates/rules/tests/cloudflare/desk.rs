//! One change at a time: backup, read-back, conflict, undo, audit.

use std::time::Duration;

use cf_api::ErrorClass;
use cf_api::rest::mnm_changes::{MnmFields, MnmKind};
use cf_api::rest::rulesets::{MANAGED_DDOS_L4, Overrides, RuleBody};
use cf_api::rest::rulesets_changes::RulesetChange;
use cf_sim::FaultKind;
use db::rule_changes::{self, Expiry, Family, Opening, State};
use jiff::Timestamp;
use rules::desk::Outcome;
use rules::overrides::{NEW, add, rules_after};

use crate::account::{Account, account, by};

pub(crate) fn fields(name: &str) -> MnmFields {
    MnmFields {
        name: name.into(),
        kind: MnmKind::Threshold,
        prefixes: vec!["203.0.113.0/24".parse().unwrap()],
        automatic_advertisement: Some(true),
        bandwidth_threshold: Some(2_500_000_000),
        packet_threshold: None,
        duration: Some(Duration::from_secs(300)),
        prefix_match: None,
        zscore_sensitivity: None,
        zscore_target: None,
    }
}

async fn names(account: &Account) -> Vec<String> {
    let rules = account.desk.cloudflare().list_mnm_rules().await.unwrap();
    rules.into_iter().map(|rule| rule.name).collect()
}

#[tokio::test]
async fn all_four_kinds_are_created_edited_deleted_and_taken_back() {
    let account = account().await;
    let desk = &account.desk;
    let mut zscore = fields("z");
    (zscore.kind, zscore.bandwidth_threshold) = (MnmKind::Zscore, None);
    (zscore.zscore_sensitivity, zscore.zscore_target) = (Some("low".into()), Some("bits".into()));
    let mut ddos = fields("d");
    (ddos.kind, ddos.bandwidth_threshold) = (MnmKind::AdvancedDdos, None);
    ddos.prefix_match = Some("subnet".into());
    ddos.prefixes.push("2001:db8:1::/48".parse().unwrap());
    let mut pps = fields("p");
    (pps.bandwidth_threshold, pps.packet_threshold) = (None, Some(500_000));
    let before = names(&account).await;
    for wanted in [fields("b"), pps, zscore, ddos] {
        let made = desk.create_mnm(&by("test"), &wanted).await.unwrap().mnm.unwrap();
        assert!(rules::mnm::same(&MnmFields::of(&made).unwrap(), &wanted), "{made:?}");
        let mut changed = wanted.clone();
        changed.duration = Some(Duration::from_secs(3_600));
        changed.automatic_advertisement = Some(false);
        let edited = desk.edit_mnm(&by("test"), &made, &changed).await.unwrap();
        let rule = edited.mnm.unwrap();
        assert_eq!(rule.duration, Some(Duration::from_secs(3_600)));
        // The edit is taken back, then the deletion.
        desk.undo(&by("back"), None).await.unwrap();
        let again = desk
            .cloudflare()
            .get_mnm_rule(rule.id.as_deref().unwrap())
            .await
            .unwrap();
        assert!(rules::mnm::same(&MnmFields::of(&again).unwrap(), &wanted), "{again:?}");
        let gone = desk.delete_mnm(&by("test"), &again).await.unwrap();
        assert!(!names(&account).await.contains(&wanted.name));
        let (undone, _) = desk.undo(&by("back"), Some(gone.change)).await.unwrap();
        assert_eq!(undone.what, "delete");
        assert!(names(&account).await.contains(&wanted.name));
        let twice = desk.undo(&by("back"), Some(gone.change)).await.unwrap_err();
        assert_eq!(
            (twice.code.as_str(), twice.outcome),
            ("undo.impossible", Outcome::NotDone)
        );
    }
    assert_eq!(names(&account).await.len(), before.len() + 4);
    let audit = account.audit().await;
    assert_eq!(audit.len(), 4 * 5, "{audit:?}");
    assert!(audit.iter().all(|(_, result)| result == "ok"));
    let sent = account.sim.requests_since(0);
    let edit = sent.iter().find(|it| it.method == "PATCH").unwrap();
    let body: serde_json::Value = serde_json::from_str(&edit.body).unwrap();
    let mut keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["automatic_advertisement", "duration", "name", "prefixes", "type"],
        "only what differs"
    );
}

#[tokio::test]
async fn the_switch_turns_and_says_to_which_side() {
    let account = account().await;
    let api = account.desk.cloudflare();
    let rule = api.list_mnm_rules().await.unwrap().remove(0);
    assert_eq!(api.toggle_mnm_advertisement(&rule).await, Ok(false));
    assert_eq!(api.toggle_mnm_advertisement(&rule).await, Ok(true));
}

#[tokio::test]
async fn what_somebody_else_changed_is_not_overwritten() {
    let account = account().await;
    let made = account.desk.create_mnm(&by("a"), &fields("shared")).await.unwrap();
    let seen = made.mnm.unwrap();
    let mut theirs = fields("shared");
    theirs.bandwidth_threshold = Some(1_000);
    account.other.edit_mnm(&by("b"), &seen, &theirs).await.unwrap();
    let mut mine = fields("shared");
    mine.duration = Some(Duration::from_secs(60));
    let sent = account.changes();
    let refused = account.desk.edit_mnm(&by("a"), &seen, &mine).await.unwrap_err();
    assert_eq!(
        (refused.class, refused.outcome),
        (Some(ErrorClass::Conflict), Outcome::NotDone)
    );
    assert!(account.desk.delete_mnm(&by("a"), &seen).await.is_err());
    let undo = account.desk.undo(&by("a"), Some(made.change)).await.unwrap_err();
    assert_eq!(undo.code, "undo.changed_since");
    assert_eq!(account.changes(), sent, "nothing was sent");
}

#[tokio::test]
async fn a_lost_answer_is_read_back_and_a_failure_is_one() {
    let account = account().await;
    // It took effect; the answer was spoilt.
    for (index, kind) in [FaultKind::Garbage, FaultKind::Reset, FaultKind::TruncatedBody]
        .into_iter()
        .enumerate()
    {
        account.fault("/mnm/rules", "POST", kind.clone(), true);
        let name = format!("lost-{index}");
        let done = account.desk.create_mnm(&by("a"), &fields(&name)).await;
        assert_eq!(done.unwrap().mnm.unwrap().name, name, "{kind:?}");
    }
    // It did not.
    let before = names(&account).await;
    for (kind, class, outcome) in [
        (
            FaultKind::Status {
                status: 403,
                body: None,
            },
            ErrorClass::Permission,
            Outcome::NotDone,
        ),
        (
            FaultKind::RateLimited { retry_after: Some(9) },
            ErrorClass::RateLimited,
            Outcome::NotDone,
        ),
        (
            FaultKind::Status {
                status: 500,
                body: None,
            },
            ErrorClass::Transient,
            Outcome::Unknown,
        ),
        (FaultKind::Html { status: 200 }, ErrorClass::Malformed, Outcome::Unknown),
    ] {
        account.fault("/mnm/rules", "POST", kind.clone(), false);
        let error = account.desk.create_mnm(&by("a"), &fields("never")).await.unwrap_err();
        assert_eq!(
            (error.class, error.outcome),
            (Some(class), outcome),
            "{kind:?}: {error}"
        );
    }
    assert_eq!(names(&account).await, before);
    let changes = account.desk.changes(9).await.unwrap();
    let states: Vec<State> = changes.iter().rev().map(|it| it.state).collect();
    use State::{Done, Refused, Unknown};
    assert_eq!(states, [Done, Done, Done, Refused, Refused, Unknown, Unknown]);
    // A rule that cannot be read is not edited.
    let rule = account.desk.cloudflare().list_mnm_rules().await.unwrap().pop().unwrap();
    account.fault("/mnm/rules/", "GET", FaultKind::Garbage, false);
    let sent = account.changes();
    let blind = account
        .desk
        .edit_mnm(&by("a"), &rule, &fields("lost-2"))
        .await
        .unwrap_err();
    assert_eq!((blind.outcome, account.changes()), (Outcome::NotDone, sent), "{blind}");
}

#[tokio::test]
async fn what_cloudflare_refuses_is_not_sent() {
    let account = account().await;
    let mut wrong = fields("a b");
    wrong.duration = Some(Duration::from_secs(120));
    let error = account.desk.create_mnm(&by("a"), &wrong).await.unwrap_err();
    assert!(
        error.text.contains("a space") && error.text.contains("minutes"),
        "{error}"
    );
    assert_eq!(account.changes(), 0);
}

async fn ends(account: &Account) -> Vec<Expiry> {
    let read = account.desk.db().read("ends", rule_changes::expiries);
    read.await.unwrap()
}

#[tokio::test]
async fn an_end_belongs_to_its_override_and_comes_back_with_it() {
    let account = account().await;
    let desk = &account.desk;
    let (_, point) = desk.read_ddos().await.unwrap();
    let until: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let overrides = Overrides {
        sensitivity_level: Some("low".into()),
        ..Overrides::default()
    };
    let body = RuleBody::overriding(MANAGED_DDOS_L4, "ip.dst eq 203.0.113.7", "host", &overrides);
    let change = add(&point, body, None);
    let looked = rules_after(point.rules(), &change);
    assert!(
        looked
            .iter()
            .any(|rule| rule.id == NEW && rule.description.as_deref() == Some("host"))
    );
    let made = desk
        .change_with_end(&by("for a week"), &point, &change, "host", Some(Some(until)))
        .await
        .unwrap();
    let point = made.entry_point.unwrap();
    let rule = point
        .rules()
        .iter()
        .find(|rule| rule.description.as_deref() == Some("host"));
    let id = rule.unwrap().id.clone();
    let stored = ends(&account).await;
    assert_eq!(
        (stored.len(), &stored[0].rule_id, stored[0].expires_at),
        (1, &id, until)
    );
    assert!(
        account
            .audit()
            .await
            .iter()
            .any(|(action, result)| action == "ddos_l4.end" && result == "ok")
    );
    // Deleted and put back: another id, the same end.
    let gone = desk
        .change_ddos(&by("gone"), &point, &RulesetChange::Delete { id: id.clone() }, "host")
        .await
        .unwrap();
    let (_, back) = desk.undo(&by("back"), Some(gone.change)).await.unwrap();
    let point = back.entry_point.unwrap();
    let rule = point
        .rules()
        .iter()
        .find(|rule| rule.description.as_deref() == Some("host"))
        .unwrap();
    assert_ne!(rule.id, id);
    let again = ends(&account).await;
    assert!(
        again
            .iter()
            .any(|end| end.rule_id == rule.id && end.expires_at == until),
        "{again:?}"
    );
    desk.set_end(&by("for good"), &rule.id, "host", None).await.unwrap();
    assert!(ends(&account).await.iter().all(|end| end.rule_id != rule.id));
}

#[tokio::test]
async fn what_nobody_recorded_is_not_taken_back() {
    let account = account().await;
    let opening = Opening {
        at: Timestamp::now(),
        actor: "ana@noc".into(),
        via: "test".into(),
        reason: None,
        family: Family::DdosL4,
        what: "edit".into(),
        subject: "host".into(),
        before: None,
        wanted: None,
        undoes: None,
    };
    let open = account
        .desk
        .db()
        .write("open", move |tx| rule_changes::open(tx, &opening));
    let lost = open.await.unwrap();
    let refused = account.desk.undo(&by("back"), Some(lost)).await.unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.outcome),
        ("undo.unknown", Outcome::NotDone)
    );
    assert_eq!(account.changes(), 0, "nothing was sent");
}
