//! What `--test` prints: what a first poll of each source would read, as text or JSON.

use std::collections::BTreeMap;

use cf_api::graphql::mitigations::MitigationRow;
use db::analytics::NewRow;
use db::attack_spans::AttackSpan;
use domain::prefix::Prefix;
use domain::time::for_people_seconds;
use domain::units::{Bits, Packets, grouped};
use serde_json::{Value, json};

use crate::look::Enriched;
use crate::minutes::Sums;
use crate::poll::PollError;
use crate::window::Span;

/// Rows shown as text; JSON has them all.
const SHOWN: usize = 50;

/// What was read of all sources.
#[derive(Debug, Default)]
pub struct Preview {
    sources: Vec<Of>,
}

/// What was read of one.
#[derive(Debug)]
struct Of {
    name: &'static str,
    title: String,
    look: Result<Look, PollError>,
}

/// What came of looking at a source.
#[derive(Debug)]
pub enum Look {
    /// The contract does not have it.
    NotInContract,
    /// It answered.
    Found(Seen, Found),
}

/// How it was read.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The spans read, oldest first.
    pub spans: Vec<Span>,
    /// Spans of which something is missing.
    pub truncated: Vec<Span>,
    /// How many queries it took.
    pub queries: u32,
}

impl Seen {
    /// The same over these spans.
    #[must_use]
    pub fn over(self, spans: &[Span]) -> Self {
        Self {
            spans: spans.to_vec(),
            ..self
        }
    }
}

/// What was there.
#[derive(Debug)]
pub enum Found {
    /// Rows of dropped traffic.
    Rows(Vec<Enriched>),
    /// Dropped traffic by prefix, minute and system.
    Minutes(Sums),
    /// Begin and end of attacks.
    Attacks(Vec<AttackSpan>),
}

impl Preview {
    /// Adds what was read of a source.
    pub fn add(&mut self, name: &'static str, title: String, look: Result<Look, PollError>) {
        self.sources.push(Of { name, title, look });
    }

    /// The sources that could not be read, with the reasons; `None` when there is none.
    pub fn problem(&self) -> Option<String> {
        let failed = |of: &Of| Some(format!("{}: {}", of.title, of.look.as_ref().err()?.chain()));
        let failed: Vec<String> = self.sources.iter().filter_map(failed).collect();
        (!failed.is_empty()).then(|| failed.join("; "))
    }

    /// For machines.
    pub fn to_json(&self) -> Value {
        json!({"sources": self.sources.iter().map(Of::to_json).collect::<Vec<_>>()})
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let texts: Vec<String> = self.sources.iter().map(Of::to_text).collect();
        texts.join("\n")
    }
}

impl Of {
    fn to_json(&self) -> Value {
        let mut json = json!({"source": self.name, "title": self.title});
        let (seen, found) = match &self.look {
            Err(error) => {
                json["outcome"] = error.code().into();
                json["error"] = error.chain().into();
                return json;
            }
            Ok(Look::NotInContract) => {
                json["outcome"] = "not_in_contract".into();
                return json;
            }
            Ok(Look::Found(seen, found)) => (seen, found),
        };
        json["outcome"] = "ok".into();
        json["spans"] = spans(&seen.spans);
        json["truncated"] = spans(&seen.truncated);
        json["queries"] = seen.queries.into();
        match found {
            Found::Rows(rows) => json["rows"] = rows.iter().map(row_json).collect(),
            Found::Minutes(sums) => json["minutes"] = sums.iter().map(minute_json).collect(),
            Found::Attacks(attacks) => json["attacks"] = attacks.iter().map(attack_json).collect(),
        }
        json
    }

    fn to_text(&self) -> String {
        let title = &self.title;
        let (seen, found) = match &self.look {
            Err(error) => return format!("{title}: FAILED: {}\n", harmless(&error.chain())),
            Ok(Look::NotInContract) => return format!("{title}: not in the contract\n"),
            Ok(Look::Found(seen, found)) => (seen, found),
        };
        let mut text = format!("{title}: ");
        if let (Some(first), Some(last)) = (seen.spans.first(), seen.spans.last()) {
            text.push_str(&format!(
                "{} in {} queries, from {} to {}\n",
                found.count(),
                seen.queries,
                for_people_seconds(first.from),
                for_people_seconds(last.to),
            ));
        }
        for span in &seen.truncated {
            text.push_str(&format!(
                "  INCOMPLETE from {} to {}: more than Cloudflare gives out\n",
                for_people_seconds(span.from),
                for_people_seconds(span.to),
            ));
        }
        for line in found.lines() {
            text.push_str(&format!("  {line}\n"));
        }
        text
    }
}

fn spans(spans: &[Span]) -> Value {
    let json = |span: &Span| json!({"from": span.from, "to": span.to});
    spans.iter().map(json).collect()
}

fn row_json((raw, row): &Enriched) -> Value {
    json!({
        "row": raw.to_wire_json(),
        "prefix": row.prefix,
        "source_country": row.source_country,
        "source_city": row.source_city,
        "source_asn": row.source_asn,
        "source_asn_name": row.source_asn_name,
        "source_bogon": row.source_bogon,
    })
}

fn minute_json(
    ((prefix, at, system), (packets, bits, samples)): (&(Prefix, jiff::Timestamp, String), &(u64, u64, u64)),
) -> Value {
    json!({"prefix": prefix, "minute": at, "system": system, "packets": packets, "bits": bits, "samples": samples})
}

fn attack_json(attack: &AttackSpan) -> Value {
    json!({
        "attack_id": attack.attack_id,
        "began_at": attack.began_at,
        "ended_at": attack.ended_at,
        "vector": attack.vector,
        "rule_name": attack.rule_name,
        "mitigation": attack.mitigation,
        "prefix": attack.prefix,
        "targets": attack.targets,
        "sources": attack.sources,
        "packets": attack.packets,
        "bits": attack.bits,
        "dropped_packets": attack.dropped_packets,
        "dropped_bits": attack.dropped_bits,
        "complete": attack.complete,
    })
}

impl Found {
    fn count(&self) -> String {
        match self {
            Self::Rows(rows) => format!("{} rows", grouped(rows.len() as u64)),
            Self::Minutes(sums) => format!("{} minutes with dropped traffic", grouped(sums.len() as u64)),
            Self::Attacks(attacks) => format!("{} attacks", grouped(attacks.len() as u64)),
        }
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::Rows(rows) => row_lines(rows),
            Self::Minutes(sums) => minute_lines(sums),
            Self::Attacks(attacks) => shown(attacks.iter().map(attack_line).collect(), "attacks"),
        }
    }
}

fn row_lines(rows: &[Enriched]) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let packets: Packets = rows.iter().map(|(raw, _)| raw.packets).sum();
    let bits: Bits = rows.iter().map(|(raw, _)| raw.bits).sum();
    let mut lines = vec![format!("Dropped: {packets}, {bits} (estimated from samples)")];
    lines.extend(shown(
        rows.iter().map(|(raw, row)| row_text(raw, row)).collect(),
        "rows",
    ));
    lines
}

/// Dropped by each system, of each prefix.
fn minute_lines(sums: &Sums) -> Vec<String> {
    let mut totals: BTreeMap<(Prefix, &str), (u64, u64, u64)> = BTreeMap::new();
    for ((prefix, _, system), (packets, bits, _)) in sums {
        let total = totals.entry((*prefix, system)).or_default();
        total.0 = total.0.saturating_add(*packets);
        total.1 = total.1.saturating_add(*bits);
        total.2 += 1;
    }
    let line = |((prefix, system), (packets, bits, minutes)): ((Prefix, &str), (u64, u64, u64))| {
        let system = if system.is_empty() { "no system named" } else { system };
        let (packets, bits) = (Packets(packets), Bits(bits));
        harmless(&format!(
            "{prefix}  {system}: {packets}, {bits} in {minutes} minutes (estimated from samples)"
        ))
    };
    shown(totals.into_iter().map(line).collect(), "prefixes")
}

fn attack_line(attack: &AttackSpan) -> String {
    let end = attack
        .ended_at
        .map_or_else(|| "goes on".to_owned(), |end| format!("to {}", for_people_seconds(end)));
    let target = attack.targets.first().map_or("no target", String::as_str);
    let prefix = attack
        .prefix
        .map_or_else(|| "NOT OURS".to_owned(), |prefix| prefix.to_string());
    harmless(&format!(
        "from {} {end}  {} on {target}  {} dropped  {prefix}  {}",
        for_people_seconds(attack.began_at),
        attack.vector.as_deref().unwrap_or("no vector"),
        Packets(attack.dropped_packets),
        attack.attack_id,
    ))
}

/// The last lines, and how many are not shown.
fn shown(mut lines: Vec<String>, what: &str) -> Vec<String> {
    let hidden = lines.len().saturating_sub(SHOWN);
    let mut last = lines.split_off(hidden);
    if hidden > 0 {
        let hidden = grouped(hidden as u64);
        last.insert(0, format!("{hidden} earlier {what} are not shown; --json has them"));
    }
    last
}

fn row_text(raw: &MitigationRow, row: &NewRow) -> String {
    let mut source = Vec::new();
    source.extend(row.source_bogon.as_ref().map(|reason| format!("spoofed: {reason}")));
    source.extend(row.source_city.clone());
    source.extend(row.source_country.clone());
    source.extend(row.source_asn.map(|asn| format!("AS{asn}")));
    let port = row
        .destination_port
        .map_or_else(String::new, |port| format!(" port {port}"));
    let text = format!(
        "{}  {}  {} ({}) -> {}{port} {}  {}, {}  {}  {}",
        raw.datetime,
        row.attack_vector.as_deref().unwrap_or("no vector"),
        row.source_ip.as_deref().unwrap_or("no source"),
        if source.is_empty() {
            "unknown".to_owned()
        } else {
            source.join(", ")
        },
        raw.destination_ip,
        row.protocol.as_deref().unwrap_or(""),
        raw.packets,
        raw.bits,
        row.colo_code.as_deref().unwrap_or("no location"),
        row.prefix
            .map_or_else(|| "NOT OURS".to_owned(), |prefix| prefix.to_string()),
    );
    harmless(&text)
}

/// Texts of the outside world must not move the cursor or turn the direction of writing.
fn harmless(text: &str) -> String {
    let is_harmful = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if is_harmful(c) { '\u{fffd}' } else { c })
        .collect()
}
