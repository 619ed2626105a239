//! A recorded run, decided again by the command line: the same verdicts, and what another policy would have done.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Pace, Program, Site, binaries, stories};

use crate::slice::end;

fn replay(site: &Site, arguments: &[&str]) -> Output {
    let recording = site.data_dir().join("recordings").join("autowithdraw.jsonl");
    // Nothing but the file is needed.
    Command::new(binaries::program("cloudflare-mt"))
        .arg("replay")
        .arg(recording)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_attack_is_decided_again_as_it_was() {
    let mut site = Site::new(Pace::fast()).await;
    site.set("/autowithdraw/record_inputs", json!(true));
    let mut services = vec![
        site.start(Program::Webhook).await,
        site.start(Program::AutoWithdraw).await,
    ];
    site.sim.run_scenario_toml(&stories::attack()).unwrap();
    let limit = Duration::from_secs(20) + site.pace.withdrawn_within();
    site.until("it is withdrawn", limit, |record| record.history.len() == 1)
        .await;
    site.until("it is seen withdrawn", limit, |record| {
        record.verdict(testkit::site::PREFIX).as_deref() == Some("direct")
    })
    .await;
    end(&site, &mut services).await;

    let told = replay(&site, &[]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(
        told.status.code(),
        Some(0),
        "{text}{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert!(text.contains("all decided as they were recorded"), "{text}");
    let place = |verdict: &str| {
        text.find(&format!(" {verdict} "))
            .unwrap_or_else(|| panic!("no {verdict} in\n{text}"))
    };
    assert!(
        place("attack") < place("calm") && place("calm") < place("withdraw"),
        "{text}"
    );

    let policy = site.path().join("other.json");
    std::fs::write(&policy, r#"{"calm_period": "1h"}"#).unwrap();
    let compared = replay(&site, &["--json", "--policy", policy.to_str().unwrap()]);
    let document: Value = serde_json::from_slice(&compared.stdout).unwrap();
    assert_eq!(document["different"], 0, "{document}");
    assert_eq!(document["recorded_policy"]["total"]["withdrawals"], 1, "{document}");
    // Nobody knows what would have followed: its clock said not before an hour, the recording ends sooner.
    assert_eq!(document["other_policy"]["total"]["withdrawals"], 0, "{document}");

    std::fs::write(&policy, r#"{"calm_perod": "1h"}"#).unwrap();
    let refused = replay(&site, &["--policy", policy.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("calm_perod"));
}
