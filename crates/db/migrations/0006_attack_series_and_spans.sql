-- Dropped traffic of each of our prefixes, minute by minute and by the system that dropped, as the analytics say.
CREATE TABLE drop_series (
  prefix TEXT NOT NULL,
  at TEXT NOT NULL,             -- start of the minute
  system TEXT NOT NULL,         -- as Cloudflare names it; empty when it names none
  packets INTEGER NOT NULL,     -- estimated
  bits INTEGER NOT NULL,        -- estimated
  samples INTEGER NOT NULL,     -- that the estimate rests on
  PRIMARY KEY (prefix, at, system)
) WITHOUT ROWID;
CREATE INDEX drop_series_by_time ON drop_series(at);
-- Which minutes were read: a minute without rows above is calm only if it is here and complete.
CREATE TABLE drop_minutes (
  at TEXT PRIMARY KEY,          -- start of the minute
  complete INTEGER NOT NULL     -- 0: there were more rows than Cloudflare gives out
) WITHOUT ROWID;
-- Whose traffic the series tell apart, and since when: before that a prefix's minutes are unknown, read or not.
CREATE TABLE drop_prefixes (
  prefix TEXT PRIMARY KEY,
  since TEXT NOT NULL
) WITHOUT ROWID;

-- Begin and end of each attack as Cloudflare's attack analytics tell them.
CREATE TABLE attack_spans (
  attack_id TEXT PRIMARY KEY,   -- as Cloudflare writes it
  began_at TEXT NOT NULL,
  ended_at TEXT,                -- NULL while it lasts
  vector TEXT,
  rule_name TEXT,
  mitigation TEXT,              -- kind of mitigation
  targets TEXT NOT NULL,        -- JSON list of addresses, most packets first
  prefix TEXT,                  -- ours, of the first target that is ours
  sources INTEGER NOT NULL,     -- distinct addresses in the samples
  packets INTEGER NOT NULL,     -- estimated, as are the next three
  bits INTEGER NOT NULL,
  dropped_packets INTEGER NOT NULL,
  dropped_bits INTEGER NOT NULL,
  complete INTEGER NOT NULL,    -- 0: there were more rows than Cloudflare gives out; amounts are at least these
  incident_id INTEGER,
  read_at TEXT NOT NULL         -- last answer that changed it
) WITHOUT ROWID;
CREATE INDEX attack_spans_open ON attack_spans(began_at) WHERE ended_at IS NULL;
CREATE INDEX attack_spans_by_begin ON attack_spans(began_at);
CREATE INDEX attack_spans_by_incident ON attack_spans(incident_id) WHERE incident_id IS NOT NULL;

-- Host names by reverse look-up: why there is none, for those that have none.
ALTER TABLE hostnames ADD COLUMN problem TEXT;
CREATE INDEX hostnames_by_expiry ON hostnames(expires_at);
