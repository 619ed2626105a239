//! One analytics node: limits checked, rows filtered, grouped by exactly the requested dimensions, ordered and cut.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::execute::{Asked, Context};
use super::measure::Group;
use super::{GraphqlError, filter, schema};
use crate::faults::FaultKind;
use crate::traffic::{ATTACKS, Row, second_text};

/// Lengths of the time buckets, by the end of a dimension's or average's name.
pub(super) const BUCKETS: [(&str, i64); 7] = [
    ("TenSeconds", 10),
    ("FiveMinutes", 300),
    ("FifteenMinutes", 900),
    ("HalfOfHour", 1800),
    ("Minute", 60),
    ("Hour", 3600),
    ("Day", 86_400),
];

/// What `confidence` means without a level.
const DEFAULT_LEVEL: f64 = 0.95;

/// The schema's type of a node.
pub(super) fn type_of(node: &str) -> String {
    let mut letters = node.chars();
    letters.next().map_or_else(String::new, |c| {
        format!("Account{}{}", c.to_ascii_uppercase(), letters.as_str())
    })
}

pub(super) fn run(context: &Context<'_>, asked: &Asked<'_>) -> Result<Value, GraphqlError> {
    let node = asked.field.name.as_str();
    let owner = type_of(node);
    let input = format!("{owner}Filter_InputObject");
    let path = ["viewer", "accounts", "0", node];
    if context.lacks(node) {
        let account = &context.world.config.account_id;
        let refusal =
            format!("account '{account}' does not have access to the path. Refer to this page for more details");
        return Err(GraphqlError::at(refusal, &path));
    }
    let bad_argument = |e: String| GraphqlError::at(format!("error parsing args for \"{node}\": {e}"), &path);

    let wanted = context
        .argument(asked.field, "filter", &format!("{input}!"))
        .map_err(bad_argument)?;
    let Some(Value::Object(wanted)) = wanted else {
        return Err(bad_argument("argument \"filter\" is required".into()));
    };
    let Some(limit) = context
        .argument(asked.field, "limit", "uint64!")
        .map_err(bad_argument)?
    else {
        return Err(bad_argument("argument \"limit\" is required".into()));
    };
    let order = context
        .argument(asked.field, "orderBy", &format!("[{owner}OrderBy!]"))
        .map_err(bad_argument)?;
    let order: Vec<String> = order
        .iter()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();

    let limits = context.world.config.node_limits;
    let limit = limit
        .as_u64()
        .filter(|n| (1..=limits.max_page_size).contains(n))
        .ok_or_else(|| {
            GraphqlError::at(
                format!(
                    "limit must be positive number and not greater than {}",
                    limits.max_page_size
                ),
                &path,
            )
        })?;
    let range = checked_range(context, &wanted, &input, &path)?;

    let mut dimensions: Vec<&str> = Vec::new();
    let selected = context.fields(&asked.below);
    let mut asked_fields = 0;
    for part in &selected {
        let inner = context.fields(&part.below);
        asked_fields += inner.len().max(1) as u64;
        if part.field.name == "confidence" {
            confidence_level(context, part)
                .map_err(|e| GraphqlError::at(format!("error parsing args for \"confidence\": {e}"), &path))?;
        }
        if part.field.name == "dimensions" {
            for dimension in inner
                .iter()
                .map(|d| d.field.name.as_str())
                .filter(|n| *n != "__typename")
            {
                if !dimensions.contains(&dimension) {
                    dimensions.push(dimension);
                }
            }
        }
    }
    if asked_fields > limits.max_number_of_fields {
        return Err(GraphqlError::at(
            format!("number of fields can't be more than {}", limits.max_number_of_fields),
            &path,
        ));
    }

    let (stale, cut) = match context.fault {
        Some(FaultKind::EmptyRows) => (Duration::ZERO, 0),
        Some(FaultKind::TruncateRows { n }) => (Duration::ZERO, *n),
        Some(FaultKind::StaleRows { seconds }) => (Duration::from_secs(*seconds), usize::MAX),
        _ => (Duration::ZERO, usize::MAX),
    };
    let mut state = context.world.lock();
    state.traffic.flush(context.now.as_second());
    let flat = node == ATTACKS;
    let dims_type = if flat {
        owner.clone()
    } else {
        format!("{owner}Dimensions")
    };
    let fits = |row: &&Row| {
        (flat || (range.0..=range.1).contains(&row.second))
            && filter::matches(&wanted, &input, &|name| value(row, &dims_type, name))
    };
    let rows = state.traffic.visible(node, context.now, stale).filter(fits);

    let mut groups: Vec<Group<'_>> = if flat {
        rows.map(Group::of).collect()
    } else {
        let mut by_key: BTreeMap<String, Group<'_>> = BTreeMap::new();
        for row in rows {
            let key: Vec<Value> = dimensions.iter().map(|d| value(row, &dims_type, d)).collect();
            let key = Value::Array(key).to_string();
            match by_key.get_mut(&key) {
                Some(group) => group.add(row),
                None => {
                    by_key.insert(key, Group::of(row));
                }
            }
        }
        by_key.into_values().collect()
    };
    sort(&mut groups, &order, &dims_type);
    groups.truncate(usize::try_from(limit).unwrap_or(usize::MAX).min(cut));
    let answers = groups
        .iter()
        .map(|g| answer(context, g, &selected, &owner, &dims_type, flat));
    Ok(Value::Array(answers.collect()))
}

/// The seconds that may be looked at, or the documented refusal.
fn checked_range(
    context: &Context<'_>,
    wanted: &Map<String, Value>,
    input: &str,
    path: &[&str],
) -> Result<(i64, i64), GraphqlError> {
    let limits = context.world.config.node_limits;
    let now = context.now.as_second();
    let (from, to) = filter::time_range(wanted, input);
    let too_wide = || {
        let width = limits.max_duration_s;
        GraphqlError::at(
            format!("query time range is too large. Time range can't be wider than {width}s"),
            path,
        )
    };
    let from = from.ok_or_else(too_wide)?;
    if now - from > limits.not_older_than_s {
        return Err(GraphqlError::at(
            format!("cannot request data older than {}s", limits.not_older_than_s),
            path,
        ));
    }
    if to.unwrap_or(now).saturating_sub(from) > limits.max_duration_s {
        return Err(too_wide());
    }
    Ok((from, to.unwrap_or(i64::MAX)))
}

/// A dimension's (or flat field's) value.
fn value(row: &Row, dims_type: &str, name: &str) -> Value {
    let kind = schema::field_type(dims_type, name).unwrap_or("string!");
    if name == "date" {
        return json!(date_text(row.second));
    }
    if let Some(bucket) = name.strip_prefix("datetime") {
        let length = BUCKETS
            .iter()
            .find(|(suffix, _)| *suffix == bucket)
            .map_or(1, |(_, s)| *s);
        return json!(second_text(row.second - row.second.rem_euclid(length)));
    }
    if let Some(given) = row.dims.get(name) {
        return given.clone();
    }
    match name {
        "ipDestinationSubnet" => return subnet(row, "ipDestinationAddress"),
        "ipSourceSubnet" => return subnet(row, "ipSourceAddress"),
        "packets" => return json!(row.packets),
        "bits" => return json!(row.bits),
        _ => {}
    }
    match kind.trim_end_matches('!') {
        "string" => json!(""),
        // What "not available" looks like in a field that cannot be null.
        "Time" => json!("1970-01-01T00:00:00Z"),
        "Date" => json!("1970-01-01"),
        "bool" => json!(false),
        list if list.starts_with('[') => json!([]),
        float if float.starts_with("float") => json!(0.0),
        _ => json!(0),
    }
}

fn date_text(second: i64) -> String {
    let at = jiff::Timestamp::from_second(second).unwrap_or_default();
    at.to_zoned(TimeZone::UTC).date().to_string()
}

/// /24 of an IPv4 address, /64 of an IPv6 address.
fn subnet(row: &Row, address: &str) -> Value {
    let address = row
        .dims
        .get(address)
        .and_then(Value::as_str)
        .and_then(|a| a.parse::<IpAddr>().ok());
    let network = address.and_then(|a| IpNet::new(a, if a.is_ipv4() { 24 } else { 64 }).ok());
    json!(network.map(|n| n.trunc().to_string()).unwrap_or_default())
}

/// `sum_packets_DESC`, `datetime_ASC`, `count_DESC`: measures and dimensions in the order given.
fn sort(groups: &mut [Group<'_>], order: &[String], dims_type: &str) {
    groups.sort_by(|a, b| {
        for term in order {
            let (name, descending) = match term.strip_suffix("_DESC") {
                Some(name) => (name, true),
                None => (term.trim_end_matches("_ASC"), false),
            };
            let key = |g: &Group<'_>| match name.split_once('_') {
                Some((part @ ("sum" | "avg"), measured)) => g.measure(part, measured, "float64"),
                _ if name == "count" => json!(g.count()),
                _ => value(g.first, dims_type, name),
            };
            let kind = schema::field_type(dims_type, name).unwrap_or_default();
            let found = filter::compare(&key(a), &key(b), kind).unwrap_or(std::cmp::Ordering::Equal);
            let found = if descending { found.reverse() } else { found };
            if found.is_ne() {
                return found;
            }
        }
        std::cmp::Ordering::Equal
    });
}

fn answer(
    context: &Context<'_>,
    group: &Group<'_>,
    selected: &[Asked<'_>],
    owner: &str,
    dims_type: &str,
    flat: bool,
) -> Value {
    let mut out = Map::new();
    for part in selected {
        let name = part.field.name.as_str();
        let value = match name {
            "__typename" => json!(owner),
            _ if flat => value(group.first, dims_type, name),
            "count" => json!(group.count()),
            "confidence" => confidence(context, part, group, owner),
            "dimensions" => fields(context, part, |n| value(group.first, dims_type, n), dims_type),
            part_name => {
                let kind_owner = format!("{owner}{}", if part_name == "sum" { "Sum" } else { "Avg" });
                let one = |n: &str| group.measure(part_name, n, schema::field_type(&kind_owner, n).unwrap_or_default());
                fields(context, part, one, &kind_owner)
            }
        };
        out.insert(part.key.clone(), value);
    }
    Value::Object(out)
}

fn fields(context: &Context<'_>, part: &Asked<'_>, one: impl Fn(&str) -> Value, owner: &str) -> Value {
    let mut out = Map::new();
    for asked in context.fields(&part.below) {
        let name = asked.field.name.as_str();
        out.insert(asked.key, if name == "__typename" { json!(owner) } else { one(name) });
    }
    Value::Object(out)
}

/// How far the sums of a sampled group can be trusted. The level was checked before any row was looked at.
fn confidence(context: &Context<'_>, part: &Asked<'_>, group: &Group<'_>, owner: &str) -> Value {
    let level = confidence_level(context, part).unwrap_or(DEFAULT_LEVEL);
    let mut out = Map::new();
    for asked in context.fields(&part.below) {
        let value = match asked.field.name.as_str() {
            "level" => json!(level),
            "sum" => {
                let mut sums = Map::new();
                for sum in context.fields(&asked.below) {
                    let name = sum.field.name.as_str();
                    let (estimate, lower, upper, samples) = group.confidence(name, level);
                    let one = |n: &str| match n {
                        "estimate" => json!(estimate),
                        "lower" => json!(lower),
                        "upper" => json!(upper),
                        _ => json!(samples),
                    };
                    let value = match name {
                        "__typename" => json!(format!("{owner}ConfidenceSum")),
                        _ => fields(context, &sum, one, "ConfidenceInterval"),
                    };
                    sums.insert(sum.key, value);
                }
                Value::Object(sums)
            }
            _ => json!(format!("{owner}Confidence")),
        };
        out.insert(asked.key, value);
    }
    Value::Object(out)
}

/// The level that was asked for, if any.
fn confidence_level(context: &Context<'_>, part: &Asked<'_>) -> Result<f64, String> {
    let level = match context.argument(part.field, "level", "float64")? {
        None | Some(Value::Null) => DEFAULT_LEVEL,
        Some(level) => level.as_f64().unwrap_or(f64::NAN),
    };
    if level > 0.0 && level < 1.0 {
        Ok(level)
    } else {
        Err("level: must be between 0 and 1".to_owned())
    }
}
