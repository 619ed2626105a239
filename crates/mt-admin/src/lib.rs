//! Administration command line: health, database, notifications, users, explain.
