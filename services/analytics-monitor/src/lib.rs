//! Polls attack analytics, stores every row, raises notices.
