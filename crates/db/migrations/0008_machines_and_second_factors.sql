-- Tokens for machines. Only the hash of a token is stored.
CREATE TABLE api_tokens (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  token_hash TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,           -- viewer | operator | admin
  created_by TEXT NOT NULL,
  created_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  last_used_at TEXT,
  last_address TEXT,
  revoked_at TEXT,
  revoked_by TEXT
);

-- The second factor (RFC 6238). users.totp_secret counts once totp_since is set; until then it is being enrolled.
ALTER TABLE users ADD COLUMN totp_since TEXT;
ALTER TABLE users ADD COLUMN totp_step INTEGER;         -- the newest time step whose code was used; it works only once
-- Codes for one use each, for whoever lost the second factor. Only hashes are stored.
CREATE TABLE recovery_codes (
  user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  code_hash TEXT NOT NULL,
  used_at TEXT,
  PRIMARY KEY (user_id, code_hash)
) WITHOUT ROWID;

-- A session that has given the password and still owes the second factor reaches nothing else.
ALTER TABLE sessions ADD COLUMN owes_factor INTEGER NOT NULL DEFAULT 0;
