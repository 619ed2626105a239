//! `doctor`: everything that protection and alarming rest on, looked at once, with what it means and what to do.
//!
//! | Module | Holds |
//! |---|---|
//! | [`finding`] | one finding: severity, meaning, remedy |
//! | [`cloudflare`] | credential, clock, analytics |
//! | [`prefixes`] | prefixes, locks, mapping, network monitoring |
//! | [`notices`] | policies, destinations, the receiver from inside and outside |
//! | [`telegram`] | bot and chat |
//! | [`file`](mod@file) | the database file, its disk and its copies |
//! | [`record`] | what services left in it: life, versions, messages |
//! | [`host`] | units, watchdog, GeoIP |
//!
//! Must hold: nothing is changed anywhere, not even a counter in the database; whatever cannot be found out is told as
//! unknown, which is not fine; all is over within five seconds, whoever does not answer.

pub mod cloudflare;
pub mod file;
pub mod finding;
pub mod host;
pub mod notices;
pub mod prefixes;
pub mod record;
pub mod telegram;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use cf_api::{CloudflareClient, Transport};
use cli::{Ink, Trouble, ink, words};
use daemon::exit;
use db::Db;
use domain::time::since;
use jiff::Timestamp;
use prefix_ops::emergency::spool::Spool;
use serde::Serialize;
use settings::Loaded;

use crate::args::DoctorArgs;
use crate::desk::Desk;
use finding::{Finding, Severity};

/// Longest time of one thing that is looked at; all are looked at side by side, so it is nearly that of the whole.
const EACH: Duration = Duration::from_millis(4_000);

/// Longest time of one call, so that two in a row fit.
const CALL: Duration = Duration::from_millis(2_500);

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    at: Timestamp,
    /// How long it took, milliseconds.
    took_ms: u128,
    /// The worst severity of all findings.
    worst: Severity,
    /// Findings by severity.
    counts: BTreeMap<&'static str, usize>,
    /// Worst first.
    findings: &'a [Finding],
}

/// Looks at everything.
///
/// # Errors
/// When the report cannot be written.
pub async fn run(desk: &Desk, loaded: &Loaded, asked: DoctorArgs) -> Result<u8, Trouble> {
    let (began, at) = (Instant::now(), desk.now());
    if desk.out.aside_screen().width().is_some() && !desk.out.is_json() {
        desk.out
            .aside("looking at Cloudflare, Telegram, the database and this host; 5 s at most\n");
    }
    let mut findings = look(desk, loaded).await;
    findings.sort_by_key(|finding| finding.severity);
    let worst = findings.first().map_or(Severity::Unknown, |finding| finding.severity);
    let mut counts: BTreeMap<&'static str, usize> = Severity::ALL.iter().map(|severity| (severity.word(), 0)).collect();
    for finding in &findings {
        *counts.entry(finding.severity.word()).or_default() += 1;
    }
    let report = Report {
        schema: "cloudflare-mt/doctor/1",
        at,
        took_ms: began.elapsed().as_millis(),
        worst,
        counts,
        findings: &findings,
    };
    if desk.out.is_json() {
        desk.out.document(&report)?;
    } else {
        desk.out.text(&text(&report, asked.all, desk))?;
    }
    let bad = worst <= Severity::Unknown || (asked.strict && worst <= Severity::Warning);
    Ok(if bad { exit::FAILURE } else { exit::DONE })
}

/// Everything at once; what does not end in time is unknown.
async fn look(desk: &Desk, loaded: &Loaded) -> Vec<Finding> {
    let settings = &desk.settings;
    let path = &settings.database.path;
    let (db, opened) = file::open(path);
    let record = match &db {
        Some(db) => read_record(db, desk.now()).await,
        None => Err(None),
    };
    let transport = assembly::parts::transport();
    let mut findings = configuration(loaded);
    let silence = record.as_ref().ok().and_then(|record| record.silence_until);
    let places = host::Places::of_the_host(&loaded.directory);
    let (at_cloudflare, told, here, units, integrity, geoip) = tokio::join!(
        at_cloudflare(desk, &transport, silence),
        telegram::check(&transport, settings, EACH),
        notices::receiver_here(&transport, settings, CALL),
        host::units(&places, CALL),
        integrity(db.as_ref()),
        geoip(desk),
    );
    findings.push(opened);
    findings.extend(integrity);
    findings.push(file::room(path));
    findings.extend(file::permissions(path));
    findings.extend(emergencies(path));
    match record {
        Ok(record) => {
            findings.extend(record.judge(desk.now()));
            findings.push(file::backup(record.backup, desk.now()));
            findings.push(cloudflare::may_write(record.accepted, desk.now()));
        }
        Err(Some(unreadable)) => findings.push(unreadable),
        // Said by the file already.
        Err(None) => {}
    }
    findings.extend(at_cloudflare);
    findings.extend(told);
    findings.extend(here);
    findings.extend(units);
    findings.extend(host::watchdog(&places, desk.now()));
    findings.extend(geoip);
    findings
}

/// Acts that nobody has in the journal yet.
fn emergencies(path: &Path) -> Option<Finding> {
    let waiting = Spool::of(path).waiting();
    let first = waiting.first()?;
    let count = words::counted(waiting.len(), "act", "acts");
    Some(Finding::of(
        Severity::Critical,
        "database.emergency",
        format!("{count} of an emergency wait to be recorded, first {}", first.display()),
        "nobody can see in the record who did what; until they are in it they may be announced as changes by somebody else",
        "the withdraw daemon takes them in as soon as the database can be written; if it runs and they stay: cloudflare-mt import spool",
    ))
}

async fn read_record(db: &Db, now: Timestamp) -> Result<record::Record, Option<Finding>> {
    db.read("doctor", move |tx| record::read(tx, now))
        .await
        .map_err(|error| {
            Some(Finding::of(
                Severity::Critical,
                "database.rows",
                format!("the database cannot be read: {}", cli::trouble::chain(&error)),
                "nobody knows what the services do",
                "cloudflare-mt db check; docs/40-runbooks.md, \"The database is damaged\"",
            ))
        })
}

async fn integrity(db: Option<&Db>) -> Vec<Finding> {
    match db {
        Some(db) => vec![file::integrity(db, EACH).await],
        None => Vec::new(),
    }
}

async fn geoip(desk: &Desk) -> Vec<Finding> {
    let (settings, now) = (desk.settings.clone(), desk.now());
    let reading = tokio::task::spawn_blocking(move || host::geoip(&settings, now));
    match tokio::time::timeout(EACH, reading).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(_)) | Err(_) => vec![Finding::of(
            Severity::Info,
            "geoip",
            "the GeoIP databases could not be read within the doctor's time",
            "how old they are is not known; protection is not touched",
            "look at the disk they lie on",
        )],
    }
}

fn configuration(loaded: &Loaded) -> Vec<Finding> {
    const CHECK: &str = "configuration";
    if loaded.warnings.is_empty() {
        return vec![Finding::ok(
            CHECK,
            format!("{} has no problem", loaded.directory.display()),
        )];
    }
    let mut findings = Vec::new();
    for problem in &loaded.warnings {
        let (check, means) = match problem.code {
            settings::Code::ReadableByOthers => (
                "files.permissions",
                "whoever reads the secrets can act in your name at Cloudflare or invent attacks",
            ),
            settings::Code::WritableByOthers => (
                "files.permissions",
                "whoever changes the configuration decides what is withdrawn",
            ),
            settings::Code::NotConfigured => (CHECK, "that part does not work"),
            _ => (CHECK, "the programs start, but perhaps not as you meant it"),
        };
        let line = problem.one_line(&loaded.directory);
        let text = line.strip_suffix(&format!("; {}", problem.remedy)).unwrap_or(&line);
        findings.push(Finding::of(
            Severity::Warning,
            check,
            words::outside(text, 400),
            means,
            words::outside(&problem.remedy, 300),
        ));
    }
    findings
}

/// Everything that is asked of Cloudflare.
async fn at_cloudflare(desk: &Desk, transport: &Transport, silence: Option<Timestamp>) -> Vec<Finding> {
    const CHECK: &str = "cloudflare";
    const MEANS: &str = "nothing can be said about prefixes, rules and notifications";
    let now = desk.now();
    if let Some(until) = silence {
        let text = format!(
            "Cloudflare has asked for silence for another {} s; it is not asked",
            since(until, now).as_secs()
        );
        return vec![Finding::unknown(CHECK, text, MEANS)];
    }
    let api = match desk.cloudflare_uncounted(transport) {
        Ok(api) => api.with_deadlines(cf_api::Deadlines {
            read: CALL,
            query: EACH,
            ..cf_api::Deadlines::default()
        }),
        Err(trouble) => {
            let remedy = trouble
                .remedy
                .unwrap_or_else(|| "set cloudflare.api_token and cloudflare.account_id".to_owned());
            return vec![Finding::of(Severity::Critical, CHECK, trouble.text, MEANS, remedy)];
        }
    };
    let (credential, clock, analytics, on_prefixes, on_notices) = tokio::join!(
        within(
            "cloudflare.credential",
            cloudflare::credential(&api, &desk.settings, now)
        ),
        within("cloudflare.clock", cloudflare::time(&api, CALL)),
        within("cloudflare.analytics", cloudflare::analytics(&api)),
        within("cloudflare.prefixes", on_prefixes(&api, desk)),
        within("cloudflare.notifications", on_notices(&api, transport, now)),
    );
    [credential, clock, analytics, on_prefixes, on_notices].concat()
}

async fn on_prefixes(api: &CloudflareClient, desk: &Desk) -> Vec<Finding> {
    let (found, rules) = tokio::join!(prefixes::read(api), api.list_mnm_rules());
    let mut findings = found.findings.clone();
    // Without any list there is nothing to compare with, and that was said.
    if found.complete || !found.prefixes.is_empty() {
        findings.extend(prefixes::compare(&found, &desk.settings));
    }
    findings.extend(prefixes::coverage(&rules, &desk.settings));
    findings
}

async fn on_notices(api: &CloudflareClient, transport: &Transport, now: Timestamp) -> Vec<Finding> {
    let (mut findings, ours) = notices::policies(api, now).await;
    let asked = ours
        .iter()
        .map(|destination| notices::receiver_from_outside(transport, destination, Duration::from_millis(1_400)));
    findings.extend(futures_util::future::join_all(asked).await);
    findings
}

async fn within(check: &'static str, work: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    match tokio::time::timeout(EACH, work).await {
        Ok(findings) => findings,
        Err(_) => vec![Finding::unknown(
            check,
            format!("Cloudflare did not answer within {}", domain::duration::human(EACH)),
            "nothing can be said about it",
        )],
    }
}

fn text(report: &Report<'_>, all: bool, desk: &Desk) -> String {
    let screen = desk.out.screen();
    let mut text = String::new();
    let shown = |finding: &&Finding| all || finding.severity != Severity::Ok;
    for finding in report.findings.iter().filter(shown) {
        let word = finding.severity.word();
        let word = match finding.severity {
            Severity::Critical => ink(Ink::Attack, &word.to_uppercase()),
            Severity::Unknown => ink(Ink::Warn, &word.to_uppercase()),
            Severity::Warning => ink(Ink::Warn, word),
            Severity::Info => ink(Ink::Faint, word),
            Severity::Ok => ink(Ink::Calm, word),
        };
        let title = format!("{word} {}", ink(Ink::Faint, finding.check));
        let mut rows = vec![("  seen", words::outside(&finding.text, 600))];
        if let Some(means) = &finding.means {
            rows.push(("  means", means.clone()));
        }
        if let Some(remedy) = &finding.remedy {
            rows.push(("  do", remedy.clone()));
        }
        text.push_str(&format!("{title}\n{}", cli::table::fields(&rows, screen)));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let counted: Vec<String> = Severity::ALL
        .iter()
        .filter_map(|severity| {
            let count = report.counts.get(severity.word()).copied().unwrap_or_default();
            (count > 0).then(|| format!("{count} {}", severity.word()))
        })
        .collect();
    let hint = if all {
        ""
    } else {
        "; --all shows what is as it should be"
    };
    let took = report.took_ms as f64 / 1_000.0;
    text.push_str(&format!("{}, after {took:.1} s{hint}\n", counted.join(", ")));
    text
}
