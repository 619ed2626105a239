//! Help, usage errors, configuration, completions: what needs no Cloudflare.

use std::time::{Duration, Instant};

use crate::world::{command, run, site};

#[tokio::test(flavor = "multi_thread")]
async fn help_of_every_command() {
    let site = site().await;
    let help = |arguments: &[&str]| {
        let mut command = command(&site, arguments);
        // Help shows the values of variables.
        command.env_remove("CLOUDFLARE_MT_CONFIG_DIR");
        crate::support::run(command).shown()
    };
    insta::assert_snapshot!("help", help(&["--help"]));
    for command in ["status", "list", "advertise", "withdraw", "hold", "release", "history"] {
        insta::assert_snapshot!(format!("help-{command}"), help(&[command, "--help"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_end_with_2_and_say_what_is_meant() {
    let site = site().await;
    let bare = run(&site, &[]);
    assert_eq!((bare.code, bare.stdout.as_str()), (2, ""));
    assert!(
        bare.stderr.contains("Usage: cloudflare-prefix-manager"),
        "{}",
        bare.shown()
    );
    for (arguments, said) in [
        (&["statsu"][..], "'status'"),
        (&["withdraw"], "CIDR"),
        (&["withdraw", "203.0.113.5/24"], "the network is 203.0.113.0/24"),
        (&["hold", "203.0.113.0/24", "--reason", "x"], "--until-released"),
        (
            &["hold", "203.0.113.0/24", "--for", "2", "--reason", "x"],
            "a unit (ms, s, m, h, d) is missing",
        ),
        (&["hold", "203.0.113.0/24", "--for", "2h", "--reason", " "], "say why"),
        (
            &["hold", "203.0.113.0/24", "--until", "2020-01-01", "--reason", "x"],
            "would hold nothing",
        ),
        (&["status", "--colour"], "unexpected argument"),
    ] {
        let wrong = run(&site, arguments);
        assert_eq!(wrong.code, 2, "{arguments:?}: {}", wrong.shown());
        assert!(wrong.stderr.contains(said), "{arguments:?}: {}", wrong.shown());
        assert_eq!(wrong.stdout, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_checked_and_printed_without_secrets() {
    let mut site = site().await;
    let good = run(&site, &["--check-config"]);
    assert_eq!(good.code, 0, "{}", good.shown());
    let printed = run(&site, &["--print-config"]);
    assert_eq!(printed.code, 0);
    assert!(printed.stdout.contains("api_base_url"), "{}", printed.shown());
    assert!(!printed.stdout.contains("simulated-api-token"), "{}", printed.shown());
    site.set("/autowithdraw/calm_period", serde_json::json!("soon"));
    for arguments in [
        &["--check-config"][..],
        &["status"],
        &["advertise", "203.0.113.0/24", "--yes"],
    ] {
        let bad = run(&site, arguments);
        assert_eq!(bad.code, 78, "{}", bad.shown());
        assert!(bad.stderr.contains("autowithdraw.calm_period"), "{}", bad.shown());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_completions_and_man_pages() {
    let site = site().await;
    let version = run(&site, &["--version"]);
    assert!(
        version.stdout.starts_with("cloudflare-prefix-manager 0."),
        "{}",
        version.shown()
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&site, &["completions", shell]);
        assert!(
            script.code == 0 && script.stdout.contains("withdraw"),
            "{}",
            script.shown()
        );
    }
    let pages = tempfile::tempdir().unwrap();
    assert_eq!(run(&site, &["man", pages.path().to_str().unwrap()]).code, 0);
    let withdraw = std::fs::read_to_string(pages.path().join("cloudflare-prefix-manager-withdraw.1")).unwrap();
    assert!(withdraw.contains(".TH"), "{withdraw}");
}

/// No runtime, no trust store, no connection for what needs none. The limit is generous for a busy machine; a set-up of
/// TLS alone would cost ten times the usual time.
#[tokio::test(flavor = "multi_thread")]
async fn help_is_quick() {
    let site = site().await;
    let fastest = (0..5)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(run(&site, &["--help"]).code, 0);
            began.elapsed()
        })
        .min()
        .unwrap();
    assert!(fastest < Duration::from_millis(250), "{fastest:?}");
}
