//! `create`, `edit` and `delete` of monitoring rules.
//!
//! Must hold: everything is shown before it is done; all rules of one command are checked before the first is sent; after
//! a failure nothing further is sent, and what was done is told.

use cf_api::rest::mnm_changes::{MnmFields, MnmKind};
use cli::{Out, Trouble, words};
use daemon::exit;
use domain::prefix::Prefix;
use rules::desk::Done;
use rules::file::MnmEntry;
use rules::mnm::{bits_per_second, name_for, packets_per_second, problems, same};
use serde_json::json;

use crate::args::{CreateArgs, EditArgs, Kind, Sure, YesNo};
use crate::list::find;
use crate::source::{Source, by, confirm, invalid, trouble, typed};

/// Tells what was done.
///
/// # Errors
/// When it cannot be written.
pub fn told(out: Out, done: &[(Done, &'static str, String)]) -> Result<u8, Trouble> {
    if out.is_json() {
        let changes = done.iter().map(|(done, what, name)| {
            json!({"change": done.change, "what": what, "name": name, "only_ours": done.only_ours})
        });
        let changes: Vec<_> = changes.collect();
        out.document(&json!({"schema": "cloudflare-mt/rules-changed/1", "changes": changes}))?;
    } else {
        for (done, what, name) in done {
            let name = words::outside(name, 200);
            out.text(&format!(
                "{name}: {what} (change {}; 'undo {}' takes it back)\n",
                done.change, done.change
            ))?;
            if !done.only_ours {
                out.aside("somebody else changed the overrides at the same moment: look at the list\n");
            }
        }
    }
    Ok(exit::DONE)
}

/// What was done before a failure is told before the failure.
pub(crate) fn stopped(out: Out, done: &[(Done, &'static str, String)], trouble: Trouble) -> Trouble {
    if done.is_empty() {
        return trouble;
    }
    let names: Vec<&str> = done.iter().map(|(_, _, name)| name.as_str()).collect();
    out.aside(&format!("done before it: {}\n", words::outside(&names.join(", "), 400)));
    trouble
}

/// Creates rules.
///
/// # Errors
/// Why not, or not all.
pub async fn create(source: &Source, out: Out, asked: CreateArgs) -> Result<u8, Trouble> {
    let fields = wanted(source, &asked)?;
    let wrong = fields.iter().flat_map(|it| {
        let found = problems(it).into_iter();
        found.map(|problem| format!("{}: {}: {}", it.name, problem.field, problem.text))
    });
    let wrong: Vec<String> = wrong.collect();
    if !wrong.is_empty() {
        return Err(invalid(wrong));
    }
    let desk = source.desk()?;
    let there = source.read_by(desk.cloudflare()).await?;
    let taken = fields
        .iter()
        .filter(|it| there.rules.iter().any(|rule| rule.name == it.name));
    let taken: Vec<String> = taken
        .map(|it| format!("{}: there is a rule of this name already", it.name))
        .collect();
    if !taken.is_empty() {
        return Err(invalid(taken));
    }
    for it in &fields {
        out.aside(&format!("{}\n", shown(it)));
    }
    let count = words::counted(fields.len(), "rule", "rules");
    confirm(out, &asked.sure, &format!("Create {count}?")).await?;
    let by = by(&asked.sure).await;
    let mut done = Vec::new();
    for it in &fields {
        match desk.create_mnm(&by, it).await {
            Ok(one) => done.push((one, "created", it.name.clone())),
            Err(error) => return Err(stopped(out, &done, trouble(error))),
        }
    }
    told(out, &done)
}

fn wanted(source: &Source, asked: &CreateArgs) -> Result<Vec<MnmFields>, Trouble> {
    let usage = |text: String| Trouble::usage("rule.arguments", text);
    let mut prefixes = Vec::new();
    for text in &asked.prefixes {
        prefixes.push(Prefix::parse_strict(text).map_err(|error| usage(error.to_string()))?);
    }
    if prefixes.is_empty() {
        prefixes = source.managed_prefixes();
    }
    if prefixes.is_empty() {
        return Err(usage(
            "there is no prefix: name one, or list some in autowithdraw.managed".to_owned(),
        ));
    }
    let (mut bandwidth, mut packets) = (None, None);
    match (asked.kind, &asked.threshold) {
        (Kind::Bps, Some(text)) => bandwidth = Some(bits_per_second(text).map_err(|error| usage(error.to_string()))?),
        (Kind::Pps, Some(text)) => packets = Some(packets_per_second(text).map_err(|error| usage(error.to_string()))?),
        (Kind::Bps | Kind::Pps, None) => return Err(usage("--threshold is missing, such as '2.5 Gbps'".to_owned())),
        (_, Some(_)) => return Err(usage("rules of this kind have no threshold".to_owned())),
        (_, None) => {}
    }
    let duration = asked.of_kind.duration.as_deref().unwrap_or("1m");
    let duration = domain::duration::parse(duration).map_err(|error| usage(error.to_string()))?;
    let or = |given: &Option<String>, kind: Kind, otherwise: &str| {
        given
            .clone()
            .or_else(|| (asked.kind == kind).then(|| otherwise.to_owned()))
    };
    let groups: Vec<Vec<Prefix>> = if asked.together {
        vec![prefixes]
    } else {
        prefixes.into_iter().map(|prefix| vec![prefix]).collect()
    };
    if asked.name.is_some() && groups.len() > 1 {
        return Err(usage("--name is for one rule; these are several".to_owned()));
    }
    let all = groups.into_iter().map(|prefixes| {
        let mut fields = MnmFields {
            name: String::new(),
            kind: match asked.kind {
                Kind::Bps | Kind::Pps => MnmKind::Threshold,
                Kind::Zscore => MnmKind::Zscore,
                Kind::AdvancedDdos => MnmKind::AdvancedDdos,
            },
            prefixes,
            automatic_advertisement: Some(!asked.no_advertise),
            bandwidth_threshold: bandwidth,
            packet_threshold: packets,
            duration: Some(duration),
            prefix_match: or(&asked.of_kind.prefix_match, Kind::AdvancedDdos, "subnet"),
            zscore_sensitivity: or(&asked.of_kind.sensitivity, Kind::Zscore, "medium"),
            zscore_target: or(&asked.of_kind.target, Kind::Zscore, "bits"),
        };
        fields.name = asked.name.clone().unwrap_or_else(|| name_for(&fields));
        fields
    });
    Ok(all.collect())
}

/// A rule as the rules file would write it, on one line.
fn shown(fields: &MnmFields) -> String {
    let entry = MnmEntry::of(fields);
    let rate = |rate: &Option<rules::file::Rate>| match rate {
        Some(rules::file::Rate::Text(text)) => Some(text.clone()),
        Some(rules::file::Rate::Number(number)) => Some(number.to_string()),
        None => None,
    };
    let rates: Vec<String> = [rate(&entry.bandwidth_threshold), rate(&entry.packet_threshold)]
        .into_iter()
        .flatten()
        .collect();
    let other: Vec<&str> = [&entry.prefix_match, &entry.zscore_sensitivity, &entry.zscore_target]
        .into_iter()
        .filter_map(Option::as_deref)
        .collect();
    let mut parts = vec![entry.kind, entry.prefixes.join(", ")];
    parts.extend(rates);
    parts.extend(other.into_iter().map(str::to_owned));
    parts.extend(entry.duration.map(|duration| format!("for {duration}")));
    parts.push(
        if entry.automatic_advertisement {
            "advertises by itself"
        } else {
            "only notifies"
        }
        .to_owned(),
    );
    words::outside(&format!("{}: {}", entry.name, parts.join(", ")), 400)
}

/// Changes a rule.
///
/// # Errors
/// Why not.
pub async fn edit(source: &Source, out: Out, asked: EditArgs) -> Result<u8, Trouble> {
    let desk = source.desk()?;
    let there = source.read_by(desk.cloudflare()).await?;
    let rule = find(&there, &asked.rule)?;
    let seen = there.raw.iter().find(|it| it.id == rule.id);
    let seen = seen.ok_or_else(|| Trouble::failed("rule.unknown", "the rule has no id"))?;
    let before =
        MnmFields::of(seen).map_err(|why| invalid([format!("it cannot be edited without losing something: {why}")]))?;
    let wanted = edited(&before, &asked)?;
    let mut wrong = problems(&wanted);
    wrong.retain(|it| it.field != "name" || wanted.name != before.name);
    if !wrong.is_empty() {
        return Err(invalid(
            wrong.into_iter().map(|it| format!("{}: {}", it.field, it.text)),
        ));
    }
    if same(&before, &wanted) && before.name == wanted.name {
        out.aside("it is so already; nothing was done\n");
        return told(out, &[]);
    }
    out.aside(&format!("now:  {}\nthen: {}\n", shown(&before), shown(&wanted)));
    confirm(
        out,
        &asked.sure,
        &format!("Change {}?", words::outside(&before.name, 80)),
    )
    .await?;
    let done = desk
        .edit_mnm(&by(&asked.sure).await, seen, &wanted)
        .await
        .map_err(trouble)?;
    told(out, &[(done, "changed", wanted.name)])
}

fn edited(before: &MnmFields, asked: &EditArgs) -> Result<MnmFields, Trouble> {
    let usage = |text: String| Trouble::usage("rule.arguments", text);
    let mut wanted = before.clone();
    if let Some(name) = &asked.name {
        wanted.name.clone_from(name);
    }
    if !asked.prefixes.is_empty() {
        let read = asked.prefixes.iter().map(|text| Prefix::parse_strict(text.trim()));
        wanted.prefixes = read
            .collect::<Result<_, _>>()
            .map_err(|error| usage(error.to_string()))?;
    }
    if let Some(text) = &asked.bandwidth {
        wanted.bandwidth_threshold = Some(bits_per_second(text).map_err(|error| usage(error.to_string()))?);
    }
    if let Some(text) = &asked.packets {
        wanted.packet_threshold = Some(packets_per_second(text).map_err(|error| usage(error.to_string()))?);
    }
    if let Some(text) = &asked.of_kind.duration {
        wanted.duration = Some(domain::duration::parse(text).map_err(|error| usage(error.to_string()))?);
    }
    if let Some(advertise) = asked.advertise {
        wanted.automatic_advertisement = Some(advertise == YesNo::Yes);
    }
    for (given, field) in [
        (&asked.of_kind.prefix_match, &mut wanted.prefix_match),
        (&asked.of_kind.sensitivity, &mut wanted.zscore_sensitivity),
        (&asked.of_kind.target, &mut wanted.zscore_target),
    ] {
        if given.is_some() {
            field.clone_from(given);
        }
    }
    Ok(wanted)
}

/// Deletes rules. One is confirmed by typing its name, several by typing how many.
///
/// # Errors
/// Why not, or not all.
pub async fn delete(source: &Source, out: Out, wanted: &[String], sure: &Sure) -> Result<u8, Trouble> {
    let desk = source.desk()?;
    let there = source.read_by(desk.cloudflare()).await?;
    let mut seen = Vec::new();
    for name in wanted {
        let rule = find(&there, name)?;
        let raw = there.raw.iter().find(|it| it.id == rule.id && it.id.is_some());
        let raw = raw.ok_or_else(|| Trouble::failed("rule.unknown", "the rule has no id"))?;
        if !seen.contains(&raw) {
            seen.push(raw);
        }
    }
    for rule in &seen {
        let prefixes: Vec<String> = rule.prefixes.iter().map(ToString::to_string).collect();
        out.aside(&format!(
            "{}: {}\n",
            words::outside(&rule.name, 80),
            prefixes.join(", ")
        ));
    }
    let word = match seen.as_slice() {
        [one] => one.name.clone(),
        many => format!("DELETE {}", many.len()),
    };
    let shown = words::outside(&word, 300);
    typed(
        out,
        sure,
        &format!("An attack on them may not be noticed any more. Type {shown} to delete:"),
        &word,
    )
    .await?;
    let by = by(sure).await;
    let mut done = Vec::new();
    for rule in seen {
        match desk.delete_mnm(&by, rule).await {
            Ok(one) => done.push((one, "deleted", rule.name.clone())),
            Err(error) => return Err(stopped(out, &done, trouble(error))),
        }
    }
    told(out, &done)
}
