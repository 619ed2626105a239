//! The one place where old rows are deleted: by `cloudflare-mt db prune`, as `database.retention` says, a few at a time.
//!
//! Must hold: what is still open is never deleted however old it is (an incident without an end, a message that waits or
//! was given up, the last decision of a prefix, a change of rules of which nobody recorded what came of it); rows that belong to a deleted row go with it, rows that only point to it
//! stay and point nowhere; one call deletes a bounded number, so that no writer waits for long.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

use super::column::at;
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// One table's rule. `{doomed}` stands for the ids that are about to go.
struct Rule {
    /// Name of the table, as `database.retention` names it.
    table: &'static str,
    /// Ids of rows older than `?1`, oldest first.
    old: &'static str,
    /// What goes before, or stops pointing to it.
    before: &'static [&'static str],
    /// What was drawn from it and is kept as long; each deletes at most `?2` rows older than `?1`.
    along: &'static [&'static str],
}

const RULES: [Rule; 10] = [
    Rule {
        table: "attack_events",
        old: "SELECT id FROM attack_events WHERE created_at < ?1 ORDER BY created_at",
        before: &[],
        along: &[],
    },
    Rule {
        table: "withdrawal_history",
        old: "SELECT id FROM withdrawal_history WHERE created_at < ?1 ORDER BY created_at",
        before: &[],
        along: &[],
    },
    Rule {
        table: "incidents",
        old: "SELECT id FROM incidents WHERE began_at < ?1 AND last_sign_at < ?1
              AND (ended_at IS NOT NULL OR withdrawn_at IS NOT NULL OR merged_into IS NOT NULL) ORDER BY began_at",
        before: &[
            "DELETE FROM incident_prefixes WHERE incident_id IN ({doomed})",
            "DELETE FROM incident_keys WHERE incident_id IN ({doomed})",
            "DELETE FROM incident_timeline WHERE incident_id IN ({doomed})",
            "DELETE FROM incident_duty WHERE incident_id IN ({doomed})",
            "UPDATE attack_events SET incident_id = NULL WHERE incident_id IN ({doomed})",
            "UPDATE notifications SET incident_id = NULL WHERE incident_id IN ({doomed})",
            "UPDATE network_analytics_events SET incident_id = NULL WHERE incident_id IN ({doomed})",
        ],
        along: &[],
    },
    Rule {
        table: "audit",
        old: "SELECT id FROM audit WHERE at < ?1 ORDER BY at",
        before: &[],
        along: &[],
    },
    Rule {
        table: "rule_changes",
        // What was taken back goes only together with what took it back: alone it would look as if it still stood.
        old: "SELECT id FROM rule_changes WHERE at < ?1 AND state <> 'open'
              AND (undone_by IS NULL
                   OR EXISTS (SELECT 1 FROM rule_changes AS back WHERE back.id = rule_changes.undone_by AND back.at < ?1))
              ORDER BY at, id",
        before: &[
            "UPDATE rule_changes SET undoes = NULL WHERE undoes IN ({doomed})",
            "UPDATE rule_changes SET undone_by = NULL WHERE undone_by IN ({doomed})",
        ],
        along: &[],
    },
    Rule {
        table: "webhook_events",
        old: "SELECT id FROM webhook_events WHERE received_at < ?1 ORDER BY received_at",
        before: &[
            "DELETE FROM alert_history WHERE delivery_id IN ({doomed})",
            "UPDATE attack_events SET webhook_event_id = NULL WHERE webhook_event_id IN ({doomed})",
        ],
        along: &[],
    },
    Rule {
        table: "network_analytics_events",
        old: "SELECT id FROM network_analytics_events WHERE notified_at < ?1 ORDER BY notified_at",
        before: &[],
        along: &[
            "DELETE FROM drop_series WHERE (prefix, at, system) IN
               (SELECT prefix, at, system FROM drop_series WHERE at < ?1 ORDER BY at LIMIT ?2)",
            "DELETE FROM drop_minutes WHERE at IN (SELECT at FROM drop_minutes WHERE at < ?1 ORDER BY at LIMIT ?2)",
            "DELETE FROM attack_spans WHERE attack_id IN
               (SELECT attack_id FROM attack_spans WHERE began_at < ?1 AND ended_at < ?1 ORDER BY began_at LIMIT ?2)",
        ],
    },
    Rule {
        table: "notifications",
        old: "SELECT id FROM notifications WHERE created_at < ?1 AND state IN ('sent', 'suppressed')
              AND NOT EXISTS (SELECT 1 FROM notification_copies
                              WHERE notification_id = notifications.id AND state IN ('queued', 'failed')) ORDER BY id",
        before: &[
            "DELETE FROM notification_attempts WHERE notification_id IN ({doomed})",
            "DELETE FROM notification_copies WHERE notification_id IN ({doomed})",
        ],
        along: &[],
    },
    Rule {
        table: "decisions",
        old: "SELECT id FROM decisions WHERE at < ?1
              AND id NOT IN (SELECT max(id) FROM decisions GROUP BY prefix) ORDER BY id",
        before: &[],
        along: &[],
    },
    Rule {
        table: "evidence",
        old: "SELECT id FROM evidence WHERE at < ?1 ORDER BY at",
        before: &["UPDATE decisions SET evidence_id = NULL WHERE evidence_id IN ({doomed})"],
        along: &["DELETE FROM traffic_series WHERE (prefix, at) IN
                    (SELECT prefix, at FROM traffic_series WHERE at < ?1 ORDER BY at LIMIT ?2)"],
    },
];

/// Every table that has a rule.
pub fn tables() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.table)
}

fn rule(table: &str) -> Result<&'static Rule, DbError> {
    RULES
        .iter()
        .find(|rule| rule.table == table)
        .ok_or_else(|| DbError::bad_row(table, "-", "there is no rule by which its rows may be deleted"))
}

/// How many rows of `table` are older than `before` and may go.
///
/// # Errors
/// Those of the database, and a table without a rule.
pub fn count(tx: &ReadTx<'_>, table: &str, before: Timestamp) -> Result<u64, DbError> {
    let sql = format!("SELECT count(*) FROM ({})", rule(table)?.old);
    let count: i64 = tx.conn().query_row(&sql, [at(before)], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Deletes at most `most` rows of `table` that are older than `before`. Returns how many; 0 when there are none left.
///
/// # Errors
/// Those of the database, and a table without a rule.
pub fn prune(tx: &WriteTx<'_>, table: &str, before: Timestamp, most: u32) -> Result<u64, DbError> {
    let rule = rule(table)?;
    let mut most_gone = 0;
    for statement in rule.along {
        most_gone = tx
            .conn()
            .prepare_cached(statement)?
            .execute(params![at(before), most])?
            .max(most_gone);
    }
    let doomed: Vec<i64> = tx
        .conn()
        .prepare_cached(&format!("{} LIMIT ?2", rule.old))?
        .query_map(params![at(before), most], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if doomed.is_empty() {
        return Ok(most_gone as u64);
    }
    let places = vec!["?"; doomed.len()].join(",");
    let ids = || params_from_iter(doomed.iter().map(|id| Value::Integer(*id)));
    for statement in rule.before {
        tx.conn().execute(&statement.replace("{doomed}", &places), ids())?;
    }
    let gone = tx
        .conn()
        .execute(&format!("DELETE FROM {} WHERE id IN ({places})", rule.table), ids())?;
    Ok(gone.max(most_gone) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, OpenOptions};

    const OLD: &str = "2025-01-01 00:00:00";
    const NEW: &str = "2026-11-01 00:00:00";
    const BEFORE: &str = "2026-06-01T00:00:00Z";

    fn filled() -> (tempfile::TempDir, Db) {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("a.db"), OpenOptions::default()).unwrap();
        db.write_blocking("fill", |tx| {
            for (n, when) in [(1, OLD), (2, OLD), (3, NEW)] {
                tx.conn().execute_batch(&format!(
                    "INSERT INTO incidents (id, title, began_at, last_sign_at, ended_at, created_at, updated_at)
                       VALUES ({n}, 't', '{when}', '{when}', {ended}, '{when}', '{when}');
                     INSERT INTO incident_prefixes VALUES ({n}, '203.0.113.0/24');
                     INSERT INTO incident_keys VALUES ('k', '{n}', {n});
                     INSERT INTO incident_timeline (incident_id, at, kind, text, source, created_at)
                       VALUES ({n}, '{when}', 'k', 't', 's', '{when}');
                     INSERT INTO webhook_events (id, received_at, payload) VALUES ({n}, '{when}', '{{}}');
                     INSERT INTO alert_history (id, sent_at, outcome, delivery_id, priority, dated, seen_at, announced)
                       VALUES ('{n}', '{when}', 'delivered', {n}, 1, 1, '{when}', 1);
                     INSERT INTO attack_events (id, event_type, incident_id, webhook_event_id, created_at)
                       VALUES ({n}, 'START', {n}, {n}, '{when}');
                     INSERT INTO withdrawal_history (id, prefix, created_at) VALUES ({n}, '203.0.113.0/24', '{when}');
                     INSERT INTO network_analytics_events (id, event_hash, notified_at) VALUES ({n}, 'h{n}', '{when}');
                     INSERT INTO evidence (id, at, body) VALUES ({n}, '{when}', '{{}}');
                     INSERT INTO decisions (id, prefix, at, verdict, body, next, state_version, evidence_id)
                       VALUES ({n}, '203.0.113.0/24', '{when}', 'calm', '{{}}', '{{}}', 1, {n});
                     INSERT INTO traffic_series VALUES ('203.0.113.0/24', '{when}{n}', 60, 1, 1, 1);
                     INSERT INTO drop_series VALUES ('203.0.113.0/24', '{when}', '{n}', 1, 1, 1);
                     INSERT OR IGNORE INTO drop_minutes VALUES ('{when}', 1);
                     INSERT INTO attack_spans (attack_id, began_at, ended_at, targets, sources, packets, bits,
                         dropped_packets, dropped_bits, complete, read_at)
                       VALUES ('{n}', '{when}', {ended}, '[]', 1, 1, 1, 1, 1, 1, '{when}');
                     INSERT INTO audit (id, at, actor, role, via, action, subject, result)
                       VALUES ({n}, '{when}', 'a', 'r', 'v', 'a', 's', 'ok');
                     INSERT INTO rule_changes (id, at, actor, via, family, what, subject, state, undoes, undone_by)
                       VALUES ({n}, '{when}', 'a', 'v', 'mnm', 'edit', 's', '{change}', NULL, NULL);
                     INSERT INTO notifications (id, created_at, kind, priority, facts_version, facts, state, not_before)
                       VALUES ({n}, '{when}', 'k', 1, 1, '{{}}', '{state}', '{when}');
                     INSERT INTO notification_attempts (notification_id, at, owner, chat_id, outcome, words)
                       VALUES ({n}, '{when}', 'o', 'c', 'sent', 'w');",
                    ended = if n == 2 { "NULL".to_owned() } else { format!("'{when}'") },
                    state = if n == 2 { "queued" } else { "sent" },
                    change = if n == 2 { "open" } else { "done" },
                ))?;
            }
            Ok(())
        })
        .unwrap();
        (dir, db)
    }

    fn left(db: &Db, table: &str) -> Vec<i64> {
        let sql = format!("SELECT id FROM {table} ORDER BY id");
        db.read_blocking("left", move |tx| {
            let mut ids = tx.conn().prepare(&sql)?;
            let ids = ids.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(ids)
        })
        .unwrap()
    }

    fn number(db: &Db, sql: &'static str) -> i64 {
        db.read_blocking("number", move |tx| {
            Ok(tx.conn().query_row(sql, [], |row| row.get(0))?)
        })
        .unwrap()
    }

    #[test]
    fn what_is_old_goes_what_is_open_stays_and_nothing_dangles() {
        let (_dir, db) = filled();
        let before: Timestamp = BEFORE.parse().unwrap();
        for table in tables() {
            let (expected, kept): (u64, &[i64]) = match table {
                // The second one is open: no end, not sent, no result.
                "incidents" | "notifications" | "rule_changes" => (1, &[2, 3]),
                _ => (2, &[3]),
            };
            let counted = db.read_blocking("count", |tx| count(tx, table, before)).unwrap();
            assert_eq!(counted, expected, "{table}");
            let mut gone = 0;
            loop {
                let now = db
                    .write_blocking("prune", move |tx| prune(tx, table, before, 1))
                    .unwrap();
                if now == 0 {
                    break;
                }
                gone += now;
            }
            assert!(gone >= expected, "{table}");
            assert_eq!(left(&db, table), kept, "{table}");
        }
        assert!(db.integrity_check_blocking().unwrap().is_empty(), "nothing dangles");
        assert_eq!(number(&db, "SELECT count(*) FROM traffic_series"), 1);
        assert_eq!(number(&db, "SELECT count(*) FROM drop_series"), 1);
        assert_eq!(number(&db, "SELECT count(*) FROM drop_minutes"), 1);
        assert_eq!(number(&db, "SELECT count(*) FROM attack_spans"), 2, "one of them lasts");
        assert_eq!(number(&db, "SELECT count(*) FROM alert_history"), 1);
        assert_eq!(number(&db, "SELECT count(*) FROM notification_attempts"), 2);
        assert_eq!(number(&db, "SELECT count(*) FROM incident_timeline"), 2);
    }

    #[test]
    fn what_was_taken_back_goes_with_what_took_it_back() {
        let (_dir, db) = filled();
        db.write_blocking("undo", |tx| {
            let link = "UPDATE rule_changes SET state = 'done', undone_by = 3 WHERE id = 2; UPDATE rule_changes SET undoes = 2 WHERE id = 3";
            Ok(tx.conn().execute_batch(link)?)
        })
        .unwrap();
        let prune = |before: &str, most| {
            let before: Timestamp = before.parse().unwrap();
            db.write_blocking("prune", move |tx| prune(tx, "rule_changes", before, most))
                .unwrap()
        };
        assert_eq!((prune(BEFORE, 100), left(&db, "rule_changes")), (1, vec![2, 3]));
        assert_eq!(prune("2030-01-01T00:00:00Z", 1), 1);
        assert_eq!(left(&db, "rule_changes"), [3], "the older one first");
        assert_eq!(prune("2030-01-01T00:00:00Z", 1), 1);
        assert!(db.integrity_check_blocking().unwrap().is_empty(), "nothing dangles");
    }

    #[test]
    fn the_last_decision_of_a_prefix_stays_and_other_tables_are_refused() {
        let (_dir, db) = filled();
        let late: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let gone = db
            .write_blocking("prune", move |tx| prune(tx, "decisions", late, 100))
            .unwrap();
        assert_eq!((gone, left(&db, "decisions")), (2, vec![3]));
        let evidence = db
            .write_blocking("prune", move |tx| prune(tx, "evidence", late, 100))
            .unwrap();
        assert_eq!(evidence, 3);
        assert_eq!(
            number(&db, "SELECT count(*) FROM decisions WHERE evidence_id IS NULL"),
            1
        );
        let refused = db.write_blocking("prune", move |tx| prune(tx, "users", late, 100));
        assert!(refused.is_err() && tables().all(|table| table != "users"));
    }
}
