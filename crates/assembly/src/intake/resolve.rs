//! Alerts that could not be tied to prefixes of ours veto every prefix (rule 6). When the rule list
//! or the discovered prefixes say more, they are looked at again, and veto only what they concern.

use cf_api::webhook::{decode, to_alert};
use db::incidents::Line;
use db::ledger::Unresolved;
use db::{DbError, ReadTx, WriteTx};
use domain::prefix::{Prefix, PrefixMap};
use jiff::Timestamp;

/// An alert that could be tied to prefixes now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Its row in the operator's log.
    pub event: i64,
    /// Kind name.
    pub kind: String,
    /// The prefixes.
    pub prefixes: Vec<Prefix>,
}

/// Whether there is anything to look at again: unresolved alerts since `since`.
///
/// # Errors
/// Those of the database.
pub fn is_needed(tx: &ReadTx<'_>, since: Timestamp) -> Result<bool, DbError> {
    Ok(!db::ledger::unresolved(tx, since)?.is_empty())
}

/// Looks again at the unresolved alerts since `since`. One that still cannot be tied to prefixes
/// stays as it is.
///
/// # Errors
/// Those of the database.
pub fn again(
    tx: &WriteTx<'_>,
    networks: &PrefixMap<()>,
    since: Timestamp,
    now: Timestamp,
) -> Result<Vec<Resolved>, DbError> {
    let mut resolved = Vec::new();
    for row in db::ledger::unresolved(tx, since)? {
        let alert = to_alert(&decode(&row.body), row.received_at);
        let rule = match &alert.rule_name {
            Some(name) => db::inventory::rule_prefixes(tx, name)?,
            None => None,
        };
        let affected = alert.affected(networks, rule.as_deref());
        if affected.unresolved {
            continue;
        }
        let Unresolved {
            key,
            event,
            incident,
            delivery,
            ..
        } = row;
        db::ledger::resolve(tx, &key, &db::ledger::key_of(&alert, &affected), &affected.prefixes)?;
        db::deliveries::resolve(tx, delivery, &affected.prefixes)?;
        db::events::resolve(tx, event, &affected.prefixes)?;
        if let Some(incident) = incident {
            db::incidents::add_prefixes(tx, incident, &affected.prefixes)?;
            let names: Vec<String> = affected.prefixes.iter().map(ToString::to_string).collect();
            let line = Line {
                at: now,
                kind: "alert_resolved".into(),
                text: format!("{} concerns {}", alert.kind.title(), names.join(", ")),
                source: "monitoring rules and known prefixes".into(),
                actor: None,
                reference: Some(("attack_events".into(), event.0)),
            };
            db::incidents::note(tx, incident, &line, now)?;
        }
        resolved.push(Resolved {
            event: event.0,
            kind: alert.kind.name().to_owned(),
            prefixes: affected.prefixes,
        });
    }
    Ok(resolved)
}
