//! Real command-line processes: Ctrl-C, protected acts, closed pipes, errors.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub, dead_code)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{ChildStdout, Command, Stdio};

use support::{Process, probe_binary};

fn start(mode: &str) -> (Process, BufReader<ChildStdout>) {
    let mut process = Process::of(
        Command::new(probe_binary())
            .env_clear()
            .env("PROBE_MODE", format!("command-{mode}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let stdout = BufReader::new(process.child.stdout.take().expect("piped"));
    (process, stdout)
}

fn line(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("reads");
    line
}

fn stderr(process: &mut Process) -> String {
    let mut text = String::new();
    let mut stderr = process.child.stderr.take().expect("piped");
    stderr.read_to_string(&mut text).expect("reads");
    text
}

#[test]
fn an_interrupt_ends_a_waiting_command() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (mut process, mut stdout) = start("wait");
        assert_eq!(line(&mut stdout), "waiting\n");
        process.signal(signal);
        assert_eq!(process.code(), Some(code));
        assert_eq!(stderr(&mut process), "");
    }
}

/// Starts an act that must not be left half done, interrupts it, and waits until the command has noticed.
fn interrupted_act() -> (Process, BufReader<ChildStdout>) {
    let (mut process, mut stdout) = start("act");
    assert_eq!(line(&mut stdout), "acting\n");
    process.signal("INT");
    let mut stderr = BufReader::new(process.child.stderr.take().expect("piped"));
    let mut notice = String::new();
    stderr.read_line(&mut notice).expect("reads");
    assert!(
        notice.contains("finishing what was begun; press Ctrl-C again"),
        "{notice}"
    );
    (process, stdout)
}

#[test]
fn an_act_is_finished_before_the_interrupt_counts() {
    let (mut process, mut stdout) = interrupted_act();
    drop(process.child.stdin.take());
    assert_eq!(line(&mut stdout), "finished\n");
    assert_eq!(process.code(), Some(130));
}

#[test]
fn a_second_interrupt_does_not_wait_for_the_act() {
    let (mut process, mut stdout) = interrupted_act();
    process.signal("INT");
    assert_eq!(process.code(), Some(130));
    assert_eq!(line(&mut stdout), "", "not finished");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let (mut process, mut stdout) = start("write");
    assert_eq!(line(&mut stdout), "another line\n");
    drop(stdout);
    assert_eq!(process.code(), Some(0));
    assert_eq!(stderr(&mut process), "");
}

#[test]
fn an_error_is_one_line_that_cannot_move_the_cursor() {
    let (mut process, _stdout) = start("fail");
    assert_eq!(process.code(), Some(1));
    assert_eq!(
        stderr(&mut process),
        "cloudflare-probe: the other side said \u{fffd}[2J\n"
    );
}
