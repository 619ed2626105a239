-- What Cloudflare's notification history says was dispatched to receivers, and what became of it here.
CREATE TABLE alert_history (
  id TEXT PRIMARY KEY,            -- Cloudflare's id of the entry
  sent_at TEXT NOT NULL,          -- when Cloudflare dispatched it
  mechanism TEXT,                 -- to which destination
  outcome TEXT NOT NULL,          -- delivered: the receiver has it | recovered: taken from the history
  delivery_id INTEGER NOT NULL,   -- webhook_events
  event_id INTEGER,               -- attack_events, of a recovered one
  incident_id INTEGER,
  priority INTEGER NOT NULL,
  dated INTEGER NOT NULL,         -- whether the body carried an instant of its own
  seen_at TEXT NOT NULL,
  arrived_at TEXT,                -- when the delivery of a recovered one came after all
  announced INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX alert_history_by_delivery ON alert_history(delivery_id);
CREATE INDEX alert_history_recovered ON alert_history(sent_at) WHERE outcome = 'recovered';
CREATE INDEX alert_history_to_announce ON alert_history(sent_at) WHERE announced = 0;
