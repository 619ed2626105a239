//! The host: units, the watchdog's cron job, the GeoIP databases.
//!
//! Where systemd does not run (a container), units and watchdog are not asked for: the signs of life in the database
//! tell whether the services work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use domain::time::{minus, since};
use geoip::GeoIp;
use jiff::Timestamp;
use settings::Settings;
use tokio::process::Command;

use super::finding::{Finding, Severity};
use cli::life::UNITS;
use cli::words;

/// Timers that look after the database and the overrides.
const TIMERS: [&str; 3] = [
    "cloudflare-mt-backup.timer",
    "cloudflare-mt-prune.timer",
    "cloudflare-mt-expire.timer",
];

/// What is asked of each unit.
const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result,WatchdogUSec";

/// The watchdog runs every five minutes.
const WATCHDOG_LATE: Duration = Duration::from_secs(20 * 60);

/// Free databases are made anew twice a week; addresses change hands within months.
const GEOIP_OLD: Duration = Duration::from_secs(60 * 86_400);

/// Where things of the installation lie.
#[derive(Debug, Clone)]
pub struct Places {
    /// Exists where systemd runs.
    pub systemd: PathBuf,
    /// The watchdog's cron job.
    pub cron: PathBuf,
    /// Touched at each of its runs.
    pub watchdog_run: PathBuf,
    /// Exists during a maintenance.
    pub maintenance: PathBuf,
}

impl Places {
    /// Those of an installed host.
    pub fn of_the_host(config_dir: &Path) -> Self {
        Self {
            systemd: "/run/systemd/system".into(),
            cron: "/etc/cron.d/cloudflare-services-watchdog".into(),
            watchdog_run: "/run/cloudflare-services-watchdog/lock".into(),
            maintenance: config_dir.join("maintenance"),
        }
    }
}

/// Units and timers.
pub async fn units(places: &Places, limit: Duration) -> Vec<Finding> {
    const CHECK: &str = "units";
    if !places.systemd.is_dir() {
        return vec![Finding::of(
            Severity::Info,
            CHECK,
            "systemd does not run here, so units are not looked at",
            "whoever starts the services must restart them too",
            "'services' tells whether they live",
        )];
    }
    let units: Vec<String> = UNITS.iter().map(|unit| format!("{unit}.service")).collect();
    let asked = Command::new("systemctl")
        .args(["show", "--no-pager", "--property", PROPERTIES])
        .args(&units)
        .args(TIMERS)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let means = "whether the services are restarted when they fail is not known";
    let answer = match tokio::time::timeout(limit, asked).await {
        Ok(Ok(answer)) if answer.status.success() => String::from_utf8_lossy(&answer.stdout).into_owned(),
        Ok(Ok(answer)) => {
            return vec![Finding::unknown(
                CHECK,
                format!("systemctl ended with {}", answer.status),
                means,
            )];
        }
        Ok(Err(error)) => {
            return vec![Finding::unknown(
                CHECK,
                format!("systemctl cannot be run: {error}"),
                means,
            )];
        }
        Err(_) => return vec![Finding::unknown(CHECK, "systemctl did not answer in time", means)],
    };
    judge_units(&answer)
}

fn judge_units(answer: &str) -> Vec<Finding> {
    const CHECK: &str = "units";
    let mut findings = Vec::new();
    let mut fine = 0;
    for block in answer.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let unit: BTreeMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
        let of = |name: &str| unit.get(name).copied().unwrap_or_default();
        let (name, is_timer) = (words::outside(of("Id"), 80), of("Id").ends_with(".timer"));
        let consequence = consequence(&name);
        let start = format!("systemctl status {name}; systemctl enable --now {name}");
        if of("LoadState") != "loaded" {
            let severity = if is_timer {
                Severity::Warning
            } else {
                Severity::Critical
            };
            let text = format!("{name} is {}", words::outside(of("LoadState"), 30));
            let remedy = "install the package, or run scripts/install (docs/10-install.md)";
            findings.push(Finding::of(severity, CHECK, text, consequence, remedy));
            continue;
        }
        if of("ActiveState") != "active" {
            let severity = if is_timer {
                Severity::Warning
            } else {
                Severity::Critical
            };
            let text = format!(
                "{name} is {} ({}, {})",
                words::outside(of("ActiveState"), 30),
                words::outside(of("SubState"), 30),
                words::outside(of("Result"), 30)
            );
            findings.push(Finding::of(severity, CHECK, text, consequence, start));
            continue;
        }
        if !of("UnitFileState").starts_with("enabled") {
            let text = format!("{name} runs, but is {}", words::outside(of("UnitFileState"), 30));
            let means = format!("after the next start of this host: {consequence}");
            let remedy = format!("systemctl enable {name}");
            findings.push(Finding::of(Severity::Warning, CHECK, text, means, remedy));
            continue;
        }
        if !is_timer && matches!(of("WatchdogUSec"), "" | "0" | "infinity") {
            findings.push(Finding::of(
                Severity::Warning,
                CHECK,
                format!("{name} has no watchdog"),
                "a service that hangs is not restarted by systemd",
                "use the shipped unit, with WatchdogSec=60s",
            ));
            continue;
        }
        if let Some(times) = of("NRestarts").parse::<u32>().ok().filter(|times| *times > 0) {
            findings.push(Finding::of(
                Severity::Info,
                CHECK,
                format!("systemd has restarted {name} {times} times since it was started by hand or at boot"),
                "it works now",
                format!("journalctl -u {name} tells why"),
            ));
            continue;
        }
        fine += 1;
    }
    if findings.is_empty() && fine > 0 {
        findings.push(Finding::ok(
            CHECK,
            format!("all {fine} units are active, enabled and watched"),
        ));
    }
    findings
}

fn consequence(unit: &str) -> &'static str {
    match unit.split('.').next().unwrap_or_default() {
        "cloudflare-webhook" => "attacks are not announced as they begin",
        "cloudflare-analytics-monitor" => {
            "attacks are announced without details, and missed notifications are not recovered"
        }
        "cloudflare-autowithdraw" => "nothing is withdrawn by itself; protection stays on",
        "cloudflare-dashboard" => "nobody sees the dashboard",
        "cloudflare-mt-backup" => "no copies of the record are made",
        _ => "old rows are not deleted, and the disk fills up",
    }
}

/// The watchdog's cron job and its last run.
pub fn watchdog(places: &Places, now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "watchdog";
    let mut findings = Vec::new();
    if places.maintenance.exists() {
        findings.push(Finding::of(
            Severity::Info,
            "watchdog.maintenance",
            "a maintenance is announced: the watchdog leaves everything alone",
            "services that fail are restarted by systemd alone, and nobody is told by the watchdog",
            "cloudflare-services-watchdog.sh --maintenance off",
        ));
    }
    if !places.systemd.is_dir() {
        return findings;
    }
    let means = "nobody notices when all services are silent at once";
    let remedy = "install /etc/cron.d/cloudflare-services-watchdog (docs/20-operation.md) and see that cron runs";
    if !places.cron.exists() {
        let text = format!("{} is not there", places.cron.display());
        findings.push(Finding::of(Severity::Critical, CHECK, text, means, remedy));
        return findings;
    }
    match std::fs::metadata(&places.watchdog_run).and_then(|file| file.modified()) {
        Ok(at) => {
            let ran = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
            if since(now, ran) > WATCHDOG_LATE {
                let text = format!("the watchdog ran last {} ago", words::age(ran, now));
                findings.push(Finding::of(Severity::Critical, CHECK, text, means, remedy));
            } else {
                let text = format!("the watchdog ran {} ago", words::age(ran, now));
                findings.push(Finding::ok(CHECK, text));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => findings.push(Finding::of(
            Severity::Info,
            CHECK,
            "when the watchdog ran last is for root to see",
            "its cron job is installed; whether cron runs it is not shown",
            "run the doctor as root",
        )),
        Err(_) => findings.push(Finding::of(
            Severity::Critical,
            CHECK,
            "the watchdog has not run since this host was started",
            means,
            remedy,
        )),
    }
    findings
}

/// Age of the databases that place addresses. Reads them, which may take a second; blocks.
pub fn geoip(settings: &Settings, now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "geoip";
    let geoip = GeoIp::new(settings.geoip.city_candidates(), settings.geoip.asn_candidates());
    geoip.refresh();
    let means = "attackers' countries and networks are missing or wrong in messages; protection is not touched";
    let remedy = "install geoipupdate, or copy GeoLite2-City.mmdb and GeoLite2-ASN.mmdb to /usr/share/GeoIP";
    let mut findings = Vec::new();
    if let Some(problem) = geoip.problem() {
        let text = words::outside(&problem, 300);
        findings.push(Finding::of(Severity::Warning, CHECK, text, means, remedy));
    }
    for (kind, edition) in [("city", geoip.city()), ("ASN", geoip.asn())] {
        let Some(edition) = edition else {
            let text = format!("there is no {kind} database");
            findings.push(Finding::of(Severity::Warning, CHECK, text, means, remedy));
            continue;
        };
        let name = words::outside(&edition.database_type, 60);
        let text = format!("{name} is {} old", words::age(edition.built, now));
        findings.push(if edition.built < minus(now, GEOIP_OLD) {
            Finding::of(Severity::Warning, CHECK, text, means, "let geoipupdate run every week")
        } else {
            Finding::ok(CHECK, text)
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(id: &str, changes: &[(&str, &str)]) -> String {
        let mut unit = BTreeMap::from([
            ("Id", id),
            ("LoadState", "loaded"),
            ("ActiveState", "active"),
            ("SubState", "running"),
            ("UnitFileState", "enabled"),
            ("NRestarts", "0"),
            ("Result", "success"),
            ("WatchdogUSec", "1min"),
        ]);
        unit.extend(changes.iter().copied());
        unit.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    #[test]
    fn units_are_judged_by_what_their_loss_means() {
        let fine = block("cloudflare-webhook.service", &[]);
        let judged = judge_units(&format!(
            "{fine}\n{}",
            block("cloudflare-mt-prune.timer", &[("WatchdogUSec", "")])
        ));
        assert_eq!(judged.len(), 1, "{judged:?}");
        assert_eq!(judged[0].severity, Severity::Ok);
        for (changes, severity) in [
            ([("LoadState", "not-found")], Severity::Critical),
            ([("ActiveState", "failed")], Severity::Critical),
            ([("UnitFileState", "disabled")], Severity::Warning),
            ([("WatchdogUSec", "infinity")], Severity::Warning),
            ([("NRestarts", "4")], Severity::Info),
        ] {
            let judged = judge_units(&format!(
                "{fine}\n{}",
                block("cloudflare-autowithdraw.service", &changes)
            ));
            assert_eq!(judged.len(), 1, "{judged:?}");
            assert_eq!(judged[0].severity, severity, "{judged:?}");
        }
        let timer = judge_units(&block("cloudflare-mt-backup.timer", &[("ActiveState", "inactive")]));
        assert_eq!(timer[0].severity, Severity::Warning);
    }

    #[test]
    fn a_watchdog_must_be_installed_and_run() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            systemd: dir.path().to_owned(),
            cron: dir.path().join("cron"),
            watchdog_run: dir.path().join("lock"),
            maintenance: dir.path().join("maintenance"),
        };
        let now = Timestamp::now();
        let severity = |now| watchdog(&places, now).last().unwrap().severity;
        assert_eq!(severity(now), Severity::Critical, "no cron job");
        std::fs::write(&places.cron, "").unwrap();
        assert_eq!(severity(now), Severity::Critical, "it never ran");
        std::fs::write(&places.watchdog_run, "").unwrap();
        assert_eq!(severity(now), Severity::Ok);
        let later = domain::time::plus(now, Duration::from_secs(3_600));
        assert_eq!(severity(later), Severity::Critical, "it ran long ago");
        std::fs::write(&places.maintenance, "").unwrap();
        assert_eq!(watchdog(&places, now).first().unwrap().severity, Severity::Info);
    }
}
