//! What `--test` prints: the rows that a first poll would read, enriched, as text or JSON.

use cf_api::graphql::mitigations::MitigationRow;
use db::analytics::NewRow;
use domain::time::for_people_seconds;
use domain::units::{Bits, Packets, grouped};
use serde_json::{Value, json};

use crate::window::Span;

/// Rows shown as text; JSON has them all.
const SHOWN: usize = 50;

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    /// The spans read, oldest first.
    pub spans: Vec<Span>,
    /// Each row as it came and as it would be stored.
    pub rows: Vec<(MitigationRow, NewRow)>,
    /// Spans of which rows are missing.
    pub truncated: Vec<Span>,
    /// How many queries it took.
    pub queries: u32,
}

impl Preview {
    /// For machines.
    pub fn to_json(&self) -> Value {
        let spans = |spans: &[Span]| -> Vec<Value> {
            spans
                .iter()
                .map(|span| json!({"from": span.from, "to": span.to}))
                .collect()
        };
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|(raw, row)| {
                json!({
                    "row": raw.to_wire_json(),
                    "prefix": row.prefix,
                    "source_country": row.source_country,
                    "source_city": row.source_city,
                    "source_asn": row.source_asn,
                    "source_asn_name": row.source_asn_name,
                    "source_bogon": row.source_bogon,
                })
            })
            .collect();
        json!({
            "spans": spans(&self.spans),
            "truncated": spans(&self.truncated),
            "queries": self.queries,
            "rows": rows,
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let (Some(first), Some(last)) = (self.spans.first(), self.spans.last()) {
            text.push_str(&format!(
                "From {} to {}: {} rows in {} queries\n",
                for_people_seconds(first.from),
                for_people_seconds(last.to),
                grouped(self.rows.len() as u64),
                self.queries,
            ));
        }
        for span in &self.truncated {
            text.push_str(&format!(
                "INCOMPLETE from {} to {}: more rows than Cloudflare gives out\n",
                for_people_seconds(span.from),
                for_people_seconds(span.to),
            ));
        }
        let packets: Packets = self.rows.iter().map(|(raw, _)| raw.packets).sum();
        let bits: Bits = self.rows.iter().map(|(raw, _)| raw.bits).sum();
        text.push_str(&format!("Dropped: {packets}, {bits} (estimated from samples)\n"));
        let hidden = self.rows.len().saturating_sub(SHOWN);
        if hidden > 0 {
            text.push_str(&format!(
                "{} earlier rows are not shown; --json has them\n",
                grouped(hidden as u64)
            ));
        }
        for (raw, row) in self.rows.iter().skip(hidden) {
            text.push_str(&row_text(raw, row));
            text.push('\n');
        }
        text
    }
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
