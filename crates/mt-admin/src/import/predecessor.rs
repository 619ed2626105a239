//! `import predecessor`: a whole installation of the Python system, rehearsed first.
//!
//! Must hold: its folder is only read; what is here already is left as it is, so repeating changes nothing; without
//! `--apply` everything happens to a copy in a folder that is removed; a database that cannot be taken over is put aside
//! and never left half done in its place; everything odd is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::{Ink, Out, Table, Trouble, ink, words};
use daemon::exit;
use db::Db;
use serde::Serialize;
use serde_json::json;
use settings::{LoadOptions, Loaded};

use super::place::{self, Owner, TempFolder};
use crate::desk::{Desk, audit};

/// The files of its configuration.
const CONFIGURATION: [&str; 4] = [
    "settings.json",
    "prefix_mapping.json",
    "auth.json",
    "dashboard_prefs.json",
];

/// Remembers in the database where it came from.
const TAKEN_FROM: &str = "import.predecessor";

/// A database of gigabytes takes minutes to read.
const CHECK_LIMIT: Duration = Duration::from_secs(3_600);

/// Odd things listed as text; JSON lists all.
const MOST_LISTED: usize = 40;

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// With `--apply` it is taken.
    WouldTake,
    /// It was taken now.
    Taken,
    /// It is here already.
    There,
    /// The predecessor has none.
    Absent,
    /// It could not be taken.
    Failed,
}

#[derive(Debug, Serialize)]
struct Item {
    what: String,
    outcome: Outcome,
    text: String,
}

#[derive(Debug, Serialize)]
struct Odd {
    what: String,
    text: String,
}

/// The report while it grows.
#[derive(Debug, Default)]
struct Report {
    items: Vec<Item>,
    odd: Vec<Odd>,
}

impl Report {
    fn item(&mut self, what: &str, outcome: Outcome, text: impl Into<String>) {
        self.items.push(Item {
            what: what.to_owned(),
            outcome,
            text: text.into(),
        });
    }

    fn odd(&mut self, what: &str, text: impl Into<String>) {
        self.odd.push(Odd {
            what: what.to_owned(),
            text: text.into(),
        });
    }
}

/// Where things come from and go to.
struct Way<'a> {
    from: &'a Path,
    config_dir: &'a Path,
    apply: bool,
}

/// Takes it over, or says what would be taken.
///
/// # Errors
/// What prevented all of it.
pub async fn run(out: Out, from: &Path, config_dir: &Path, apply: bool) -> Result<u8, Trouble> {
    if !from.join("config").is_dir() && !from.join("db").is_dir() {
        let text = format!("{} has neither config nor db in it", from.display());
        let remedy = "name the folder of the Python system, usually Cloudflare_MT_Integration";
        return Err(Trouble::failed("import.folder", text).remedy(remedy));
    }
    let way = Way {
        from,
        config_dir,
        apply,
    };
    let mut report = Report::default();
    let staging = TempFolder::new().map_err(|error| failed("a folder for the rehearsal", &error))?;
    let taken = stage_configuration(&way, &staging, &mut report)?;
    let loaded = load(staging.path(), &mut report)?;
    if apply {
        install_configuration(&way, &staging, &taken, &mut report)?;
    }
    account_and_preferences(&loaded, &mut report);
    let mut desk = Desk::new(out, loaded.settings);
    database(&way, &staging, &mut desk, &mut report).await?;
    old_cron_jobs(&mut report);
    conclude(out, &way, &desk, &report)
}

fn failed(what: &str, error: &std::io::Error) -> Trouble {
    Trouble::failed("import.failed", format!("{what} cannot be made: {error}"))
}

/// Puts what will be the configuration into the staging folder: ours where there is one, else the predecessor's.
/// Returns what is taken from the predecessor.
fn stage_configuration(way: &Way<'_>, staging: &TempFolder, report: &mut Report) -> Result<Vec<&'static str>, Trouble> {
    let mut taken = Vec::new();
    for name in CONFIGURATION {
        let (here, there) = (way.config_dir.join(name), way.from.join("config").join(name));
        let (source, ours) = if here.exists() { (&here, true) } else { (&there, false) };
        let bytes = match std::fs::read(source) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                report.item(
                    name,
                    Outcome::Absent,
                    "the predecessor has none, and there is none here",
                );
                continue;
            }
            Err(error) => {
                let text = format!("{} cannot be read: {error}", source.display());
                return Err(Trouble::failed("import.configuration", text).remedy("run it as root"));
            }
        };
        if ours {
            report.item(
                name,
                Outcome::There,
                format!("{} is here already and is used", here.display()),
            );
            if std::fs::read(&there).is_ok_and(|old| old != bytes) {
                report.odd(
                    name,
                    format!("{} differs from the predecessor's, which is not used", here.display()),
                );
            }
        } else {
            taken.push(name);
            report.item(name, Outcome::WouldTake, format!("from {}", there.display()));
        }
        place::write(&staging.path().join(name), &bytes, 0o600, None)
            .map_err(|error| failed("the copy for the rehearsal", &error))?;
    }
    Ok(taken)
}

/// Reads the staged configuration as the services would. Nothing is taken over into a configuration that cannot be used.
fn load(staging: &Path, report: &mut Report) -> Result<Loaded, Trouble> {
    let options = LoadOptions::of_process(Some(staging.to_owned()), &[]);
    match settings::load(&options) {
        Ok(loaded) => {
            for problem in &loaded.warnings {
                report.odd("configuration", problem.one_line(staging));
            }
            Ok(loaded)
        }
        Err(bad) => {
            let lines: Vec<String> = bad.errors().map(|problem| problem.one_line(staging)).collect();
            let text = format!("its configuration cannot be used:\n{}", lines.join("\n"));
            let remedy = "put a corrected copy into the configuration folder (--config-dir) and run it again; \
                          nothing was changed";
            Err(Trouble::new(exit::BAD_CONFIG, "import.configuration", text).remedy(remedy))
        }
    }
}

fn install_configuration(
    way: &Way<'_>,
    staging: &TempFolder,
    taken: &[&'static str],
    report: &mut Report,
) -> Result<(), Trouble> {
    let target = way.config_dir;
    let cannot = |name: &str, error: &std::io::Error| {
        let text = format!("{} cannot be written: {error}", target.join(name).display());
        Trouble::failed("import.configuration", text).remedy("run it as root")
    };
    std::fs::create_dir_all(target).map_err(|error| cannot("", &error))?;
    let owner = Owner::of_the_service().filter(|_| Owner::can_give());
    for name in taken {
        let bytes = std::fs::read(staging.path().join(name)).map_err(|error| cannot(name, &error))?;
        // The group reads them, root owns them: a service that is taken over cannot change what it is told.
        let (mode, owner) = match owner {
            Some(owner) => (0o640, Some(Owner { user: 0, ..owner })),
            None => (0o600, None),
        };
        place::write(&target.join(name), &bytes, mode, owner).map_err(|error| cannot(name, &error))?;
        if let Some(item) = report.items.iter_mut().find(|item| item.what == *name) {
            item.outcome = Outcome::Taken;
        }
    }
    Ok(())
}

fn account_and_preferences(loaded: &Loaded, report: &mut Report) {
    let legacy = &loaded.settings.legacy;
    if let Some(account) = &legacy.auth {
        let name = words::outside(&account.username, 64);
        let text =
            format!("'{name}' becomes an administrator of the dashboard at its first start, with the same password");
        report.odd("account", text);
    }
    if legacy.dashboard_prefs.is_some() {
        report.odd(
            "preferences",
            "they are taken by the dashboard at its first start, once",
        );
    }
}

/// The database, and then the kept notifications into it.
async fn database(way: &Way<'_>, staging: &TempFolder, desk: &mut Desk, report: &mut Report) -> Result<(), Trouble> {
    const WHAT: &str = "database";
    let source = way.from.join("db/magic_transit.db");
    let target = desk.settings.database.path.clone();
    let is_here = target.exists();
    if !is_here && !source.exists() {
        report.item(WHAT, Outcome::Absent, format!("there is no {}", source.display()));
        return Ok(());
    }
    let db = if is_here {
        look_at_ours(desk, &source, &target, report).await?
    } else {
        let place = if way.apply {
            target.clone()
        } else {
            staging.path().join("rehearsal.db")
        };
        desk.settings.database.path.clone_from(&place);
        let adopted = adopt(desk, &source, &place, way.apply).await;
        desk.settings.database.path.clone_from(&place);
        match adopted {
            Ok((db, text)) => {
                let outcome = if way.apply { Outcome::Taken } else { Outcome::WouldTake };
                report.item(WHAT, outcome, text);
                Some(db)
            }
            Err(trouble) => {
                report.item(WHAT, Outcome::Failed, words::outside(&trouble.text, 400));
                None
            }
        }
    };
    let Some(db) = db else { return Ok(()) };
    if !is_here {
        tell_adopted(&db, report).await?;
    }
    // A rehearsal may write its copy; what is here already is only looked at.
    notifications(way, desk, &db, !way.apply && is_here, report).await?;
    if way.apply {
        remember(way, desk, &db, report).await?;
    }
    Ok(())
}

async fn look_at_ours(desk: &Desk, source: &Path, target: &Path, report: &mut Report) -> Result<Option<Db>, Trouble> {
    let text = format!("{} is here already", target.display());
    let db = match desk.reading() {
        Ok(db) => db,
        Err(trouble) => {
            report.item("database", Outcome::Failed, trouble.text);
            return Ok(None);
        }
    };
    let from = db
        .read("import", |tx| db::leases::fact(tx, TAKEN_FROM))
        .await
        .map_err(|error| Trouble::database("the database cannot be read", &error))?;
    report.item("database", Outcome::There, text);
    if from.is_none() && source.exists() {
        let text = format!(
            "{} did not come from the predecessor by this command; rows of {} are not added to it",
            target.display(),
            source.display()
        );
        report.odd("database", text);
    }
    Ok(Some(db))
}

/// Copies the file to its place and migrates it there. What fails is put aside, so that the next try begins anew.
async fn adopt(desk: &Desk, source: &Path, place: &Path, apply: bool) -> Result<(Db, String), Trouble> {
    let bytes = place::copy_database(source, place, apply).map_err(|error| {
        Trouble::failed(
            "import.database",
            format!("{} cannot be copied to {}: {error}", source.display(), place.display()),
        )
    })?;
    let opened = async {
        let db = desk.acting()?;
        let problems = db
            .integrity_check(CHECK_LIMIT)
            .await
            .map_err(|error| Trouble::database("the copy cannot be checked", &error))?;
        match problems.first() {
            None => Ok(db),
            Some(problem) => Err(Trouble::failed(
                "import.database",
                format!("the database is damaged: {}", words::outside(problem, 200)),
            )),
        }
    };
    match opened.await {
        Ok(db) => {
            let shown = domain::units::grouped(bytes);
            Ok((db, format!("{} ({shown} bytes), sound and migrated", source.display())))
        }
        Err(trouble) => {
            place::put_aside(place);
            Err(trouble)
        }
    }
}

async fn tell_adopted(db: &Db, report: &mut Report) -> Result<(), Trouble> {
    let adopted = db
        .read("import.count", db::adopted::count)
        .await
        .map_err(|error| Trouble::database("what was taken cannot be counted", &error))?;
    let rows: Vec<String> = adopted
        .rows
        .iter()
        .map(|(word, count)| format!("{} {word}", domain::units::grouped(*count)))
        .collect();
    if let Some(item) = report.items.iter_mut().find(|item| item.what == "database") {
        item.text = format!("{}: {}", item.text, rows.join(", "));
    }
    for (table, count) in &adopted.leftovers {
        let text = format!(
            "{} rows of {} contradict its own keys; they are kept as JSON in predecessor_leftovers",
            domain::units::grouped(*count),
            words::outside(table, 60)
        );
        report.odd("database", text);
    }
    if adopted.pending > 0 {
        let text = format!(
            "{} scheduled withdrawals are not carried out: one controller decides, by traffic",
            domain::units::grouped(adopted.pending)
        );
        report.odd("database", text);
    }
    Ok(())
}

async fn notifications(
    way: &Way<'_>,
    desk: &Desk,
    db: &Db,
    only_look: bool,
    report: &mut Report,
) -> Result<(), Trouble> {
    const WHAT: &str = "notifications";
    let folder = way.from.join("logs/webhooks");
    if !folder.is_dir() {
        report.item(WHAT, Outcome::Absent, format!("there is no {}", folder.display()));
        return Ok(());
    }
    let writing;
    let db = if only_look || !way.apply {
        db
    } else {
        writing = desk.acting()?;
        &writing
    };
    let lines = match super::take(desk, db, &folder, only_look).await {
        Ok(lines) => lines,
        Err(trouble) if trouble.code == "import.nothing" => {
            report.item(WHAT, Outcome::Absent, trouble.text);
            return Ok(());
        }
        Err(trouble) => return Err(trouble),
    };
    let count = |outcome: &str| lines.iter().filter(|line| line.outcome == outcome).count();
    let (fresh, there, odd) = (count("taken") + count("would_take"), count("there"), count("odd"));
    let outcome = match (fresh, way.apply) {
        (0, _) => Outcome::There,
        (_, true) => Outcome::Taken,
        (_, false) => Outcome::WouldTake,
    };
    let text = format!(
        "{} of {}: {fresh} new, {there} known to the database, {odd} unreadable",
        words::counted(lines.len(), "file", "files"),
        folder.display()
    );
    report.item(WHAT, outcome, text);
    for line in lines.iter().filter(|line| line.odd.is_some()) {
        let mark = if line.outcome == "odd" { "left alone" } else { "taken" };
        let why = words::outside(line.odd.as_deref().unwrap_or_default(), 200);
        report.odd(
            "notifications",
            format!("{}: {mark}: {why}", words::outside(&line.file, 100)),
        );
    }
    Ok(())
}

/// One row in the audit and the origin, when anything was taken.
async fn remember(way: &Way<'_>, desk: &Desk, db: &Db, report: &Report) -> Result<(), Trouble> {
    let taken: Vec<String> = report
        .items
        .iter()
        .filter(|item| item.outcome == Outcome::Taken)
        .map(|item| item.what.clone())
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    let path = db.path().to_owned();
    if let Some(owner) = Owner::of_the_service().filter(|_| Owner::can_give()) {
        place::give_database(&path, owner)
            .map_err(|error| failed("the service's ownership of the database", &error))?;
    }
    let (from, now) = (way.from.display().to_string(), desk.now());
    let actor = cli::actor::of_this_process().await;
    let after = json!({"taken": taken, "odd": report.odd.len()}).to_string();
    let writing = desk.acting()?;
    writing
        .write("import.audit", move |tx| {
            if db::leases::fact(tx, TAKEN_FROM)?.is_none() {
                db::leases::set_fact(tx, TAKEN_FROM, &from, now)?;
            }
            audit(tx, &actor, ("import.predecessor", &from), Some(after), now)
        })
        .await
        .map_err(|error| Trouble::database("everything was taken, but not entered in the audit", &error))
}

/// What would go on acting beside us.
fn old_cron_jobs(report: &mut Report) {
    let cron = "/etc/cron.d/cloudflare-mt-withdrawals";
    if Path::new(cron).exists() {
        let text = format!("{cron} withdraws without looking at traffic: remove it (take-over does)");
        report.odd("cron", text);
    }
    for name in cli::life::UNITS {
        let unit = PathBuf::from(format!("/etc/systemd/system/{name}.service"));
        if std::fs::read_to_string(&unit).is_ok_and(|text| text.contains(".py")) {
            let text = format!(
                "{} starts the Python program and wins over ours (take-over replaces it)",
                unit.display()
            );
            report.odd("units", text);
        }
    }
}

fn conclude(out: Out, way: &Way<'_>, desk: &Desk, report: &Report) -> Result<u8, Trouble> {
    let any_failed = report.items.iter().any(|item| item.outcome == Outcome::Failed);
    let code = if any_failed { exit::FAILURE } else { exit::DONE };
    if out.is_json() {
        out.document(&json!({
            "schema": "cloudflare-mt/import-predecessor/1",
            "at": desk.now(),
            "directory": way.from,
            "applied": way.apply,
            "items": report.items,
            "odd": report.odd,
        }))?;
        return Ok(code);
    }
    let mut table = Table::new(&["WHAT", "OUTCOME", "DETAIL"]);
    for item in &report.items {
        let word = match item.outcome {
            Outcome::WouldTake => "would be taken".to_owned(),
            Outcome::Taken => ink(Ink::Calm, "taken"),
            Outcome::There => "here already".to_owned(),
            Outcome::Absent => ink(Ink::Faint, "none"),
            Outcome::Failed => ink(Ink::Attack, "NOT TAKEN"),
        };
        table.row([item.what.clone(), word, item.text.clone()]);
    }
    let mut text = table.render(out.screen());
    if !report.odd.is_empty() {
        text.push_str("\nworth knowing:\n");
        for odd in report.odd.iter().take(MOST_LISTED) {
            text.push_str(&format!("  {}: {}\n", odd.what, words::outside(&odd.text, 400)));
        }
        if let more @ 1.. = report.odd.len().saturating_sub(MOST_LISTED) {
            text.push_str(&format!("  and {more} more; --json lists them\n"));
        }
    }
    let end = match (
        way.apply,
        report.items.iter().any(|item| item.outcome == Outcome::WouldTake),
    ) {
        (false, true) => "nothing was changed; --apply takes it over (stop the old services first)\n",
        (false, false) => "there is nothing to take over\n",
        (true, _) if any_failed => "not everything was taken; run it again when the reason is mended\n",
        (true, _) => "done; cloudflare-mt doctor looks at the result\n",
    };
    text.push('\n');
    text.push_str(end);
    out.text(&text)?;
    Ok(code)
}
