//! Every command in the documents: those that can be executed here are, in a site with all services; of those that cannot a
//! list says why and what tests them instead; and every call of our programs, also within sentences, is one that the
//! program understands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use testkit::site::PREFIX;
use testkit::{Pace, RealService, Site, binaries, stories};

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Documents that are made from the programs themselves; their tests keep them true.
const GENERATED: [&str; 3] = ["30-configuration.md", "50-log-events.md", "51-http-api.md"];

/// Beginnings of commands that are not executed here, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("cargo build", "the programs that this test runs were built with it"),
    (
        "scripts/package",
        "scripts/systemd-test makes the package and installs it",
    ),
    ("sudo apt install", "scripts/systemd-test"),
    ("sudo scripts/install", "scripts/systemd-test"),
    ("sudo cp /usr/share/doc", "scripts/systemd-test"),
    ("sudo chgrp", "scripts/systemd-test"),
    ("sudoedit", "a person's editor"),
    ("sudo /usr/lib/cloudflare-mt/setup", "scripts/systemd-test"),
    ("sudo /usr/lib/cloudflare-mt/take-over", "scripts/systemd-test"),
    (
        "sudo /usr/lib/cloudflare-mt/cloudflare-services-watchdog.sh",
        "scripts/watchdog-test",
    ),
    ("systemctl status", "scripts/systemd-test"),
    ("journalctl", "scripts/systemd-test"),
    ("litestream", "scripts/litestream-test"),
    ("scripts/demo", "it is a run of its own"),
    ("scripts/test", "it is what runs this"),
    (
        "cloudflare-prefix-manager advertise",
        "it changes BGP; the tests of the prefix manager do",
    ),
    (
        "cloudflare-sim",
        "it serves until it is stopped; the simulator's tests run its commands",
    ),
    (
        "cloudflare-mt drill --person",
        "it waits for a person; the tests of the drill play one",
    ),
];

/// It names the predecessor's calls beside ours, in the first column of a table.
const COMPARES: &str = "52-command-line.md";

fn top() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("the repository").to_owned()
}

/// The documents by name.
fn documents() -> BTreeMap<String, String> {
    let top = top();
    let mut pages = vec![top.join("README.md")];
    for entry in std::fs::read_dir(top.join("docs")).unwrap() {
        pages.push(entry.unwrap().path());
    }
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let is_one = name.ends_with(".md") && !GENERATED.contains(&name.as_str());
        is_one.then(|| (name, std::fs::read_to_string(path).unwrap()))
    };
    pages.into_iter().filter_map(read).collect()
}

/// Commands of the `console` blocks, in order, without what follows a `#`.
fn of_blocks(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            inside = !inside && kind.starts_with("console");
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            let command = command.split(" # ").next().unwrap_or_default().trim();
            commands.push(command.to_owned());
        }
    }
    commands
}

/// Calls of our programs within sentences and tables.
fn of_sentences(page: &str) -> Vec<String> {
    let lines: Vec<&str> = page.lines().collect();
    let text = lines.join(" ");
    let spans = text.split('`').skip(1).step_by(2);
    spans
        .filter(|span| span.starts_with("cloudflare-") && span.contains(' '))
        .map(str::to_owned)
        .collect()
}

/// The page without the predecessor's calls.
fn of_ours(page: &str) -> String {
    let mut ours = String::new();
    let mut inside = false;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            inside = title == "Commands of the Python system";
        }
        let kept = match line.split_once(" | ") {
            Some((_, now)) if inside => now,
            _ => line,
        };
        ours.push_str(kept);
        ours.push('\n');
    }
    ours
}

/// A placeholder's value.
fn filled(command: &str) -> String {
    let words = command.split_whitespace().map(|word| match word {
        "PREFIX" | "PREFIX…" => PREFIX,
        "ID" | "NUMBER" | "EVENT" => "1",
        "NEWEST" | "FILE" | "COPY" => "/nonexistent/file",
        "NAME" | "RULE" | "USER" => "example",
        "DIR" => "/nonexistent",
        "REASON" | "…" | "..." | "WHY" => "why",
        other => other,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn programs() -> PathBuf {
    let one = binaries::program("cloudflare-mt");
    one.parent().expect("a folder").to_owned()
}

fn shell(command: &str, site: Option<&Site>, folder: &Path) -> Output {
    let mut shell = Command::new("timeout");
    shell
        .args([&LIMIT.as_secs().to_string(), "sh", "-c", command])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs().display()))
        .env("TIMESTAMP", "1774576800")
        .env("BODY", "{}")
        .env("SECRET", "example")
        .stdin(std::process::Stdio::null());
    if let Some(site) = site {
        shell.env("CLOUDFLARE_MT_CONFIG_DIR", site.config_dir());
    }
    shell.output().expect("a shell")
}

/// What a command means in the test's own folders.
fn here(command: &str, site: &Site, folder: &Path) -> String {
    let folder = folder.display().to_string();
    command
        .trim_start_matches("sudo ")
        .replace("/srv/copies", &format!("{folder}/copies"))
        .replace("/tmp/copy.db", &format!("{folder}/copies/mt.db"))
        .replace("/path/to/logs/webhooks", &format!("{folder}/webhooks"))
        .replace("/etc/bash_completion.d", &folder)
        .replace("/usr/local/share/man/man1", &format!("{folder}/man"))
        .replace("/etc/cloudflare-mt", &site.config_dir().display().to_string())
        .replace("db restore ", "db restore --yes ")
        .replace("--yes --yes", "--yes")
}

async fn stop(services: &mut Vec<RealService>) {
    for service in services.iter() {
        service.signal("TERM");
    }
    for mut service in services.drain(..) {
        assert_eq!(service.end().await.code(), Some(0), "{}", service.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_that_can_be_executed_works() {
    let site = Site::new(Pace::fast()).await;
    site.sim.run_scenario_toml(&stories::quiet()).unwrap();
    let mut services = site.start_all().await;
    site.until("the prefix is known and judged", Duration::from_secs(60), |record| {
        record.verdict(PREFIX).is_some()
    })
    .await;
    site.until_told().await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["copies", "webhooks", "man"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let stored = r#"{"text": "an old notification", "ts": 1774576800}"#;
    std::fs::write(folder.path().join("webhooks/webhook_20260327_020000.json"), stored).unwrap();
    let (mut executed, mut used) = (0, BTreeMap::new());
    for (name, page) in documents() {
        for command in of_blocks(&page) {
            if let Some((beginning, _)) = NOT_HERE.iter().find(|(beginning, _)| command.starts_with(beginning)) {
                used.insert(*beginning, ());
                continue;
            }
            match command.as_str() {
                "sudo systemctl stop cloudflare-mt.target" => stop(&mut services).await,
                "sudo systemctl start cloudflare-mt.target" => services = site.start_all().await,
                command => {
                    // A restore wants nobody at the file; the text before it says so.
                    let stopped = command.contains("db restore") && !services.is_empty();
                    if stopped {
                        stop(&mut services).await;
                    }
                    let output = shell(&here(command, &site, folder.path()), Some(&site), folder.path());
                    assert!(output.status.success(), "{name}: {command}: {output:?}");
                    if stopped {
                        services = site.start_all().await;
                    }
                    executed += 1;
                }
            }
        }
    }
    assert!(executed >= 12, "{executed} commands were executed");
    let unused: Vec<&str> = NOT_HERE
        .iter()
        .map(|(b, _)| *b)
        .filter(|b| !used.contains_key(b))
        .collect();
    assert_eq!(unused, Vec::<&str>::new(), "no document has these commands any more");
    stop(&mut services).await;
}

#[test]
fn every_call_of_our_programs_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let (mut wrong, mut calls) = (Vec::new(), 0);
    for (name, page) in documents() {
        let blocks = of_blocks(&page).into_iter().map(|command| command.replace("sudo ", ""));
        let ours = blocks.filter(|command| command.starts_with("cloudflare-"));
        let sentences = of_sentences(&if name == COMPARES { of_ours(&page) } else { page });
        for command in ours.chain(sentences) {
            // Up to a redirection; a call is parsed up to --help, which then is the answer.
            let call = command
                .split(['>', '|', ';'])
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            let output = shell(&format!("{} --help", filled(&call)), None, folder.path());
            calls += 1;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr)
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                wrong.push(format!("{name}: {call}: {said}"));
            }
        }
    }
    assert!(calls > 30, "{calls} calls were found");
    assert_eq!(wrong, Vec::<String>::new());
}
