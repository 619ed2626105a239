-- Who looks after an incident. What people write about it is in its timeline.
CREATE TABLE incident_duty (
  incident_id INTEGER PRIMARY KEY REFERENCES incidents(id),
  person TEXT NOT NULL,
  given_by TEXT NOT NULL,
  at TEXT NOT NULL
) WITHOUT ROWID;
