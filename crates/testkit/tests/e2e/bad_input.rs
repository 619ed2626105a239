//! Bad input: wrong configurations, a full disk, a folder that cannot be written, a database of a newer version. Each
//! gives one clear report, and nothing is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use db::{Db, OpenOptions};
use testkit::service::command;
use testkit::{Pace, Program, Site};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// A copy of a case of `config/testdata` as an installation would have it, with its environment.
fn installed(case: &Path, at: &Path) -> Vec<(String, String)> {
    let mut environment = Vec::new();
    fs::create_dir_all(at).unwrap();
    for entry in fs::read_dir(case).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            environment.extend(installed(&path, &at.join(name)));
            continue;
        }
        if name == "environment.txt" {
            let text = fs::read_to_string(&path)
                .unwrap()
                .replace("{DIR}", at.to_str().unwrap());
            let lines = text.lines().map(|line| line.split_once('=').unwrap());
            environment.extend(lines.map(|(key, value)| (key.to_owned(), value.to_owned())));
        } else if name != "report.txt" && name != "printed.json" {
            fs::copy(&path, at.join(&name)).unwrap();
            fs::set_permissions(at.join(&name), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    environment
}

fn run(name: &str, arguments: &[&str], config: &Path, environment: &[(String, String)]) -> Output {
    let mut command = command(name);
    command
        .arg("--config-dir")
        .arg(config)
        .args(arguments)
        .envs(environment.iter().cloned());
    command.output().unwrap()
}

fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = repository().join("config/testdata").join(kind);
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    cases
}

/// The receiver needs the secret, the automation the credentials: together they ask for all there is.
const ASKED: [Program; 2] = [Program::Webhook, Program::AutoWithdraw];

#[test]
fn every_wrong_configuration_gives_one_report_and_exit_78() {
    let cases = cases("bad");
    assert!(cases.len() >= 25, "{} cases", cases.len());
    let mut faults = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let environment = installed(&case, folder.path());
        let expected = fs::read_to_string(case.join("report.txt")).unwrap();
        let mut refused = 0;
        for program in ASKED {
            let output = run(program.name(), &["--check-config"], folder.path(), &environment);
            let report = String::from_utf8(output.stderr).unwrap();
            match output.status.code() {
                Some(78) if report.contains("config.") => refused += 1,
                // What only another program needs may be missing here.
                Some(0) => {}
                code => faults.push(format!("{name}: {} ends with {code:?}:\n{report}", program.name())),
            }
            let place = folder.path().to_str().unwrap();
            let unknown: Vec<&str> = codes(&report)
                .into_iter()
                .filter(|code| !codes(&expected).contains(code))
                .collect();
            if !unknown.is_empty() {
                faults.push(format!(
                    "{name}: {} adds {unknown:?}:\n{}",
                    program.name(),
                    report.replace(place, "DIR")
                ));
            }
        }
        if refused == 0 {
            faults.push(format!("{name} is refused by nobody"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The stable codes that a report names.
fn codes(report: &str) -> Vec<&str> {
    report
        .split(|c: char| !(c.is_ascii_lowercase() || c == '.' || c == '_'))
        .filter(|word| word.starts_with("config.") && word.len() > "config.".len())
        .collect()
}

#[test]
fn good_configurations_pass() {
    for case in cases("good") {
        let folder = tempfile::tempdir().unwrap();
        let environment = installed(&case, folder.path());
        let output = run(
            Program::Dashboard.name(),
            &["--print-config"],
            folder.path(),
            &environment,
        );
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{}: {report}", case.display());
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(printed.is_object());
    }
}

/// What a service that must not start says, and that it says it once.
async fn refused(site: &Site, program: Program, words: &[&str]) {
    let mut service = site.spawn(program);
    let status = service.end().await;
    let log = service.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(service.manager().heard("READY=1").is_none(), "{log}");
    let reports: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("event=process.failed"))
        .collect();
    assert_eq!(reports.len(), 1, "one report:\n{log}");
    for word in words {
        assert!(reports[0].contains(word), "no {word:?} in {}", reports[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_left_alone() {
    let site = Site::new(Pace::fast()).await;
    let mut service = site.start(Program::Webhook).await;
    assert_eq!(service.stop().await.code(), Some(0));
    let db = Db::open(site.database(), OpenOptions::default()).unwrap();
    let closed = db.close_blocking(Duration::from_secs(5));
    assert!(closed.checkpointed, "the log is in the file");
    drop(db);
    let mut bytes = fs::read(site.database()).unwrap();
    // The user version stands in the header at offset 60, big-endian (https://www.sqlite.org/fileformat.html).
    bytes[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    fs::write(site.database(), &bytes).unwrap();
    for program in Program::ALL {
        refused(&site, program, &["9999", site.database().to_str().unwrap()]).await;
    }
    let after = fs::read(site.database()).unwrap();
    let changed: Vec<usize> = (0..bytes.len().max(after.len()))
        .filter(|at| bytes.get(*at) != after.get(*at))
        .collect();
    assert!(
        changed.is_empty(),
        "{} bytes were changed, at {:?}",
        changed.len(),
        &changed[..changed.len().min(20)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_database_is_left_alone() {
    let site = Site::new(Pace::fast()).await;
    let text = "this was once a shopping list\n".repeat(500);
    fs::write(site.database(), &text).unwrap();
    for program in Program::ALL {
        refused(&site, program, &[site.database().to_str().unwrap()]).await;
    }
    assert_eq!(fs::read_to_string(site.database()).unwrap(), text);
}

/// A small file system of its own in memory at a folder, until dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not allowed (not root, or a container without the right).
    fn mount(at: &Path, options: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "testkit"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(at.to_owned()))
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(done.success(), "remount,{options}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Said by tests that cannot do their work here; `scripts/test` counts and shows these lines.
#[allow(clippy::print_stderr)] // the harness captures it and the script reads it
fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_clearly_and_loses_nothing() {
    let site = Site::new(Pace::fast()).await;
    let Some(disk) = SmallDisk::mount(&site.data_dir(), "size=8m") else {
        return skipped("a full disk needs the right to mount a tmpfs");
    };
    let mut receiver = site.start(Program::Webhook).await;
    let alert = |number: u32| {
        let data = serde_json::json!({"attack_id": format!("{number:032x}")});
        let envelope = serde_json::json!({"alert_correlation_id": format!("{number}")});
        site.sim.alert("l4_start", Some(&data), Some(&envelope)).unwrap()
    };
    assert!(site.sim.send_webhook(&alert(1)).await.delivered());

    // Everything that is left, so that not even one page can be written.
    let ballast = site.data_dir().join("ballast");
    let _ = fs::write(&ballast, vec![0_u8; 16 << 20]);
    let mut refused = None;
    for number in 2..200 {
        let delivery = site.sim.send_webhook(&alert(number)).await;
        if !delivery.delivered() {
            refused = Some((number, delivery.outcome));
            break;
        }
    }
    let (number, outcome) = refused.expect("a full disk stores nothing");
    assert_eq!(outcome, cf_sim::Outcome::Answered(503), "not acknowledged");
    assert!(
        receiver.log().contains("event=webhook.not_stored"),
        "{}",
        receiver.log()
    );
    assert!(
        receiver.log().contains("db.disk_full"),
        "the log says why:\n{}",
        receiver.log()
    );
    let health = reqwest::get(format!("http://{}/health", site.listen(Program::Webhook)))
        .await
        .unwrap();
    let health = health.text().await.unwrap();
    assert!(health.contains("\"database_writable\":false"), "{health}");

    fs::remove_file(&ballast).unwrap();
    assert!(
        site.sim.send_webhook(&alert(number)).await.delivered(),
        "room again: it stores again without a restart"
    );
    let stored = site.record().attack_ids();
    for number in 1..=number {
        assert!(
            stored.contains(&format!("{number:032x}")),
            "alert {number} was acknowledged"
        );
    }
    assert_eq!(receiver.stop().await.code(), Some(0));
    assert!(site.db().integrity_check_blocking().unwrap().is_empty());
    drop(disk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_a_new_file_is_a_clear_refusal() {
    let site = Site::new(Pace::fast()).await;
    let Some(_disk) = SmallDisk::mount(&site.data_dir(), "size=64k") else {
        return skipped("a full disk needs the right to mount a tmpfs");
    };
    refused(&site, Program::Webhook, &[site.database().to_str().unwrap(), "full"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_cannot_be_written_is_a_clear_refusal() {
    let site = Site::new(Pace::fast()).await;
    // As root every mode is writable, so the file system itself is.
    let Some(disk) = SmallDisk::mount(&site.data_dir(), "size=8m") else {
        return skipped("a read-only folder needs the right to mount a tmpfs");
    };
    let mut receiver = site.start(Program::Webhook).await;
    let alert = site.sim.alert("l4_start", None, None).unwrap();
    assert!(site.sim.send_webhook(&alert).await.delivered());
    assert_eq!(receiver.stop().await.code(), Some(0));
    disk.remount("ro");
    for program in Program::ALL {
        refused(&site, program, &[site.database().to_str().unwrap()]).await;
    }
    disk.remount("rw");
    let mut receiver = site.start(Program::Webhook).await;
    assert_eq!(site.record().deliveries, 1, "what was stored is still there");
    assert_eq!(receiver.stop().await.code(), Some(0));
}
