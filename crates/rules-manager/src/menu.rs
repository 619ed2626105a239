//! The menu of the program started bare at a terminal: every command with what it needs asked for.
//!
//! Must hold: it only gathers what the commands would be told; previews, questions and rules are theirs. A failure is told
//! and leads back to the menu.

use std::fmt;

use cf_api::rest::rulesets::{MANAGED_DDOS_L4, Phase};
use cli::{Out, Trouble, menu};
use daemon::exit;
use rules::template::TEMPLATES;

use crate::args::{
    AboutArgs, CreateArgs, EditArgs, ExportArgs, Kind, KindArgs, ManagedCommand, NamedArgs, OverrideArgs,
    OverridesCommand, PlaceArgs, SettingArgs, Sure, YesNo,
};
use crate::source::Source;
use crate::{export, history, list, managed, monitoring, overrides};

/// What can be done, in the order that people know.
const ITEMS: [(&str, Item); 17] = [
    ("List all monitoring rules", Item::List),
    ("Add BPS rules", Item::Create(Kind::Bps)),
    ("Add PPS rules", Item::Create(Kind::Pps)),
    ("Add zscore rules", Item::Create(Kind::Zscore)),
    ("Add advanced DDoS (sFlow) rules", Item::Create(Kind::AdvancedDdos)),
    ("Edit a monitoring rule", Item::Edit),
    ("Delete a monitoring rule", Item::Delete),
    ("Delete monitoring rules by type", Item::DeleteKind),
    ("DDoS rules: what is in force", Item::Managed),
    ("DDoS rules: set action or sensitivity", Item::Set),
    ("DDoS rules: reset to default", Item::Reset),
    ("Overrides: list", Item::Overrides),
    ("Overrides: add", Item::AddOverride),
    ("Overrides: delete", Item::DeleteOverride),
    ("Changes, and undo of the last one", Item::Undo),
    ("Export to a rules file", Item::Export),
    ("Leave", Item::Leave),
];

/// How long an attack must last; no other time is taken.
const DURATIONS: [&str; 8] = ["1m", "5m", "10m", "15m", "20m", "30m", "45m", "1h"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    List,
    Create(Kind),
    Edit,
    Delete,
    DeleteKind,
    Managed,
    Set,
    Reset,
    Overrides,
    AddOverride,
    DeleteOverride,
    Undo,
    Export,
    Leave,
}

/// Something to choose, and the words for it.
struct Choice<T>(T, String);

impl<T> fmt::Display for Choice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

/// "Back" in the middle of a question.
struct Back;

/// An answer, or the way back to the menu.
enum Stop {
    Back,
    Trouble(Trouble),
}

impl From<Back> for Stop {
    fn from(_: Back) -> Self {
        Self::Back
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

async fn choose<T: Send + 'static>(question: &str, options: Vec<(T, String)>) -> Result<T, Stop> {
    let options = options
        .into_iter()
        .map(|(value, words)| Choice(value, cli::words::outside(&words, 120)))
        .collect();
    let chosen = menu::choose(question, options).await?;
    Ok(chosen.ok_or(Back)?.0)
}

async fn line(question: &str, otherwise: &str) -> Result<String, Stop> {
    Ok(menu::line(question, otherwise).await?.ok_or(Back)?)
}

/// Shows the menu until the person leaves. The exit code is that of the last command.
///
/// # Errors
/// Ctrl-C.
pub async fn run(source: &Source, out: Out) -> Result<u8, Trouble> {
    let mut code = exit::DONE;
    loop {
        let items = ITEMS.map(|(words, item)| (item, words.to_owned())).to_vec();
        let item = match choose("Rules at Cloudflare", items).await {
            Ok(Item::Leave) | Err(Stop::Back) => return Ok(code),
            Ok(item) => item,
            Err(Stop::Trouble(trouble)) => return Err(trouble),
        };
        match one(source, out, item).await {
            Ok(done) => code = done,
            Err(Stop::Back) => {}
            Err(Stop::Trouble(trouble)) if trouble.exit == exit::INTERRUPTED => return Err(trouble),
            Err(Stop::Trouble(trouble)) => code = cli::frame::conclude(crate::PROGRAM, out, Err(trouble)),
        }
    }
}

/// Why it is done, for the record.
async fn why() -> Result<Sure, Stop> {
    let reason = line("Why, for the record?", "").await?;
    Ok(Sure {
        yes: false,
        reason: (!reason.is_empty()).then_some(reason),
    })
}

async fn one(source: &Source, out: Out, item: Item) -> Result<u8, Stop> {
    Ok(match item {
        Item::List => list::all(source, out).await?,
        Item::Create(kind) => monitoring::create(source, out, new_rule(source, kind).await?).await?,
        Item::Edit => monitoring::edit(source, out, changed_rule(source).await?).await?,
        Item::Delete => {
            let rule = rule(source, "Which rule?").await?;
            monitoring::delete(source, out, &[rule], &why().await?).await?
        }
        Item::DeleteKind => {
            let ids = rules_of_kind(source).await?;
            monitoring::delete(source, out, &ids, &why().await?).await?
        }
        Item::Managed => {
            let search = line("Search for (empty for all)", "").await?;
            let command = ManagedCommand::List {
                search: (!search.is_empty()).then_some(search),
                place: None,
                editable: false,
            };
            managed::run(source, out, command).await?
        }
        Item::Set => managed::run(source, out, setting(source).await?).await?,
        Item::Reset => {
            let (about, sure) = (about(source).await?, why().await?);
            managed::run(source, out, ManagedCommand::Reset { about, sure }).await?
        }
        Item::Overrides => overrides::run(source, out, OverridesCommand::List).await?,
        Item::AddOverride => overrides::run(source, out, OverridesCommand::Create(new_override().await?)).await?,
        Item::DeleteOverride => {
            let (name, sure) = (an_override(source).await?, why().await?);
            overrides::run(source, out, OverridesCommand::Delete(NamedArgs { name, sure })).await?
        }
        Item::Undo => {
            history::list(source, out, 10).await?;
            history::undo(source, out, None, &why().await?).await?
        }
        Item::Export => {
            let file = line("File", "rules.toml").await?;
            let asked = ExportArgs {
                file: file.into(),
                force: false,
                format: None,
            };
            export::run(source, out, &asked).await?
        }
        Item::Leave => exit::DONE,
    })
}

async fn new_rule(source: &Source, kind: Kind) -> Result<CreateArgs, Stop> {
    let mut options: Vec<(Vec<String>, String)> = source
        .managed_prefixes()
        .iter()
        .map(|prefix| (vec![prefix.to_string()], prefix.to_string()))
        .collect();
    if options.len() > 1 {
        options.insert(0, (Vec::new(), "All listed prefixes, one rule each".to_owned()));
    }
    options.push((vec!["?".to_owned()], "Another prefix".to_owned()));
    let mut prefixes = choose("For which prefix?", options).await?;
    if prefixes == ["?"] {
        prefixes = vec![line("Prefix, such as 203.0.113.0/24", "").await?];
    }
    let threshold = match kind {
        Kind::Bps => Some(line("Threshold", "2 Gbps").await?),
        Kind::Pps => Some(line("Threshold", "500 kpps").await?),
        _ => None,
    };
    let words = |list: &[&str]| list.iter().map(|it| ((*it).to_owned(), (*it).to_owned())).collect();
    let duration = choose("For how long?", words(&DURATIONS)).await?;
    let (mut sensitivity, mut target, mut prefix_match) = (None, None, None);
    match kind {
        Kind::Zscore => {
            sensitivity = Some(choose("Sensitivity?", words(&["medium", "low", "high"])).await?);
            target = Some(choose("What is counted?", words(&["bits", "packets"])).await?);
        }
        Kind::AdvancedDdos => {
            prefix_match = Some(choose("Which networks match?", words(&["subnet", "exact", "supernet"])).await?)
        }
        _ => {}
    }
    let advertise = vec![
        (true, "Yes: Cloudflare advertises it by itself".to_owned()),
        (false, "No: only notify".to_owned()),
    ];
    let advertise = choose("Advertise automatically?", advertise).await?;
    Ok(CreateArgs {
        kind,
        prefixes,
        together: false,
        name: None,
        threshold,
        of_kind: KindArgs {
            duration: Some(duration),
            prefix_match,
            sensitivity,
            target,
        },
        no_advertise: !advertise,
        sure: why().await?,
    })
}

async fn rule(source: &Source, question: &str) -> Result<String, Stop> {
    let rules = source.read().await?;
    let options = rules
        .rules
        .iter()
        .filter_map(|it| Some((it.id.clone()?, it.name.clone())))
        .collect();
    choose(question, options).await
}

async fn rules_of_kind(source: &Source) -> Result<Vec<String>, Stop> {
    let rules = source.read().await?;
    let words = ["threshold BPS", "threshold PPS", "zscore", "advanced DDoS", "all"];
    let options = words
        .iter()
        .enumerate()
        .map(|(index, it)| (index, (*it).to_owned()))
        .collect();
    let wanted = choose("Which type?", options).await?;
    let of_kind = rules.rules.iter().filter(|it| match wanted {
        0 => it.kind == "threshold" && it.bandwidth_threshold.is_some(),
        1 => it.kind == "threshold" && it.packet_threshold.is_some(),
        2 => it.kind == "zscore",
        3 => it.kind == "advanced_ddos",
        _ => true,
    });
    let ids: Vec<String> = of_kind.filter_map(|it| it.id.clone()).collect();
    if ids.is_empty() {
        return Err(Trouble::failed("rule.unknown", "there is no rule of this type").into());
    }
    Ok(ids)
}

async fn changed_rule(source: &Source) -> Result<EditArgs, Stop> {
    let rule = rule(source, "Which rule?").await?;
    let mut asked = EditArgs {
        rule,
        name: None,
        prefixes: Vec::new(),
        bandwidth: None,
        packets: None,
        of_kind: KindArgs::default(),
        advertise: None,
        sure: Sure::default(),
    };
    let words = |list: &[&'static str]| list.iter().map(|it| (*it, (*it).to_owned())).collect();
    let field = choose(
        "What is changed?",
        words(&[
            "bit/s threshold",
            "packet/s threshold",
            "duration",
            "automatic advertisement",
            "prefixes",
            "name",
        ]),
    );
    match field.await? {
        "bit/s threshold" => asked.bandwidth = Some(line("Threshold", "2 Gbps").await?),
        "packet/s threshold" => asked.packets = Some(line("Threshold", "500 kpps").await?),
        "duration" => {
            let duration = choose("For how long?", words(&DURATIONS)).await?;
            asked.of_kind.duration = Some(duration.to_owned());
        }
        "automatic advertisement" => {
            let options = vec![(YesNo::Yes, "yes".to_owned()), (YesNo::No, "no".to_owned())];
            asked.advertise = Some(choose("Advertise automatically?", options).await?);
        }
        "prefixes" => {
            let text = line("Prefixes, with commas", "").await?;
            asked.prefixes = text.split(',').map(str::to_owned).collect();
        }
        _ => asked.name = Some(line("Name", "").await?),
    }
    asked.sure = why().await?;
    Ok(asked)
}

/// A category, then a rule of it that can be changed.
async fn about(source: &Source) -> Result<AboutArgs, Stop> {
    let api = source.client()?;
    let managed = api
        .get_ruleset(MANAGED_DDOS_L4)
        .await
        .map_err(|error| crate::unavailable(&error))?;
    let editable = managed
        .rules
        .iter()
        .filter(|it| it.categories.iter().all(|category| category != "read-only"));
    let mut categories: Vec<String> = editable.clone().flat_map(|it| it.categories.clone()).collect();
    categories.sort();
    categories.dedup();
    let category = choose("Category", categories.into_iter().map(|it| (it.clone(), it)).collect()).await?;
    let of_category = editable.filter(|it| it.categories.contains(&category));
    let options = of_category.map(|it| {
        let name = it.reference.clone().unwrap_or_else(|| it.id.clone());
        (
            it.id.clone(),
            format!("{name}  {}", it.description.as_deref().unwrap_or_default()),
        )
    });
    Ok(AboutArgs {
        rule: Some(choose("Rule", options.collect()).await?),
        category: None,
        all: false,
        place: None,
    })
}

async fn setting(source: &Source) -> Result<ManagedCommand, Stop> {
    let about = about(source).await?;
    let words = |list: &[&str]| list.iter().map(|it| ((*it).to_owned(), (*it).to_owned())).collect();
    let action = choose("Action", words(&["keep", "block", "log"])).await?;
    let sensitivity = choose(
        "Sensitivity (default is the highest)",
        words(&["keep", "default", "medium", "low", "eoff"]),
    )
    .await?;
    let given = |word: String| (word != "keep").then_some(word);
    Ok(ManagedCommand::Set {
        about,
        setting: SettingArgs {
            action: given(action),
            sensitivity: given(sensitivity),
        },
        sure: why().await?,
    })
}

async fn new_override() -> Result<OverrideArgs, Stop> {
    let name = line("Name", "").await?;
    let mut options: Vec<(String, String)> = TEMPLATES
        .iter()
        .map(|it| (it.id.to_owned(), format!("{}: {}", it.group, it.label)))
        .collect();
    options.insert(0, (String::new(), "An expression of my own".to_owned()));
    let id = choose("Service", options).await?;
    let (mut expression, mut template, mut to) = (None, None, Vec::new());
    let mut rule = String::new();
    if id.is_empty() {
        expression = Some(line("Expression", "").await?);
    } else {
        let addresses = line("Addresses and networks, with commas", "").await?;
        to = addresses.split(',').map(str::to_owned).collect();
        rule = rules::template::template(&id)
            .map(|it| it.target.to_owned())
            .unwrap_or_default();
        template = Some(id);
    }
    let rule = line("Managed rule (empty for all)", &rule).await?;
    let words = |list: &[&str]| list.iter().map(|it| ((*it).to_owned(), (*it).to_owned())).collect();
    let sensitivity = choose("Sensitivity", words(&["low", "medium", "eoff", "default"])).await?;
    Ok(OverrideArgs {
        name,
        expression,
        template,
        to,
        rule: (!rule.is_empty()).then_some(rule),
        setting: SettingArgs {
            action: None,
            sensitivity: Some(sensitivity),
        },
        expires: None,
        place: PlaceArgs::default(),
        sure: why().await?,
    })
}

async fn an_override(source: &Source) -> Result<String, Stop> {
    let api = source.client()?;
    let point = api
        .get_entry_point(Phase::DDOS_L4)
        .await
        .map_err(|error| crate::unavailable(&error))?;
    if point.rules().is_empty() {
        return Err(Trouble::failed("override.unknown", "there is no override").into());
    }
    let options = point.rules().iter().map(|it| {
        let name = it.description.clone().unwrap_or_default();
        (
            it.id.clone(),
            format!("{name}  {}", it.expression.as_deref().unwrap_or_default()),
        )
    });
    choose("Which override?", options.collect()).await
}
