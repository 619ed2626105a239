//! The loop with which every service drains the outbox, so that alarms leave the host while any
//! one of the four lives.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use cf_api::Transport;
use daemon::Frame;
use db::Db;
use notify::drain::Limits;
use notify::{ChatId, Drain, DrainConfig, TelegramConfig, TelegramSender};
use settings::Settings;

/// Deadline of one message; the lease of a claimed row is longer.
const SEND_DEADLINE: Duration = Duration::from_secs(15);

/// Within this the loop makes progress: a send with its deadline and slow writes on both sides.
const LOOP_LIMIT: Duration = Duration::from_secs(60);

/// Starts draining.
///
/// # Errors
/// The Telegram settings cannot be used.
pub fn start(frame: &Frame, db: &Db, settings: &Settings, transport: &Transport, owner: &str) -> anyhow::Result<()> {
    let sender = settings
        .telegram
        .as_ref()
        .map(|telegram| sender(telegram, transport.clone()))
        .transpose()?;
    let clock = frame.clock().clone();
    let organisation = &settings.organisation;
    let config = DrainConfig {
        owner: owner.to_owned(),
        frame: notify::Frame {
            brand: organisation.brand.clone(),
            organisation: organisation.name.clone(),
            server: organisation.server.clone(),
            public_url: settings.dashboard.public_url.as_ref().map(ToString::to_string),
        },
        max_age: settings
            .telegram
            .as_ref()
            .map_or(DEFAULT_MAX_AGE, |telegram| telegram.max_age),
        limits: Limits::default(),
        now: Arc::new(move || clock.now()),
        draw: Arc::new(spread),
    };
    let drain = Drain::new(db.clone(), sender, config);
    let inner = frame.clone();
    frame.spawn_loop("outbox", LOOP_LIMIT, |turn| async move {
        let stop = inner.shutdown().triggered();
        let stopped = async move {
            stop.await;
        };
        drain.run(stopped, || turn.tick()).await;
        Ok(())
    });
    Ok(())
}

/// Without a chat rows are suppressed, not kept for a day.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(86_400);

fn sender(telegram: &settings::Telegram, transport: Transport) -> anyhow::Result<TelegramSender> {
    let config = TelegramConfig {
        bot_token: telegram.bot_token.clone(),
        chat: match &telegram.chat_id {
            settings::ChatId::Number(number) => ChatId::Number(*number),
            settings::ChatId::Channel(name) => ChatId::Name(name.clone()),
        },
        thread: telegram.message_thread_id,
        api_url: telegram.api_url.clone(),
        deadline: SEND_DEADLINE,
    };
    Ok(TelegramSender::lazy(config, move || {
        transport.client().cloned().map_err(|error| error.to_string())
    })?)
}

/// Spreads waiting times; the seed of the standard library's hasher is random per call.
fn spread() -> f64 {
    let bits = RandomState::new().hash_one(0u8) >> 11;
    bits as f64 / (1u64 << 53) as f64
}
