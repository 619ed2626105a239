//! Questions on a terminal: y/N, the typed CIDR, Ctrl-C.

use cf_sim::{FaultKind, FaultSpec, Target};
use domain::intent::IntentState;
use testkit::Site;
use testkit::site::PREFIX;

use crate::support::Terminal;
use crate::world::{advertised_long_ago, attack, command, daemon_beats, database, quiet, site};

fn terminal(site: &Site, arguments: &[&str]) -> Terminal {
    Terminal::start(command(site, arguments), 120)
}

fn advertised(site: &Site) -> bool {
    site.sim.prefix(PREFIX).unwrap().advertised
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_asks_yes_or_no_and_waits_for_the_outcome() {
    let site = site().await;
    advertised_long_ago(&site);
    quiet(&site);
    let no = terminal(&site, &["withdraw", PREFIX]);
    no.expect("Withdraw 203.0.113.0/24? [y/N]").keys("\n");
    let (code, said) = no.end();
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("cancelled; nothing was changed"), "{said}");
    assert!(site.record().intents.is_empty());
    quiet(&site);
    daemon_beats(&database(&site), 1).await;
    let yes = terminal(&site, &["withdraw", PREFIX]);
    yes.expect("[y/N]").keys("y\n");
    let (code, said) = yes.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("is withdrawn, read back from Cloudflare"), "{said}");
    assert!(!advertised(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_attack_the_prefix_must_be_typed() {
    let site = site().await;
    advertised_long_ago(&site);
    attack(&site);
    let hasty = terminal(&site, &["withdraw", PREFIX]);
    hasty
        .expect("Type 203.0.113.0/24 to withdraw it although it is UNDER ATTACK")
        .keys("y\n");
    let (code, said) = hasty.end();
    assert_eq!(code, 4, "{said}");
    assert!(
        said.contains("dropped over the newest 1 min, on"),
        "the live rate is shown: {said}"
    );
    assert!(advertised(&site));
    attack(&site);
    let sure = terminal(&site, &["withdraw", PREFIX]);
    sure.expect("UNDER ATTACK:").keys("203.0.113.0/24\n");
    let (code, said) = sure.end();
    assert_eq!(code, 0, "{said}");
    assert!(!advertised(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_is_not_quiet() {
    let site = site().await;
    advertised_long_ago(&site);
    // Analytics that do not answer.
    site.sim.set_fault(FaultSpec::new(
        Target::Graphql,
        FaultKind::Status {
            status: 503,
            body: None,
        },
    ));
    let asked = terminal(&site, &["withdraw", PREFIX]);
    asked
        .expect("although nobody can tell whether it is under attack")
        .keys("yes\n");
    let (code, said) = asked.end();
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("UNKNOWN"), "{said}");
    assert!(advertised(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_at_the_question_changes_nothing() {
    let site = site().await;
    let asked = terminal(&site, &["advertise", PREFIX]);
    asked.expect("Advertise 203.0.113.0/24? [y/N]").signal("INT");
    let (code, said) = asked.end();
    assert_eq!(code, 130, "{said}");
    assert!(site.record().intents.is_empty() && !advertised(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_while_waiting_leaves_the_intent_to_the_daemon() {
    let site = site().await;
    daemon_beats(&database(&site), 1).await;
    site.sim.set_fault(
        FaultSpec::new(
            Target::Rest,
            FaultKind::Status {
                status: 503,
                body: None,
            },
        )
        .method("PATCH"),
    );
    let waiting = terminal(&site, &["advertise", PREFIX, "--yes", "--timeout", "10m"]);
    waiting
        .expect("Ctrl-C stops waiting, not the act")
        .expect("it is still withdrawn")
        .signal("INT");
    let (code, said) = waiting.end();
    assert_eq!(code, 130, "{said}");
    let record = site.record();
    assert!(record.intents[0].0.state.is_open(), "{}", record.shown());
    assert_ne!(
        record.intents[0].0.state,
        IntentState::Sending,
        "no step is cut in half"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_input_is_a_no() {
    let site = site().await;
    let asked = terminal(&site, &["advertise", PREFIX]);
    asked.expect("[y/N]").keys("\u{4}");
    let (code, said) = asked.end();
    assert_eq!(code, 4, "{said}");
}
