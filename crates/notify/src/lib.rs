//! The notification outbox: claim, render, send, classify, retry.
pub mod vigil;
