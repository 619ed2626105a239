//! `/mnm-rules`: network monitoring rules with what they leave open; making, changing and deleting one.
//!
//! All of it works without script. What a person typed stays with them until the change is done.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use cf_api::rest::mnm::MnmRule;
use cf_api::rest::mnm_changes::{MnmFields, MnmKind};
use db::rule_changes::{Change, Family};
use db::users::Role;
use domain::prefix::Prefix;
use jiff::Timestamp;
use rules::mnm::{Gap, MINUTES, rate_text};

use super::{Shell, go_to, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::mnm_rules::{self, open_gaps, own_prefixes, problems, remove, save};
use crate::app::App;
use crate::asking::Asking;
use crate::connectors::edit::Difference;
use crate::monitoring::traffic::{self, DroppedOfRule, Unit};
use crate::monitoring::{self, BIT_UNITS, KINDS, PACKET_UNITS, Wanted, differences};
use crate::overview::rules::Coverage;
use crate::protection;
use crate::upstream::Reading;
use crate::words;

#[derive(Template)]
#[template(path = "mnm_rules.html")]
struct Page {
    shell: Shell,
    read: Reading<Vec<MnmRule>>,
    rows: Vec<Row>,
    gaps: Vec<Gap>,
    coverage: Coverage,
    /// Changes of which nobody knows what came of them.
    unsettled: Vec<Change>,
}

/// A rule as the table shows it.
struct Row {
    rule: MnmRule,
    /// Its thresholds with what was dropped beside them.
    beside: Vec<Beside>,
    is_editable: bool,
}

/// A threshold and what was dropped of the rule's prefixes, in its unit.
struct Beside {
    threshold: String,
    now: String,
    peak: String,
}

/// `GET /mnm-rules`
pub(crate) async fn page(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    let overview = main::situation(&app).await?;
    let (prefixes, read) = (own_prefixes(&app).await?, app.upstream().rules(&app).await);
    let mut rules: Vec<MnmRule> = read.value.as_deref().cloned().unwrap_or_default();
    // By network and not by text.
    rules.sort_by_key(|rule| (rule.prefixes.first().copied(), rule.name.clone()));
    let now = app.now();
    let rows = traffic::measured(&app, rules).await?;
    let rows = rows
        .into_iter()
        .map(|(rule, measured)| row(rule, &measured, now))
        .collect();
    let shell = Shell::over(&app, &member, &overview, "Monitoring rules", "mnm-rules");
    Ok(rendered(&Page {
        shell,
        gaps: read
            .current()
            .map(|rules| open_gaps(&prefixes, rules))
            .unwrap_or_default(),
        read,
        rows,
        coverage: overview.coverage.clone(),
        unsettled: protection::unsettled(&app, Family::Mnm).await?,
    }))
}

fn row(rule: MnmRule, measured: &DroppedOfRule, now: Timestamp) -> Row {
    let thresholds = thresholds(&rule);
    Row {
        is_editable: rule.id.is_some() && MnmFields::of(&rule).is_ok(),
        rule,
        beside: thresholds
            .into_iter()
            .map(|(words, unit, value)| Beside {
                threshold: words,
                now: measured.now_words(unit, value, now),
                peak: measured.peak_words(unit, value),
            })
            .collect(),
    }
}

/// The thresholds of a rule: in words, in which unit, per second.
fn thresholds(rule: &MnmRule) -> Vec<(String, Unit, f64)> {
    let both = [
        (rule.bandwidth_threshold_bps, "bps", Unit::Bits),
        (rule.packet_threshold_pps, "pps", Unit::Packets),
    ];
    let set = both.into_iter().filter_map(|(value, name, unit)| {
        let value = value?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // whole and in range
        let words = if value.fract() == 0.0 && (1.0..1e15).contains(&value) {
            rate_text(value as u64, name)
        } else {
            format!("{value} {name}")
        };
        Some((words, unit, value))
    });
    set.collect()
}

impl Page {
    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 80)
    }

    fn kind(&self, row: &Row) -> String {
        let rule = &row.rule;
        match rule.kind.as_deref() {
            None | Some("threshold") => match (rule.bandwidth_threshold_bps, rule.packet_threshold_pps) {
                (Some(_), None) => "bits".to_owned(),
                (None, Some(_)) => "packets".to_owned(),
                (Some(_), Some(_)) => "bits or packets".to_owned(),
                (None, None) => "threshold, none set".to_owned(),
            },
            Some("zscore") => {
                let part = |text: &Option<String>| text.as_deref().map_or("?".to_owned(), |text| self.short(text));
                format!(
                    "z-score, {}, {}",
                    part(&rule.zscore_target),
                    part(&rule.zscore_sensitivity)
                )
            }
            Some("advanced_ddos") => match &rule.prefix_match {
                Some(matched) => format!("sFlow DDoS, {}", self.short(matched)),
                None => "sFlow DDoS".to_owned(),
            },
            Some(other) => self.short(other),
        }
    }

    fn duration(&self, row: &Row) -> String {
        row.rule
            .duration
            .map_or_else(|| "not said".to_owned(), domain::duration::human)
    }

    fn id<'a>(&self, row: &'a Row) -> &'a str {
        row.rule.id.as_deref().unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "mnm_rule.html")]
struct Form {
    shell: Shell,
    /// Name of the rule that is changed; `None` for a new one.
    name: Option<String>,
    fields: Fields,
    prefixes: Vec<(String, bool)>,
    /// The thresholds that it has now, with what was dropped beside them.
    beside: Vec<Beside>,
    review: Option<Vec<Difference>>,
    problem: Option<String>,
}

/// The fields as texts.
struct Fields {
    name: String,
    kind: String,
    others: String,
    automatic_advertisement: String,
    bits: String,
    bits_unit: String,
    packets: String,
    packets_unit: String,
    duration: String,
    prefix_match: String,
    zscore_sensitivity: String,
    zscore_target: String,
    seen: String,
    confirm: String,
    reason: String,
}

/// A threshold as a number and a unit, exactly.
fn split(value: Option<u64>, unit: &str) -> (String, String) {
    let Some(value) = value else {
        return (String::new(), String::new());
    };
    let text = rate_text(value, unit);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, unit));
    (number.to_owned(), unit.to_owned())
}

impl Fields {
    fn of(before: Option<&MnmFields>, wanted: &Wanted, seen: &str) -> Self {
        let plain = |value: &Option<serde_json::Value>| {
            value
                .as_ref()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let text = |written: &Option<String>, there: Option<&String>| {
            written.clone().or_else(|| there.cloned()).unwrap_or_default()
        };
        let bits = split(before.and_then(|before| before.bandwidth_threshold), "bps");
        let packets = split(before.and_then(|before| before.packet_threshold), "pps");
        let kind = match before {
            Some(before) => match (before.kind, before.bandwidth_threshold) {
                (MnmKind::Threshold, Some(_)) => "bps",
                (MnmKind::Threshold, None) => "pps",
                (kind, _) => kind.as_str(),
            },
            None => "bps",
        };
        let minutes = before
            .and_then(|before| before.duration)
            .map(|duration| (duration.as_secs() / 60).to_string());
        let advertises = before.and_then(|before| before.automatic_advertisement);
        Self {
            name: text(&wanted.name, before.map(|before| &before.name)),
            kind: wanted.kind.clone().unwrap_or_else(|| kind.to_owned()),
            others: plain(&wanted.prefixes).unwrap_or_default(),
            automatic_advertisement: plain(&wanted.automatic_advertisement).unwrap_or_else(|| {
                advertises
                    .map_or("true", |yes| if yes { "true" } else { "false" })
                    .to_owned()
            }),
            bits: plain(&wanted.bits).unwrap_or(bits.0),
            bits_unit: text(&wanted.bits_unit, Some(&bits.1)),
            packets: plain(&wanted.packets).unwrap_or(packets.0),
            packets_unit: text(&wanted.packets_unit, Some(&packets.1)),
            duration: plain(&wanted.duration).or(minutes).unwrap_or_else(|| "1".to_owned()),
            prefix_match: text(
                &wanted.prefix_match,
                before.and_then(|before| before.prefix_match.as_ref()),
            ),
            zscore_sensitivity: text(
                &wanted.zscore_sensitivity,
                before.and_then(|before| before.zscore_sensitivity.as_ref()),
            ),
            zscore_target: text(
                &wanted.zscore_target,
                before.and_then(|before| before.zscore_target.as_ref()),
            ),
            seen: if wanted.seen.is_empty() {
                seen.to_owned()
            } else {
                wanted.seen.clone()
            },
            confirm: wanted.confirm.clone().unwrap_or_default(),
            reason: wanted.reason.clone().unwrap_or_default(),
        }
    }
}

/// `GET /mnm-rules/new`
pub(crate) async fn blank(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    shown(&app, &member, None, &Wanted::default(), None, None).await
}

/// `GET /mnm-rules/ID`
pub(crate) async fn form(State(app): State<App>, member: Member, Path(id): Path<String>) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let rule = mnm_rules::find(&app, &id).await?;
    shown(&app, &member, Some(&rule), &Wanted::default(), None, None).await
}

/// `POST /mnm-rules/new`
pub(crate) async fn make(asking: Asking<Wanted>) -> Result<Response, Failure> {
    step(asking, None).await
}

/// `POST /mnm-rules/ID`
pub(crate) async fn submit(Path(id): Path<String>, asking: Asking<Wanted>) -> Result<Response, Failure> {
    let rule = mnm_rules::find_known(&asking.app, &id).await?;
    step(asking, Some(&rule)).await
}

async fn step(asking: Asking<Wanted>, rule: Option<&MnmRule>) -> Result<Response, Failure> {
    let (app, member, wanted) = (&asking.app, &asking.member, &asking.fields);
    let before = rule.and_then(|rule| MnmFields::of(rule).ok());
    let id = rule.and_then(|rule| rule.id.as_deref());
    let reviewed = wanted.fields(before.as_ref());
    let review = || reviewed.as_ref().ok().map(|after| differences(before.as_ref(), after));
    let outcome = match (wanted.act.as_deref(), &reviewed) {
        (Some("edit"), _) => return shown(app, member, rule, wanted, None, None).await,
        (Some("delete"), _) => remove(&asking, id.unwrap_or_default()).await,
        (_, Err(wrong)) => return shown(app, member, rule, wanted, None, Some(problems(wrong))).await,
        (Some("send"), Ok(_)) => save(&asking, id).await,
        (_, Ok(_)) if review().is_some_and(|review| review.is_empty()) => {
            let failure = Failure::bad_request("nothing_differs", "Nothing differs from what is there.");
            return shown(app, member, rule, wanted, None, Some(failure)).await;
        }
        (_, Ok(_)) => return shown(app, member, rule, wanted, review(), None).await,
    };
    match outcome {
        Ok(_) => Ok(go_to("/mnm-rules")),
        Err(failure) if wanted.act.as_deref() == Some("delete") => {
            shown(app, member, rule, wanted, None, Some(failure)).await
        }
        Err(failure) => shown(app, member, rule, wanted, review(), Some(failure)).await,
    }
}

/// The form with what was typed, and what is wrong with it.
async fn shown(
    app: &App,
    member: &Member,
    rule: Option<&MnmRule>,
    wanted: &Wanted,
    review: Option<Vec<Difference>>,
    failure: Option<Failure>,
) -> Result<Response, Failure> {
    let before = rule.map(MnmFields::of).transpose().map_err(|why| {
        let text = words::outside(&format!(
            "This rule cannot be edited here without losing something: {why}."
        ));
        Failure::new(StatusCode::CONFLICT, "not_editable", text)
    })?;
    let own = own_prefixes(app).await?;
    let touched = wanted.ticks.keys().any(|name| name.starts_with("p:")) || wanted.act.is_some();
    let of_rule = before
        .as_ref()
        .map(|before| before.prefixes.clone())
        .unwrap_or_default();
    let mut all: Vec<Prefix> = own.into_iter().chain(of_rule.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    let is_ticked = |prefix: &Prefix| {
        if touched {
            wanted.ticks.contains_key(&format!("p:{prefix}"))
        } else {
            of_rule.contains(prefix)
        }
    };
    let seen = rule.map(monitoring::seen).unwrap_or_default();
    let measured = traffic::measured(app, rule.cloned().into_iter().collect()).await?;
    let beside = measured
        .into_iter()
        .map(|(rule, measured)| row(rule, &measured, app.now()).beside);
    let status = failure.as_ref().map_or(StatusCode::OK, Failure::status);
    let title = if rule.is_some() {
        "Change a monitoring rule"
    } else {
        "Make a monitoring rule"
    };
    let mut response = rendered(&Form {
        shell: Shell::bare(app, member, title, "mnm-rules"),
        name: rule.map(|rule| rule.name.clone()),
        fields: Fields::of(before.as_ref(), wanted, &seen),
        prefixes: all
            .iter()
            .map(|prefix| (prefix.to_string(), is_ticked(prefix)))
            .collect(),
        beside: beside.flatten().collect(),
        review,
        problem: failure.map(|failure| failure.text().to_owned()),
    });
    *response.status_mut() = status;
    Ok(response)
}

impl Form {
    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 60)
    }

    fn same(&self, option: &str, chosen: &str) -> bool {
        option == chosen
    }

    fn kinds(&self) -> [(&'static str, &'static str); 4] {
        KINDS
    }

    fn bit_units(&self) -> [&'static str; 5] {
        BIT_UNITS
    }

    fn packet_units(&self) -> [&'static str; 4] {
        PACKET_UNITS
    }

    fn minutes(&self) -> Vec<String> {
        MINUTES.iter().map(ToString::to_string).collect()
    }

    fn choices(&self) -> [(&'static str, &'static str, &'static [&'static str], &str); 3] {
        let fields = &self.fields;
        [
            (
                "Prefix match (sFlow)",
                "prefix_match",
                &["subnet", "exact", "supernet"],
                &fields.prefix_match,
            ),
            (
                "Sensitivity (z-score)",
                "zscore_sensitivity",
                &["low", "medium", "high"],
                &fields.zscore_sensitivity,
            ),
            (
                "Target (z-score)",
                "zscore_target",
                &["bits", "packets"],
                &fields.zscore_target,
            ),
        ]
    }

    /// Every field as it is sent on.
    fn hidden(&self) -> Vec<(String, &str)> {
        let fields = &self.fields;
        let named = [
            ("name", fields.name.as_str()),
            ("kind", &fields.kind),
            ("prefixes", &fields.others),
            ("automatic_advertisement", &fields.automatic_advertisement),
            ("bits", &fields.bits),
            ("bits_unit", &fields.bits_unit),
            ("packets", &fields.packets),
            ("packets_unit", &fields.packets_unit),
            ("duration", &fields.duration),
            ("prefix_match", &fields.prefix_match),
            ("zscore_sensitivity", &fields.zscore_sensitivity),
            ("zscore_target", &fields.zscore_target),
            ("seen", &fields.seen),
        ];
        let ticked = self.prefixes.iter().filter(|(_, ticked)| *ticked);
        let ticks = ticked.map(|(prefix, _)| (format!("p:{prefix}"), "on"));
        named
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .chain(ticks)
            .collect()
    }
}
