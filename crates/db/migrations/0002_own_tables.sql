-- Our own tables beside the predecessor's. Instants are UTC text (YYYY-MM-DD HH:MM:SS[.ffffff]),
-- JSON columns hold versioned shapes of the domain crate, booleans are 0/1.

-- What the predecessor's rows did not say.
ALTER TABLE webhook_events ADD COLUMN body_hash TEXT;          -- SHA-256 of the body, hex
ALTER TABLE webhook_events ADD COLUMN raw_body BLOB;           -- only where payload cannot hold the exact bytes
ALTER TABLE webhook_events ADD COLUMN headers TEXT;            -- JSON of the headers that matter
ALTER TABLE webhook_events ADD COLUMN event_time TEXT;         -- the sender's instant
ALTER TABLE webhook_events ADD COLUMN prefixes TEXT;           -- JSON list of our prefixes
ALTER TABLE webhook_events ADD COLUMN unresolved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhook_events ADD COLUMN problem TEXT;            -- what could not be read
ALTER TABLE webhook_events ADD COLUMN is_test INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhook_events ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhook_events ADD COLUMN last_duplicate_at TEXT;
CREATE INDEX webhook_events_by_hash ON webhook_events(body_hash, received_at);

ALTER TABLE attack_events ADD COLUMN event_time TEXT;
ALTER TABLE attack_events ADD COLUMN prefixes TEXT;
ALTER TABLE attack_events ADD COLUMN webhook_event_id INTEGER;
ALTER TABLE attack_events ADD COLUMN incident_id INTEGER;
ALTER TABLE attack_events ADD COLUMN intent_id INTEGER;
ALTER TABLE attack_events ADD COLUMN actor TEXT;
ALTER TABLE attack_events ADD COLUMN is_test INTEGER NOT NULL DEFAULT 0;
CREATE INDEX attack_events_by_time ON attack_events(created_at);
CREATE INDEX attack_events_by_type ON attack_events(event_type, created_at);
CREATE INDEX attack_events_by_prefix ON attack_events(prefix, created_at);
CREATE INDEX attack_events_by_incident ON attack_events(incident_id);

ALTER TABLE withdrawal_history ADD COLUMN intent_id INTEGER;
ALTER TABLE withdrawal_history ADD COLUMN incident_id INTEGER;
ALTER TABLE withdrawal_history ADD COLUMN actor TEXT;
ALTER TABLE withdrawal_history ADD COLUMN calm_seconds INTEGER;
CREATE INDEX withdrawal_history_by_time ON withdrawal_history(created_at);
CREATE UNIQUE INDEX withdrawal_history_once ON withdrawal_history(intent_id) WHERE intent_id IS NOT NULL;

ALTER TABLE network_analytics_events ADD COLUMN group_key TEXT;          -- SHA-256 over every dimension
ALTER TABLE network_analytics_events ADD COLUMN sample_interval INTEGER;
ALTER TABLE network_analytics_events ADD COLUMN samples INTEGER;
ALTER TABLE network_analytics_events ADD COLUMN source_city TEXT;
ALTER TABLE network_analytics_events ADD COLUMN source_bogon TEXT;
ALTER TABLE network_analytics_events ADD COLUMN colo_city TEXT;
ALTER TABLE network_analytics_events ADD COLUMN mitigation_system TEXT;
ALTER TABLE network_analytics_events ADD COLUMN prefix TEXT;
ALTER TABLE network_analytics_events ADD COLUMN updated_at TEXT;
ALTER TABLE network_analytics_events ADD COLUMN incident_id INTEGER;
CREATE UNIQUE INDEX network_analytics_events_by_group ON network_analytics_events(group_key) WHERE group_key IS NOT NULL;
CREATE INDEX network_analytics_events_by_notified ON network_analytics_events(notified_at);

-- An attack from its first sign to the withdrawal.
CREATE TABLE incidents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  title TEXT NOT NULL,
  vector TEXT,
  began_at TEXT NOT NULL,
  last_sign_at TEXT NOT NULL,
  ended_at TEXT,                -- END alert
  withdrawn_at TEXT,            -- last prefix of it withdrawn
  peak_pps REAL,
  peak_bps REAL,
  is_test INTEGER NOT NULL DEFAULT 0,
  acknowledged_by TEXT,
  acknowledged_at TEXT,
  note TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE INDEX incidents_by_begin ON incidents(began_at);
CREATE TABLE incident_prefixes (
  incident_id INTEGER NOT NULL REFERENCES incidents(id),
  prefix TEXT NOT NULL,
  PRIMARY KEY (incident_id, prefix)
) WITHOUT ROWID;
CREATE INDEX incident_prefixes_by_prefix ON incident_prefixes(prefix, incident_id);
CREATE TABLE incident_keys (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  incident_id INTEGER NOT NULL REFERENCES incidents(id),
  PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE incident_timeline (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  incident_id INTEGER NOT NULL REFERENCES incidents(id),
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  source TEXT NOT NULL,
  actor TEXT,
  ref_table TEXT,
  ref_id INTEGER,
  created_at TEXT NOT NULL
);
CREATE INDEX incident_timeline_by_incident ON incident_timeline(incident_id, at);

-- Attack alerts: the ledger that vetoes withdrawals. Open while since is later than ended_at.
CREATE TABLE alert_ledger (
  key TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  event_id INTEGER NOT NULL,
  since TEXT,                   -- latest START or update; NULL when only an END is known
  ended_at TEXT,                -- latest END
  prefixes TEXT NOT NULL,
  unresolved INTEGER NOT NULL,
  is_test INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX alert_ledger_open ON alert_ledger(since);

-- Prefixes as discovered, with the last live state read.
CREATE TABLE inventory (
  prefix TEXT PRIMARY KEY,
  prefix_id TEXT NOT NULL,
  bgp_prefix_id TEXT NOT NULL,
  asn INTEGER,
  description TEXT NOT NULL,
  managed INTEGER NOT NULL,
  state TEXT NOT NULL,          -- JSON domain::bgp::BgpState
  read_at TEXT NOT NULL,
  error TEXT,                   -- why the latest read failed; NULL when it did not
  error_since TEXT,
  seen_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE monitoring_rules (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  prefixes TEXT NOT NULL,
  body TEXT NOT NULL,
  read_at TEXT NOT NULL
) WITHOUT ROWID;

-- The decision: state by compare-and-set, verdict changes, evidence.
CREATE TABLE prefix_states (
  prefix TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,          -- JSON domain::decision::PrefixState
  updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE evidence (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  body TEXT NOT NULL            -- JSON, one record a cycle
);
CREATE INDEX evidence_by_time ON evidence(at);
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  prefix TEXT NOT NULL,
  at TEXT NOT NULL,
  verdict TEXT NOT NULL,
  body TEXT NOT NULL,           -- JSON domain::decision::Verdict
  next TEXT NOT NULL,           -- JSON domain::decision::NextAction
  state_version INTEGER NOT NULL,
  evidence_id INTEGER REFERENCES evidence(id)
);
CREATE INDEX decisions_by_prefix ON decisions(prefix, id);
-- The current answer per prefix, renewed every cycle, for pages and command lines.
CREATE TABLE prefix_now (
  prefix TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  verdict TEXT NOT NULL,
  body TEXT NOT NULL,           -- JSON: verdict, blocks, next action, evidence in numbers
  evidence_id INTEGER
) WITHOUT ROWID;
CREATE TABLE traffic_series (
  prefix TEXT NOT NULL,
  at TEXT NOT NULL,             -- start of the bucket
  bucket_s INTEGER NOT NULL,
  dropped_packets INTEGER NOT NULL,
  dropped_bits INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  PRIMARY KEY (prefix, at)
) WITHOUT ROWID;
CREATE INDEX traffic_series_by_time ON traffic_series(at);

-- The intent journal.
CREATE TABLE intents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  prefix TEXT NOT NULL,
  act TEXT NOT NULL,
  state TEXT NOT NULL,
  origin TEXT NOT NULL,         -- automatic | person
  actor TEXT NOT NULL,
  via TEXT NOT NULL,
  reason TEXT NOT NULL,
  prefix_id TEXT NOT NULL,
  bgp_prefix_id TEXT NOT NULL,
  epoch TEXT,                   -- the epoch it is meant for
  state_version INTEGER,        -- of prefix_states, when automatic
  evidence_id INTEGER,
  decision_id INTEGER,
  incident_id INTEGER,
  calm_s INTEGER,
  peak TEXT,                    -- JSON domain::calm::WindowSum
  systems TEXT,                 -- JSON list
  attack_began_at TEXT,
  attack_ended_at TEXT,
  force INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  not_before TEXT,
  lease_owner TEXT,
  lease_until TEXT,
  sending_at TEXT,
  closed_at TEXT,
  outcome_class TEXT,
  outcome_words TEXT,
  refusal_announced TEXT
);
CREATE UNIQUE INDEX intents_one_automatic ON intents(prefix)
  WHERE origin = 'automatic' AND state IN ('planned', 'sending', 'verifying');
CREATE INDEX intents_open ON intents(state) WHERE state IN ('planned', 'sending', 'verifying');
CREATE INDEX intents_by_prefix ON intents(prefix, id);
CREATE TABLE intent_attempts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  intent_id INTEGER NOT NULL REFERENCES intents(id),
  at TEXT NOT NULL,
  owner TEXT NOT NULL,
  step TEXT NOT NULL,
  class TEXT NOT NULL,
  words TEXT NOT NULL
);
CREATE INDEX intent_attempts_by_intent ON intent_attempts(intent_id, id);

CREATE TABLE holds (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  prefix TEXT,                  -- NULL pauses everything
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_at TEXT NOT NULL,
  until TEXT,
  released_at TEXT,
  released_by TEXT,
  end_announced INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX holds_open ON holds(id) WHERE released_at IS NULL;

-- The outbox: facts, not finished text.
CREATE TABLE notifications (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  created_at TEXT NOT NULL,
  kind TEXT NOT NULL,
  priority INTEGER NOT NULL,
  facts_version INTEGER NOT NULL,
  facts TEXT NOT NULL,
  event_id INTEGER,
  incident_id INTEGER,
  group_key TEXT,
  is_test INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL,          -- queued | sent | suppressed | failed | expired
  reason TEXT,
  not_before TEXT NOT NULL,
  lease_owner TEXT,
  lease_until TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  plain INTEGER NOT NULL DEFAULT 0,
  sent_at TEXT,
  chat_id TEXT,
  message_id INTEGER
);
CREATE INDEX notifications_due ON notifications(priority, id) WHERE state = 'queued';
CREATE INDEX notifications_by_incident ON notifications(incident_id, id);
CREATE INDEX notifications_by_event ON notifications(event_id);
CREATE INDEX notifications_by_state ON notifications(state, id);
CREATE TABLE notification_attempts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  notification_id INTEGER NOT NULL REFERENCES notifications(id),
  at TEXT NOT NULL,
  owner TEXT NOT NULL,
  chat_id TEXT NOT NULL,
  outcome TEXT NOT NULL,        -- started | sent | retry | plain | failed
  words TEXT NOT NULL,
  retry_at TEXT
);
CREATE INDEX notification_attempts_by_notification ON notification_attempts(notification_id, id);
CREATE INDEX notification_attempts_by_time ON notification_attempts(chat_id, at);
CREATE TABLE channels (
  name TEXT PRIMARY KEY,
  blocked_until TEXT,
  blocked_because TEXT,
  failing_since TEXT,
  migrated_chat_id TEXT,
  without_thread INTEGER NOT NULL DEFAULT 0,
  updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE mutes (
  kind TEXT PRIMARY KEY,
  actor TEXT NOT NULL,
  until TEXT NOT NULL,
  created_at TEXT NOT NULL
) WITHOUT ROWID;

-- Life of the processes.
CREATE TABLE heartbeats (
  service TEXT PRIMARY KEY,
  pid INTEGER NOT NULL,
  host TEXT NOT NULL,
  version TEXT NOT NULL,
  started_at TEXT NOT NULL,
  beat_at TEXT NOT NULL,
  state TEXT NOT NULL,          -- ok | degraded | failing | stopped
  status TEXT NOT NULL,
  silence_announced INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  counter INTEGER NOT NULL,
  taken_at TEXT NOT NULL,
  bumped_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE cursors (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE api_budget (
  name TEXT PRIMARY KEY,
  body TEXT NOT NULL,
  updated_at TEXT NOT NULL
) WITHOUT ROWID;

-- People.
CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL,           -- viewer | operator | admin
  must_change INTEGER NOT NULL DEFAULT 0,
  disabled INTEGER NOT NULL DEFAULT 0,
  totp_secret TEXT,
  created_at TEXT NOT NULL,
  password_changed_at TEXT NOT NULL,
  last_login_at TEXT
);
CREATE TABLE sessions (
  token_hash TEXT PRIMARY KEY,
  user_id INTEGER NOT NULL REFERENCES users(id),
  csrf TEXT NOT NULL,
  created_at TEXT NOT NULL,
  seen_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  address TEXT NOT NULL,
  agent TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions(user_id);
CREATE TABLE login_failures (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  account TEXT NOT NULL,
  address TEXT NOT NULL
);
CREATE INDEX login_failures_by_account ON login_failures(account, at);
CREATE INDEX login_failures_by_address ON login_failures(address, at);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  role TEXT NOT NULL,
  via TEXT NOT NULL,
  address TEXT,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  before TEXT,
  after TEXT,
  reason TEXT,
  result TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit(at);
CREATE TABLE preferences (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  updated_by TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE hostnames (
  address TEXT PRIMARY KEY,
  name TEXT,
  looked_up_at TEXT NOT NULL,
  expires_at TEXT NOT NULL
) WITHOUT ROWID;
