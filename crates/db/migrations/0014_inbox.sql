-- Deliveries that are acknowledged and not read yet. No index besides the key: a row is written once, read once, and deleted.
-- An id is never given again: who read a row takes out that row or none.
CREATE TABLE inbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  received_at TEXT NOT NULL,
  source TEXT NOT NULL,
  headers TEXT NOT NULL,
  oversized INTEGER,
  body BLOB NOT NULL
);
