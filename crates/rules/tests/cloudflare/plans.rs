//! Plan and apply of rules files: what is not ours stays, a second run finds nothing, and faults in the middle are
//! survived.

use cf_api::rest::rulesets::{MANAGED_DDOS_L4, Overrides, RuleBody};
use cf_sim::{FaultKind, FaultSpec, Target};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rules::apply::ApplyError;
use rules::effective::is_everything;
use rules::file::{MnmEntry, OverrideEntry, Rate, RuleEntry, RulesFile, Settings, of_live};
use rules::overrides::add;

use crate::account::{Account, account, by};

const FILE: &str = r#"
[[mnm]]
name = "bps-203.0.113.0_24"
prefixes = ["203.0.113.0/24"]
automatic_advertisement = true
bandwidth_threshold = "2.5 Gbps"
duration = "5m"

[[override]]
name = "resolver"
expression = "ip.dst eq 203.0.113.53 and udp.dstport eq 53"
rules = [{ rule = "DNS-0002", sensitivity = "low" }]

[[override]]
name = "web"
expression = "ip.dst in {203.0.113.80} and tcp.dstport in {80 443}"
sensitivity = "medium"
enabled = false

[global]
sensitivity = "medium"
rules = [{ rule = "UDP-0001", action = "log" }]
"#;

async fn words(account: &Account, file: &RulesFile, adopt: bool) -> Vec<String> {
    let plan = account.desk.plan(file, adopt).await.unwrap();
    let steps = plan.steps.iter().map(|it| format!("{} {}", it.what, it.name));
    steps
        .chain(plan.not_owned.iter().map(|it| format!("not owned {it}")))
        .collect()
}

async fn apply(account: &Account, file: &RulesFile, adopt: bool) {
    let applied = account.desk.apply(&by("apply"), file, adopt, |_| {}).await.unwrap();
    assert!(applied.stopped.is_none(), "{:?}", applied.stopped);
}

#[tokio::test]
async fn a_file_is_applied_once_and_then_nothing_differs() {
    let account = account().await;
    let file = RulesFile::read(FILE).unwrap();
    assert_eq!(
        words(&account, &file, false).await,
        [
            "create bps-203.0.113.0_24",
            "create resolver",
            "create web",
            "create global"
        ]
    );
    apply(&account, &file, false).await;
    assert_eq!(words(&account, &file, false).await, [""; 0]);
    let sent = account.changes();
    apply(&account, &file, false).await;
    assert_eq!(account.changes(), sent, "a second run sends nothing");
    // Somebody changes something by hand: drift, and back.
    let (_, point) = account.desk.read_ddos().await.unwrap();
    let mut on = point.rules()[1].body();
    on.set_enabled(true);
    let change = cf_api::rest::rulesets_changes::RulesetChange::Edit {
        id: point.rules()[1].id.clone(),
        rule: on,
        position: None,
    };
    account
        .other
        .change_ddos(&by("by hand"), &point, &change, "web")
        .await
        .unwrap();
    let plan = account.desk.plan(&file, false).await.unwrap();
    assert_eq!(plan.steps.len(), 1);
    let difference = &plan.steps[0].differences[0];
    assert_eq!(
        (
            difference.key.as_str(),
            difference.now.as_deref(),
            difference.then.as_deref()
        ),
        ("enabled", Some("true"), Some("false"))
    );
    apply(&account, &file, false).await;
    // Another order, one less, and what the file does not look after stays.
    let mut other = file.clone();
    other.overrides.as_mut().unwrap().reverse();
    other.mnm = None;
    assert_eq!(words(&account, &other, false).await, ["move resolver"]);
    apply(&account, &other, false).await;
    other.overrides.as_mut().unwrap().remove(1);
    other.global = Some(Settings::default());
    assert_eq!(
        words(&account, &other, false).await,
        ["delete global", "delete resolver"]
    );
    apply(&account, &other, false).await;
    assert_eq!(words(&account, &other, false).await, [""; 0]);
    assert!(
        account
            .desk
            .cloudflare()
            .list_mnm_rules()
            .await
            .unwrap()
            .iter()
            .any(|it| it.name == "bps-203.0.113.0_24")
    );
    // An exported file is what is there.
    let live = account.desk.live().await.unwrap();
    let (exported, left_out) = of_live(&live.mnm, &live.managed, &live.point);
    assert_eq!(left_out, [""; 0]);
    let read = RulesFile::read(&exported.to_toml().unwrap()).unwrap();
    apply(&account, &read, true).await;
    assert_eq!(words(&account, &read, false).await, [""; 0]);
}

#[tokio::test]
async fn what_is_not_ours_is_not_touched() {
    let account = account().await;
    let (_, point) = account.desk.read_ddos().await.unwrap();
    let all = Overrides {
        action: Some("log".into()),
        ..Overrides::default()
    };
    let theirs = RuleBody::overriding(MANAGED_DDOS_L4, "true", "theirs", &all);
    account
        .other
        .change_ddos(&by("by hand"), &point, &add(&point, theirs, None), "theirs")
        .await
        .unwrap();
    let there = account.desk.cloudflare().list_mnm_rules().await.unwrap();
    let file = RulesFile::read(FILE).unwrap();
    // The one for everything is there already.
    let refused = account.desk.apply(&by("a"), &file, false, |_| {}).await;
    assert!(
        matches!(&refused, Err(ApplyError::NotOwned(names)) if *names == ["override global"]),
        "{refused:?}"
    );
    let mut without = file.clone();
    without.global = None;
    apply(&account, &without, false).await;
    let (_, point) = account.desk.read_ddos().await.unwrap();
    let order: Vec<&str> = point
        .rules()
        .iter()
        .filter_map(|it| it.description.as_deref())
        .collect();
    assert_eq!(
        order,
        ["resolver", "web", "theirs"],
        "ours stand before what takes in everything"
    );
    apply(&account, &file, true).await;
    assert_eq!(words(&account, &file, false).await, [""; 0]);
    let (_, point) = account.desk.read_ddos().await.unwrap();
    assert_eq!(
        point.rules()[2].description.as_deref(),
        Some("theirs"),
        "it keeps its name"
    );
    // A file that asks for nothing takes away ours and no other.
    let nothing = RulesFile {
        mnm: Some(Vec::new()),
        overrides: Some(Vec::new()),
        ..RulesFile::empty()
    };
    apply(&account, &nothing, false).await;
    assert_eq!(account.desk.cloudflare().list_mnm_rules().await.unwrap(), there);
    assert_eq!(account.desk.read_ddos().await.unwrap().1.rules().len(), 1);
}

#[tokio::test]
async fn a_wrong_file_changes_nothing() {
    let account = account().await;
    for (from, to, words) in [
        ("duration = \"5m\"", "duration = \"2m\"", "minutes"),
        ("2.5 Gbps", "0", "at least 1"),
        ("203.0.113.0/24\"]", "203.0.113.1/24\"]", "host bits"),
        ("udp.dstport eq 53\"", "udp.dstport eq 53 and\"", "it ends here"),
        ("DNS-0002", "DNS-9999", "no managed rule"),
        ("\"low\"", "\"high\"", "default"),
        ("\"log\"", "\"managed_challenge\"", "HTTP"),
        ("name = \"web\"", "name = \"resolver\"", "unique"),
        (
            "[global]\nsensitivity = \"medium\"",
            "[global]\naction = \"skip\"",
            "skip",
        ),
    ] {
        let text = FILE.replace(from, to);
        assert_ne!(text, FILE, "{from}");
        let file = RulesFile::read(&text).unwrap();
        let refused = account.desk.apply(&by("a"), &file, true, |_| {}).await.unwrap_err();
        assert!(refused.to_string().contains(words), "{to}: {refused}");
    }
    assert_eq!(account.changes(), 0);
}

fn mnm() -> impl Strategy<Value = MnmEntry> {
    let prefix = prop::sample::select(vec![
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8:1::/48",
    ]);
    let kind = prop::sample::select(vec!["bps", "pps", "zscore", "advanced_ddos"]);
    let minutes = prop::sample::select(vec!["1m", "5m", "45m", "60m"]);
    (
        0..4_u8,
        kind,
        prop::collection::hash_set(prefix, 1..3),
        any::<bool>(),
        1..9_u64,
        minutes,
    )
        .prop_map(
            |(name, kind, prefixes, automatic_advertisement, rate, minutes)| MnmEntry {
                name: format!("rule-{name}"),
                kind: if kind.ends_with("ps") {
                    "threshold".into()
                } else {
                    kind.into()
                },
                prefixes: prefixes.into_iter().map(str::to_owned).collect(),
                automatic_advertisement,
                bandwidth_threshold: (kind == "bps").then(|| Rate::Text(format!("{rate}.5 Gbps"))),
                packet_threshold: (kind == "pps").then_some(Rate::Number(rate * 1_000)),
                duration: (kind != "zscore").then(|| minutes.to_owned()),
                prefix_match: (kind == "advanced_ddos").then(|| "subnet".to_owned()),
                zscore_sensitivity: (kind == "zscore").then(|| "high".to_owned()),
                zscore_target: (kind == "zscore").then(|| "packets".to_owned()),
            },
        )
}

fn level() -> impl Strategy<Value = Option<String>> {
    prop::sample::select(vec!["default", "medium", "low", "eoff"]).prop_map(|it| Some(it.to_owned()))
}

fn entry() -> impl Strategy<Value = OverrideEntry> {
    let rule = prop::option::of(prop::sample::select(vec!["UDP-0001", "DNS-0002"]));
    (0..4_u8, 1..5_u8, any::<bool>(), level(), rule).prop_map(|(name, host, enabled, level, rule)| OverrideEntry {
        name: format!("override-{name}"),
        expression: format!("ip.dst eq 203.0.113.{host} and udp.dstport eq 53"),
        enabled,
        expires: None,
        action: None,
        sensitivity: rule.is_none().then(|| level.clone()).flatten(),
        categories: Vec::new(),
        rules: rule
            .map(|rule| RuleEntry {
                rule: rule.to_owned(),
                action: None,
                sensitivity: level,
            })
            .into_iter()
            .collect(),
    })
}

fn file() -> impl Strategy<Value = RulesFile> {
    let global = prop::option::of(level().prop_map(|sensitivity| Settings {
        sensitivity,
        ..Settings::default()
    }));
    (
        prop::collection::vec(mnm(), 0..4),
        prop::collection::vec(entry(), 0..4),
        global,
    )
        .prop_map(|(mut mnm, mut overrides, global)| {
            let mut seen = std::collections::HashSet::new();
            mnm.retain(|it| seen.insert(it.name.clone()));
            overrides.retain(|it| seen.insert(it.name.clone()));
            RulesFile {
                mnm: Some(mnm),
                overrides: Some(overrides),
                global: Some(global.unwrap_or_default()),
                ..RulesFile::empty()
            }
        })
}

/// How a run is disturbed: at which call, read or change, by what, and whether a change took effect.
fn disturbance() -> impl Strategy<Value = Option<(u32, FaultKind, bool)>> {
    let kinds = vec![
        FaultKind::Reset,
        FaultKind::Garbage,
        FaultKind::TruncatedBody,
        FaultKind::Refuse,
        FaultKind::Status {
            status: 409,
            body: None,
        },
        FaultKind::Status {
            status: 500,
            body: None,
        },
        FaultKind::Status {
            status: 403,
            body: None,
        },
    ];
    prop::option::weighted(0.7, (2..24_u32, prop::sample::select(kinds), any::<bool>()))
}

/// After `apply F`, `plan F` is empty: for files one after the other, from whatever the one before left, with a fault in
/// the middle and a second run.
#[tokio::test]
async fn after_apply_plan_is_empty() {
    let mut runner = TestRunner::deterministic();
    for _round in 0..6 {
        let account = account().await;
        for _file in 0..5 {
            let file = file().new_tree(&mut runner).unwrap().current();
            let disturbed = disturbance().new_tree(&mut runner).unwrap().current();
            if let Some((skip, kind, after_apply)) = &disturbed {
                let mut fault = FaultSpec::new(Target::Rest, kind.clone())
                    .path("/(mnm|rulesets)")
                    .times(1);
                fault.skip = *skip;
                fault.after_apply = *after_apply;
                account.sim.set_fault(fault);
            }
            let first = account.desk.apply(&by("first"), &file, true, |_| {}).await;
            account.sim.clear_faults();
            let failed = match &first {
                Ok(applied) => applied.stopped.is_some(),
                Err(_) => true,
            };
            assert!(!failed || disturbed.is_some(), "{first:?}");
            // The second run belongs to another process.
            let second = account.other.apply(&by("second"), &file, true, |_| {}).await.unwrap();
            assert!(second.stopped.is_none(), "{disturbed:?}\n{:?}", second.stopped);
            assert!(failed || second.done.is_empty(), "{disturbed:?}\n{:?}", second.done);
            let plan = account.other.plan(&file, false).await.unwrap();
            assert!(plan.is_empty(), "{file:?}\n{disturbed:?}\n{plan:?}");
            check(&account, &file).await;
        }
    }
}

/// What is there is what the file says, looked at without the plan.
async fn check(account: &Account, file: &RulesFile) {
    let live = account.other.live().await.unwrap();
    for wanted in file.mnm.iter().flatten() {
        let rule = live.mnm.iter().find(|it| it.name == wanted.name).expect("it is there");
        assert_eq!(rule.prefixes.len(), wanted.prefixes.len());
        assert_eq!(rule.automatic_advertisement, Some(wanted.automatic_advertisement));
    }
    let ours = live.mnm.iter().filter(|it| it.name.starts_with("rule-")).count();
    assert_eq!(ours, file.mnm.iter().flatten().count());
    let names: Vec<&str> = file.overrides.iter().flatten().map(|it| it.name.as_str()).collect();
    let rules = live.point.rules();
    let found: Vec<&str> = rules
        .iter()
        .filter(|it| !is_everything(it))
        .filter_map(|it| it.description.as_deref())
        .collect();
    assert_eq!(found, names, "in the file's order");
    let asks = file.global.as_ref().is_some_and(|it| *it != Settings::default());
    assert_eq!(rules.last().is_some_and(is_everything), asks);
    assert_eq!(live.owned.len(), file.mnm.iter().flatten().count() + rules.len());
}
