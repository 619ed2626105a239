//! The loop with which every service drains the outbox.

use cf_api::Transport;
use daemon::Frame;
use db::Db;
use settings::Settings;

/// Starts draining.
pub fn start(_frame: &Frame, _db: &Db, _settings: &Settings, _transport: &Transport, _owner: &str) {}
