//! What tells a group of dropped packets from every other: all dimensions that were asked for, as they came.
//!
//! Not what we looked up about it: a newer GeoIP database must not make a known group a new one.

use cf_api::graphql::mitigations::MitigationRow;
use sha2::{Digest, Sha256};

/// Digest over all dimensions, hex.
pub fn identity(row: &MitigationRow) -> String {
    let mut hasher = Sha256::new();
    let mut add = |part: &str| {
        // With its length, so that no text can reach into the next.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    };
    add(row.witness.system());
    add(&row.datetime);
    add(&row.destination_ip);
    for text in [
        &row.attack_id,
        &row.attack_vector,
        &row.rule_name,
        &row.rule_id,
        &row.ruleset_id,
        &row.mitigation_reason,
        &row.outcome,
        &row.verdict,
        &row.source_ip,
        &row.source_asn_name,
        &row.source_country,
        &row.protocol,
        &row.protocol_state,
        &row.tcp_flags,
        &row.dns_query_name,
        &row.dns_query_type,
        &row.colo_code,
        &row.colo_country,
        &row.colo_city,
    ] {
        add(text.as_deref().unwrap_or_default());
    }
    for number in [row.source_port, row.source_asn, row.destination_port] {
        add(&number.unwrap_or(0).to_string());
    }
    add(&row.sample_interval.to_string());
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cf_api::graphql::mitigations::Witness;
    use domain::units::{Bits, Packets};

    use super::*;

    fn row() -> MitigationRow {
        MitigationRow::of(Witness::Ddos)
    }

    #[test]
    fn every_dimension_counts_and_no_amount_does() {
        let text = || Some("x".to_owned());
        let rows = [
            row(),
            MitigationRow::of(Witness::Firewall),
            MitigationRow {
                datetime: "x".into(),
                ..row()
            },
            MitigationRow {
                destination_ip: "x".into(),
                ..row()
            },
            MitigationRow {
                attack_id: text(),
                ..row()
            },
            MitigationRow {
                attack_vector: text(),
                ..row()
            },
            MitigationRow {
                rule_name: text(),
                ..row()
            },
            MitigationRow {
                rule_id: text(),
                ..row()
            },
            MitigationRow {
                ruleset_id: text(),
                ..row()
            },
            MitigationRow {
                mitigation_reason: text(),
                ..row()
            },
            MitigationRow {
                outcome: text(),
                ..row()
            },
            MitigationRow {
                verdict: text(),
                ..row()
            },
            MitigationRow {
                source_ip: text(),
                ..row()
            },
            MitigationRow {
                source_asn_name: text(),
                ..row()
            },
            MitigationRow {
                source_country: text(),
                ..row()
            },
            MitigationRow {
                protocol: text(),
                ..row()
            },
            MitigationRow {
                protocol_state: text(),
                ..row()
            },
            MitigationRow {
                tcp_flags: text(),
                ..row()
            },
            MitigationRow {
                dns_query_name: text(),
                ..row()
            },
            MitigationRow {
                dns_query_type: text(),
                ..row()
            },
            MitigationRow {
                colo_code: text(),
                ..row()
            },
            MitigationRow {
                colo_country: text(),
                ..row()
            },
            MitigationRow {
                colo_city: text(),
                ..row()
            },
            MitigationRow {
                source_port: Some(1),
                ..row()
            },
            MitigationRow {
                source_asn: Some(1),
                ..row()
            },
            MitigationRow {
                destination_port: Some(1),
                ..row()
            },
            MitigationRow {
                sample_interval: 1,
                ..row()
            },
        ];
        let distinct: BTreeSet<String> = rows.iter().map(identity).collect();
        assert_eq!(distinct.len(), rows.len());
        let grown = MitigationRow {
            packets: Packets(5),
            bits: Bits(5),
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            ..row()
        };
        assert_eq!(identity(&grown), identity(&row()));
    }
}
