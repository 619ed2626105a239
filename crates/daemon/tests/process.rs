//! Real service processes under a service manager that the test owns: READY, STATUS, WATCHDOG, STOPPING, signals, codes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{PATIENCE, Process, Site, pause, probe_binary};

const ANYWHERE: &str = "127.0.0.1:0";

fn count(messages: &[String], part: &str) -> usize {
    messages.iter().filter(|message| message.contains(part)).count()
}

#[test]
fn a_service_from_start_to_stop() {
    let site = Site::new(ANYWHERE);
    let mut process = site.start("");
    let start = site.messages_until("READY=1");
    assert_eq!(start[0], "STATUS=starting: opening the database\n");
    assert_eq!(count(&start, "STOPPING"), 0);
    for _ in 0..3 {
        site.messages_until("WATCHDOG=1");
    }
    site.messages_until("STATUS=working, 0 reloads\n");
    process.signal("HUP");
    site.messages_until("STATUS=working, 1 reloads\n");
    process.signal("TERM");
    site.messages_until("STOPPING=1\nSTATUS=stopping (terminate)\n");
    assert_eq!(process.code(), Some(0));

    let log = site.stderr();
    for event in [
        "process.started",
        "http.listening",
        "process.ready",
        "process.reload.requested",
        "process.stopped",
    ] {
        assert_eq!(
            log.matches(&format!(" event={event} ")).count(),
            1,
            "{event} once in\n{log}"
        );
    }
    for line in log.lines() {
        let (time, rest) = line.split_once(' ').expect("a time");
        assert_eq!((time.len(), &time[10..11], &time[23..]), (24, "T", "Z"), "{line}");
        assert!(["INFO ", "WARN "].iter().any(|level| rest.starts_with(level)), "{line}");
    }
}

#[test]
fn a_stalled_loop_stops_the_watchdog_though_others_work() {
    let site = Site::new(ANYWHERE);
    let process = site.start("stall");
    let before = site.messages_until("READY=1");
    assert_eq!(count(&before, "STOPPING"), 0);
    let deadline = Instant::now() + PATIENCE;
    while !site.stderr().contains("event=watchdog.loop.stalled name=stuck") {
        assert!(Instant::now() < deadline, "no stall in\n{}", site.stderr());
        site.next_message();
    }
    let old = site.messages_left();
    assert!(count(&old, "WATCHDOG") <= 1, "at most one that was on its way: {old:?}");
    // Another loop reports every 20 ms: 50 reports are twenty turns of the watchdog, which pings every 50 ms.
    let mut after = Vec::new();
    while count(&after, "STATUS=") < 50 {
        after.push(site.next_message());
    }
    assert_eq!(count(&after, "WATCHDOG"), 0, "{after:?}");
    assert_eq!(
        site.stderr().matches("watchdog.loop.stalled name=stuck").count(),
        1,
        "said once"
    );
    drop(process);
}

#[test]
fn a_loop_that_ends_early_ends_the_process_with_its_name() {
    let site = Site::new(ANYWHERE);
    assert_eq!(site.start("early").code(), Some(1));
    let log = site.stderr();
    assert!(
        log.contains("ERROR event=process.failed code=1 reason=internal"),
        "{log}"
    );
    assert!(
        log.contains(r#"error="early ended although it was not asked to""#),
        "{log}"
    );
    assert_eq!(count(&site.messages_left(), "STOPPING=1"), 1);
}

#[test]
fn a_panic_in_a_loop_ends_the_process_and_is_one_line() {
    let site = Site::new(ANYWHERE);
    assert_eq!(site.start("panic").code(), Some(1));
    let log = site.stderr();
    assert!(log.contains("ERROR event=process.panicked thread=main at="), "{log}");
    assert!(log.contains(r#"problem="first line\nsecond line""#), "{log}");
    assert!(
        log.contains(r#"error="broken panicked: first line\nsecond line""#),
        "{log}"
    );
}

#[test]
fn what_does_not_stop_is_named_at_the_end_of_the_drain() {
    let site = Site::new(ANYWHERE);
    let mut process = Process::of(site.command("deaf").env("PROBE_DRAIN_MS", "300"));
    site.messages_until("READY=1");
    process.signal("INT");
    assert_eq!(process.code(), Some(1));
    let log = site.stderr();
    assert!(log.contains("event=process.stopping reason=interrupt"), "{log}");
    assert!(
        log.contains("event=process.failed code=1 reason=interrupt forced=false not_stopped=deaf"),
        "{log}"
    );
}

#[test]
fn the_drain_is_not_cut_short_by_the_watchdog() {
    let site = Site::new(ANYWHERE);
    let mut process = Process::of(site.command("stall").env("PROBE_DRAIN_MS", "600000"));
    site.messages_until("READY=1");
    process.signal("TERM");
    site.messages_until("STOPPING=1");
    // The loop that does not end is past its limit of 400 ms after the eighth of these, at 50 ms each.
    for _ in 0..16 {
        site.messages_until("WATCHDOG=1");
    }
    process.signal("TERM");
    assert_eq!(process.code(), Some(1));
}

#[test]
fn a_second_signal_ends_at_once() {
    let site = Site::new(ANYWHERE);
    let mut process = Process::of(site.command("deaf").env("PROBE_DRAIN_MS", "600000"));
    site.messages_until("READY=1");
    process.signal("TERM");
    site.messages_until("STOPPING=1");
    process.signal("TERM");
    assert_eq!(process.code(), Some(1));
    let log = site.stderr();
    assert!(log.contains("event=process.stop.forced"), "{log}");
    let end = log.lines().last().expect("a line");
    // The service's own part may still be closing its database at that moment.
    assert!(
        end.contains("event=process.failed") && end.contains("forced=true not_stopped="),
        "{end}"
    );
    assert!(end.contains("deaf"), "{end}");
}

#[test]
fn a_taken_port_is_a_failed_start_that_names_it() {
    let holder = TcpListener::bind(ANYWHERE).expect("binds");
    let address = holder.local_addr().expect("an address").to_string();
    let site = Site::new(&address);
    assert_eq!(site.start("").code(), Some(1));
    let log = site.stderr();
    assert!(
        log.contains(&format!("cannot listen on {address} (set by webhook.listen)")),
        "{log}"
    );
    assert_eq!(
        log.matches("Address already in use").count(),
        1,
        "the cause once:\n{log}"
    );
    assert_eq!(count(&site.messages_left(), "READY"), 0);
}

#[test]
fn health_and_metrics_are_served() {
    let site = Site::new(ANYWHERE);
    let mut process = site.start("");
    site.messages_until("READY=1");
    let log = site.stderr();
    let address = log
        .split_whitespace()
        .find_map(|word| word.strip_prefix("address="))
        .expect("the address that was taken");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("sets");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("reads");
        answer
    };
    let health = get("/health");
    assert!(health.starts_with("HTTP/1.1 200 OK"), "{health}");
    assert!(health.contains("cache-control: no-store"), "{health}");
    let body = health.split("\r\n\r\n").nth(1).expect("a body");
    let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(
        (&json["status"], &json["service"]),
        (&"ok".into(), &"cloudflare-probe".into())
    );
    assert_eq!(json["checks"][0]["name"], "loop:http:probe");
    assert!(
        json["uptime_s"].is_u64() && json["version"].is_string() && json["started_at"].is_string(),
        "{json}"
    );
    let metrics = get("/metrics");
    assert!(
        metrics.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{metrics}"
    );
    assert!(metrics.contains("cloudflare_mt_health 0"), "{metrics}");
    process.signal("TERM");
    assert_eq!(process.code(), Some(0));
}

#[test]
fn questions_and_mistakes_have_their_exit_codes() {
    let site = Site::new(ANYWHERE);
    let code = |arguments: &[&str]| Process::of(site.command("").args(arguments)).code();
    assert_eq!(code(&["--check-config"]), Some(0));
    assert_eq!(code(&["--print-config"]), Some(0));
    assert_eq!(code(&["--version"]), Some(0));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["--frobnicate"]), Some(2));
    assert!(site.stderr().contains("--frobnicate"));
    assert_eq!(code(&["--log-level", "inof"]), Some(2));
    assert!(site.stderr().contains("`inof` is not a level"), "{}", site.stderr());
    std::fs::write(site.path().join("settings.json"), "{").expect("writes");
    assert_eq!(code(&[]), Some(78));
    assert!(site.stderr().contains("settings.json"), "{}", site.stderr());
    assert_eq!(code(&["--check-config"]), Some(78));
    assert!(
        site.messages_left().is_empty(),
        "none of these told the manager anything"
    );
}

#[test]
fn help_into_a_closed_pipe_is_no_failure() {
    let mut child = Command::new(probe_binary())
        .arg("--help")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn without_a_manager_it_runs_all_the_same() {
    let site = Site::new(ANYWHERE);
    let mut command = site.command("");
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
    let mut process = Process::of(&mut command);
    let deadline = Instant::now() + PATIENCE;
    while !site.stderr().contains("event=process.ready") {
        assert!(Instant::now() < deadline, "{}", site.stderr());
        pause();
    }
    process.signal("TERM");
    assert_eq!(process.code(), Some(0));
    assert!(site.message_within(Duration::from_millis(1)).is_none());
}
