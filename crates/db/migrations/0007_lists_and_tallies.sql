-- Lists are read newest first, a page at a time, by the instant and the row number: each filter that leads a list has an
-- index that is in that order already.
CREATE INDEX attack_events_by_alert ON attack_events(alert_type, created_at);
CREATE INDEX attack_events_real_by_type ON attack_events(event_type, created_at) WHERE is_test = 0;
CREATE INDEX network_analytics_events_by_prefix ON network_analytics_events(prefix, event_datetime)
  WHERE prefix IS NOT NULL;
CREATE INDEX network_analytics_events_own ON network_analytics_events(event_datetime) WHERE prefix IS NOT NULL;
CREATE INDEX network_analytics_events_by_attack ON network_analytics_events(attack_id, event_datetime);
CREATE INDEX webhook_events_by_type ON webhook_events(alert_type, received_at);
CREATE INDEX webhook_events_by_prefix ON webhook_events(target_prefix, received_at);
CREATE INDEX withdrawal_history_by_prefix ON withdrawal_history(prefix, created_at);
CREATE INDEX notifications_by_time ON notifications(created_at);
CREATE INDEX notifications_by_state_time ON notifications(state, created_at);
CREATE INDEX audit_by_actor ON audit(actor, at);
CREATE INDEX audit_by_action ON audit(action, at);

-- How many rows a table has: counting a million of them takes longer than a page may. Kept by the database itself, so
-- that no program can forget it.
CREATE TABLE tallies (
  name TEXT PRIMARY KEY,
  rows INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO tallies (name, rows) VALUES
  ('attacks', (SELECT count(*) FROM attack_events WHERE event_type = 'START' AND is_test = 0)),
  ('analytics', (SELECT count(*) FROM network_analytics_events)),
  ('deliveries', (SELECT count(*) FROM webhook_events WHERE is_test = 0)),
  ('withdrawals', (SELECT count(*) FROM withdrawal_history));

CREATE TRIGGER attack_events_tally_in AFTER INSERT ON attack_events WHEN new.event_type = 'START' AND new.is_test = 0
BEGIN UPDATE tallies SET rows = rows + 1 WHERE name = 'attacks'; END;
CREATE TRIGGER attack_events_tally_out AFTER DELETE ON attack_events WHEN old.event_type = 'START' AND old.is_test = 0
BEGIN UPDATE tallies SET rows = rows - 1 WHERE name = 'attacks'; END;
CREATE TRIGGER attack_events_tally_change AFTER UPDATE OF event_type, is_test ON attack_events
BEGIN UPDATE tallies SET rows = rows + (new.event_type = 'START' AND new.is_test = 0)
  - (old.event_type = 'START' AND old.is_test = 0) WHERE name = 'attacks'; END;
CREATE TRIGGER network_analytics_events_tally_in AFTER INSERT ON network_analytics_events
BEGIN UPDATE tallies SET rows = rows + 1 WHERE name = 'analytics'; END;
CREATE TRIGGER network_analytics_events_tally_out AFTER DELETE ON network_analytics_events
BEGIN UPDATE tallies SET rows = rows - 1 WHERE name = 'analytics'; END;
CREATE TRIGGER webhook_events_tally_in AFTER INSERT ON webhook_events WHEN new.is_test = 0
BEGIN UPDATE tallies SET rows = rows + 1 WHERE name = 'deliveries'; END;
CREATE TRIGGER webhook_events_tally_out AFTER DELETE ON webhook_events WHEN old.is_test = 0
BEGIN UPDATE tallies SET rows = rows - 1 WHERE name = 'deliveries'; END;
CREATE TRIGGER webhook_events_tally_change AFTER UPDATE OF is_test ON webhook_events
BEGIN UPDATE tallies SET rows = rows + (new.is_test = 0) - (old.is_test = 0) WHERE name = 'deliveries'; END;
CREATE TRIGGER withdrawal_history_tally_in AFTER INSERT ON withdrawal_history
BEGIN UPDATE tallies SET rows = rows + 1 WHERE name = 'withdrawals'; END;
CREATE TRIGGER withdrawal_history_tally_out AFTER DELETE ON withdrawal_history
BEGIN UPDATE tallies SET rows = rows - 1 WHERE name = 'withdrawals'; END;
