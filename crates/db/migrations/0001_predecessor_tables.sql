-- The predecessor's six tables under their documented names and columns, so that documented queries go on working.
-- Rows of an existing file are moved into exactly these tables (crates/db/src/migrate/adopt.rs).
-- Times are UTC text 'YYYY-MM-DD HH:MM:SS[.ffffff]'; rows of the predecessor may hold ISO text with T and Z as well.
-- Words in these tables stay open: there are no CHECK constraints.

-- Everything the operator sees: attack start and end, advertise, withdraw.
CREATE TABLE attack_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_type TEXT NOT NULL,                 -- START, END, ADVERTISE, WITHDRAW
    alert_type TEXT,                          -- Cloudflare's alert type, or who acted
    attack_id TEXT,
    policy_id TEXT,
    policy_name TEXT,
    prefix TEXT,                              -- CIDR; 'N/A' in old hijack rows
    target_ip TEXT,                           -- may carry /32
    target_port INTEGER,
    protocol TEXT,
    attack_vector TEXT,
    packets_per_second TEXT,                  -- text: old rows hold '', commas and units
    megabits_per_second TEXT,
    severity TEXT,
    action_taken TEXT,
    raw_payload TEXT,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_events_attack_id ON attack_events(attack_id);

-- One row per withdrawal. In the predecessor's rows protection_duration_seconds is the calm time, not the time advertised.
CREATE TABLE withdrawal_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    prefix TEXT NOT NULL,
    attack_id TEXT,
    policy_id TEXT,
    policy_name TEXT,
    target_ip TEXT,
    attack_type TEXT,
    advertised_at DATETIME,
    attack_ended_at DATETIME,
    withdrawn_at DATETIME,
    attack_duration_seconds INTEGER,
    protection_duration_seconds INTEGER,
    withdraw_method TEXT,
    status TEXT,
    notes TEXT,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_history_prefix ON withdrawal_history(prefix);

-- Kept readable; nothing writes it any more.
CREATE TABLE pending_withdrawals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    prefix TEXT NOT NULL,
    attack_id TEXT,
    policy_id TEXT,
    policy_name TEXT,
    target_ip TEXT,
    attack_type TEXT,
    advertised_at DATETIME,
    withdraw_after DATETIME NOT NULL,
    attack_ended_at DATETIME,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    status TEXT DEFAULT 'pending',
    retry_count INTEGER DEFAULT 0,
    max_retries INTEGER DEFAULT 5,
    next_retry_at DATETIME,
    last_error TEXT
);
CREATE UNIQUE INDEX idx_pending_unique ON pending_withdrawals(prefix, COALESCE(attack_id, ''));
CREATE INDEX idx_pending_status ON pending_withdrawals(status);
CREATE INDEX idx_pending_withdraw_after ON pending_withdrawals(withdraw_after);

-- One row per delivery of Cloudflare. The predecessor's UNIQUE(alert_id, event_state) is not here: it swallowed every
-- later delivery of the same alert, so updates and second outages were lost.
CREATE TABLE webhook_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    alert_type TEXT,
    event_state TEXT,
    alert_id TEXT,
    policy_id TEXT,
    policy_name TEXT,
    target_ip TEXT,
    target_prefix TEXT,
    source_ip TEXT,
    processed INTEGER DEFAULT 1,
    action_taken TEXT,
    payload JSON
);
CREATE INDEX idx_webhook_alert_type ON webhook_events(alert_type);
CREATE INDEX idx_webhook_received_at ON webhook_events(received_at);
CREATE INDEX idx_webhook_target_ip ON webhook_events(target_ip);
CREATE INDEX idx_webhook_alert_state ON webhook_events(alert_id, event_state);

-- One row per group of attack traffic that analytics reported.
CREATE TABLE network_analytics_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_hash TEXT UNIQUE NOT NULL,
    attack_id TEXT,
    event_datetime DATETIME,                  -- ISO with Z
    attack_vector TEXT,
    rule_name TEXT,
    rule_id TEXT,
    source_ip TEXT,
    source_port INTEGER,
    destination_ip TEXT,
    destination_port INTEGER,
    protocol TEXT,
    tcp_flags TEXT,
    colo_code TEXT,
    colo_country TEXT,
    packets INTEGER,
    bits INTEGER,
    outcome TEXT,
    mitigation_reason TEXT,
    notified_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    raw_data JSON,
    source_asn INTEGER,
    source_asn_name TEXT,
    source_country TEXT
);
CREATE INDEX idx_analytics_attack_id ON network_analytics_events(attack_id);
CREATE INDEX idx_analytics_datetime ON network_analytics_events(event_datetime);
CREATE INDEX idx_analytics_source_ip ON network_analytics_events(source_ip);

-- The daemon's view of each prefix. It has the columns of the predecessor's code and, after updated_at, those of its documents.
CREATE TABLE prefix_calm_status (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    prefix TEXT UNIQUE,
    advertised INTEGER,                       -- 0 or 1
    under_attack INTEGER,                     -- 0 or 1
    calm_since DATETIME,
    last_attack_packets INTEGER,
    last_attack_mbps REAL,
    mitigation_systems TEXT,                  -- comma list
    updated_at DATETIME,
    calm_minutes REAL,
    dropped_packets INTEGER,
    dropped_bits INTEGER,
    last_updated DATETIME
);

-- Rows of an adopted file that the tables above could not take (a second row with the same unique key, for example).
-- Nothing is thrown away: they are kept here as JSON with the table and the rowid that they had.
CREATE TABLE predecessor_leftovers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    table_name TEXT NOT NULL,
    row_id INTEGER NOT NULL,
    row_json TEXT NOT NULL
);
