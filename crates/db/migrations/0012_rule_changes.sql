-- Changes of rules at Cloudflare: what was there before (the backup), what came of it, and whether it was taken back.
CREATE TABLE rule_changes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  via TEXT NOT NULL,
  reason TEXT,
  family TEXT NOT NULL CHECK (family IN ('mnm', 'ddos_l4')),
  what TEXT NOT NULL,
  subject TEXT NOT NULL,
  before TEXT,
  wanted TEXT,
  after TEXT,
  state TEXT NOT NULL CHECK (state IN ('open', 'done', 'refused', 'unknown')),
  result TEXT,
  closed_at TEXT,
  undoes INTEGER REFERENCES rule_changes(id),
  undone_by INTEGER REFERENCES rule_changes(id)
);
CREATE INDEX rule_changes_by_time ON rule_changes(at);
-- Which rules a rules file looks after. By name, because that is known before Cloudflare has given an id.
CREATE TABLE rules_owned (
  family TEXT NOT NULL CHECK (family IN ('mnm', 'ddos_l4')),
  name TEXT NOT NULL,
  rule_id TEXT,
  actor TEXT NOT NULL,
  since TEXT NOT NULL,
  PRIMARY KEY (family, name)
) WITHOUT ROWID;
-- Until when an override is meant to stand.
CREATE TABLE override_expiries (
  rule_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  actor TEXT NOT NULL,
  set_at TEXT NOT NULL
) WITHOUT ROWID;
