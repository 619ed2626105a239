//! The loop with which every service drains the outbox, so that alarms leave the host while any
//! one of the four lives.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use cf_api::Transport;
use daemon::{Frame, Weight};
use db::Db;
use notify::ask::{AskConfig, Listener};
use notify::channels::mail::MailOutlet;
use notify::channels::webhook::WebhookOutlet;
use notify::channels::{Courier, CourierConfig, Outlet, Route};
use notify::drain::{Condition, Limits};
use notify::{ChatId, Drain, DrainConfig, TelegramConfig, TelegramSender};
use settings::Settings;

/// Deadline of one message; the lease of a claimed row is longer.
const SEND_DEADLINE: Duration = Duration::from_secs(15);

/// Within this the loop makes progress: a send with its deadline and slow writes on both sides.
const LOOP_LIMIT: Duration = Duration::from_secs(60);

/// Between two mails that are not critical; what comes meanwhile is in the next one.
const MAIL_GAP: Duration = Duration::from_secs(60);

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
        report: health_of(frame),
    };
    if let Some(telegram) = &settings.telegram
        && !telegram.operators.is_empty()
    {
        let config = AskConfig {
            owner: owner.to_owned(),
            operators: telegram.operators.clone(),
            poll: Duration::from_secs(20),
            now: Arc::clone(&config.now),
        };
        let listener = Listener::new(db.clone(), self::sender(telegram, transport.clone())?, config);
        let inner = frame.clone();
        frame.spawn_loop("questions", LOOP_LIMIT * 2, |turn| async move {
            let stop = inner.shutdown().triggered();
            let stopped = async move {
                stop.await;
            };
            listener.run(stopped, || turn.tick()).await;
            Ok(())
        });
    }
    for (outlet, route) in outlets(settings, transport) {
        courier(frame, db, outlet, route, &config);
    }
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

/// The channels beside the chat, as configured.
fn outlets(settings: &Settings, transport: &Transport) -> Vec<(Outlet, Route)> {
    let mut outlets = Vec::new();
    if let Some(webhook) = &settings.alert_webhook {
        let transport = transport.clone();
        let outlet = WebhookOutlet::new(webhook.url.clone(), webhook.secret.clone(), move || {
            transport.client().cloned().map_err(|error| error.to_string())
        });
        outlets.push((Outlet::Webhook(outlet), route(&webhook.send)));
    }
    if let Some(mail) = &settings.mail {
        let outlet = MailOutlet {
            host: mail.host.clone(),
            port: mail.port,
            login: mail.login.clone(),
            from: mail.from.clone(),
            to: mail.to.clone(),
            place: None,
        };
        outlets.push((Outlet::Mail(outlet), route(&mail.send)));
    }
    outlets
}

fn route(selection: &settings::Selection) -> Route {
    match selection {
        settings::Selection::All => Route::All,
        settings::Selection::Only(words) => Route::Only(words.clone()),
    }
}

/// Each channel has a loop of its own: one that is down delays nothing else.
fn courier(frame: &Frame, db: &Db, outlet: Outlet, route: Route, config: &DrainConfig) {
    let name = match outlet {
        Outlet::Webhook(_) => "copies_webhook",
        Outlet::Mail(_) => "copies_mail",
    };
    let limits = Limits::default();
    let config = CourierConfig {
        owner: config.owner.clone(),
        route,
        frame: config.frame.clone(),
        max_age: config.max_age,
        gap: MAIL_GAP,
        backoff: limits.backoff,
        backoff_most: limits.backoff_most,
        now: Arc::clone(&config.now),
        draw: Arc::clone(&config.draw),
    };
    let courier = Courier::new(db.clone(), outlet, config);
    let inner = frame.clone();
    frame.spawn_loop(name, LOOP_LIMIT, |turn| async move {
        let stop = inner.shutdown().triggered();
        let stopped = async move {
            stop.await;
        };
        courier.run(stopped, || turn.tick()).await;
        Ok(())
    });
}

/// Shows in the service's health, and with its heartbeat in the dashboard, when nothing reaches the chat.
fn health_of(frame: &Frame) -> notify::drain::Report {
    let check = frame.health().check("messages", Weight::Supporting, Duration::MAX);
    check.ok("nothing waits for long");
    let clock = frame.clock().clone();
    Arc::new(move |condition| match condition {
        Condition::Works => check.ok("nothing waits for long"),
        Condition::Stuck(stuck) => check.degraded(format!(
            "nothing has reached the chat for {}, {} messages wait",
            domain::duration::human(Duration::from_secs(
                domain::time::since(clock.now(), stuck.since).as_secs()
            )),
            stuck.waiting
        )),
    })
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
