//! `plan` and `apply` of a rules file.

use std::io::Read;
use std::path::Path;

use cli::{Ink, Out, Trouble, ink, words};
use daemon::exit;
use rules::apply::ApplyError;
use rules::file::RulesFile;
use rules::plan::{Plan, Step};
use serde_json::json;

use crate::args::{ApplyArgs, FileArgs, PlanArgs};
use crate::form;
use crate::source::{Source, by, confirm, invalid, trouble};

/// `plan --exit-code` found differences.
const DIFFERENT: u8 = 5;
/// Longest rules file.
const LONGEST: u64 = 16 * 1024 * 1024;

fn read(asked: &FileArgs) -> Result<RulesFile, Trouble> {
    let path = &asked.file;
    let shown = path.display();
    let failed = |error: std::io::Error| Trouble::failed("file.unreadable", format!("{shown} cannot be read: {error}"));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LONGEST).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LONGEST).read_to_string(&mut text)
    };
    read.map_err(failed)?;
    form::read(&text, form::of(path, asked.format))
        .map_err(|error| Trouble::blocked("file.invalid", format!("{shown}: {error}")))
}

fn refused(error: ApplyError) -> Trouble {
    match error {
        ApplyError::Read(error) => trouble(error),
        ApplyError::File(wrong) => invalid(wrong),
        ApplyError::NotOwned(names) => {
            let text = format!(
                "these rules are there already and no rules file looks after them: {}",
                names.join(", ")
            );
            Trouble::blocked("plan.not_owned", text).remedy("look at 'plan', then add --adopt to take them over")
        }
    }
}

/// Shows what `apply` would do.
///
/// # Errors
/// Why that cannot be said.
pub async fn plan(source: &Source, out: Out, asked: &PlanArgs) -> Result<u8, Trouble> {
    let file = read(&asked.file)?;
    let plan = planned(source, &file, asked.file.adopt).await?;
    if out.is_json() {
        out.document(&document(&plan))?;
    } else {
        out.text(&shown(&plan))?;
    }
    Ok(if asked.exit_code && !plan.is_empty() {
        DIFFERENT
    } else {
        exit::DONE
    })
}

async fn planned(source: &Source, file: &RulesFile, adopt: bool) -> Result<Plan, Trouble> {
    let live = source.live().await?;
    rules::plan::plan(file, &live, adopt, source.now()).map_err(invalid)
}

fn document(plan: &Plan) -> serde_json::Value {
    let mut document = json!(plan);
    document["schema"] = json!("cloudflare-mt/rules-plan/1");
    document
}

fn line(step: &Step) -> String {
    let kind = match step.family {
        db::rule_changes::Family::Mnm => "monitoring rule",
        db::rule_changes::Family::DdosL4 => "override",
    };
    format!("{} {kind} {}", step.what, words::outside(&step.name, 120))
}

fn shown(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        text.push_str(&ink(Ink::Strong, &line(step)));
        text.push('\n');
        for it in &step.differences {
            let value = |value: &Option<String>| value.as_deref().map_or("-".to_owned(), |it| words::outside(it, 200));
            let change = match (&it.now, &it.then) {
                (None, _) => format!("+ {}", value(&it.then)),
                (_, None) => format!("- {}", value(&it.now)),
                _ => format!("{} -> {}", value(&it.now), value(&it.then)),
            };
            text.push_str(&format!("  {}: {change}\n", words::outside(&it.key, 80)));
        }
    }
    for name in &plan.not_owned {
        let words = format!(
            "{} is there already and not looked after: --adopt takes it over",
            words::outside(name, 120)
        );
        text.push_str(&ink(Ink::Warn, &words));
        text.push('\n');
    }
    for note in &plan.notes {
        text.push_str(&format!("note: {}\n", words::outside(note, 300)));
    }
    if plan.is_empty() {
        text.push_str("everything is as the file says\n");
    } else {
        text.push_str(&format!(
            "{} to be made\n",
            words::counted(plan.steps.len(), "change", "changes")
        ));
    }
    if plan.untouched > 0 {
        let rules = words::counted(plan.untouched, "other rule", "other rules");
        text.push_str(&format!("{rules} at Cloudflare stay as they are\n"));
    }
    text
}

/// Makes the rules as a file says.
///
/// # Errors
/// Why not, or not all.
pub async fn apply(source: &Source, out: Out, asked: &ApplyArgs) -> Result<u8, Trouble> {
    let (file, adopt, sure) = (read(&asked.file)?, asked.file.adopt, &asked.sure);
    let plan = planned(source, &file, adopt).await?;
    if !plan.not_owned.is_empty() {
        return Err(refused(ApplyError::NotOwned(plan.not_owned)));
    }
    if !plan.is_empty() {
        out.aside(&shown(&plan));
        confirm(out, sure, "Make these changes?").await?;
    }
    let by = by(sure).await;
    let applied = source
        .desk()?
        .apply(&by, &file, adopt, |step| out.aside(&format!("{}\n", line(step))))
        .await;
    let applied = applied.map_err(refused)?;
    let count = words::counted(applied.done.len(), "change", "changes");
    if let Some((step, error)) = applied.stopped {
        let mut trouble = trouble(error);
        trouble.text = format!("stopped after {count}, at '{}': {}", line(&step), trouble.text);
        if trouble.remedy.is_none() {
            trouble.remedy = Some("apply the file again: it goes on where it stopped".to_owned());
        }
        return Err(trouble);
    }
    if out.is_json() {
        out.document(&json!({"schema": "cloudflare-mt/rules-applied/1", "steps": applied.done}))?;
    } else if applied.done.is_empty() {
        out.text("everything is as the file says\n")?;
    } else {
        out.text(&format!("{count} made; 'plan' shows no difference any more\n"))?;
    }
    Ok(exit::DONE)
}
