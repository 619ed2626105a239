//! Whether the dashboard does its work: the situation can be read and judged. Looked at by a loop, so that `/health`
//! tells even when no page is open.

use std::time::Duration;

use daemon::Weight;
use tokio::time::MissedTickBehavior;

use crate::app::App;
use crate::overview::Overview;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Starts the loop.
pub(crate) fn start(app: &App) {
    let frame = app.frame().clone();
    let check = frame.health().check("pages", Weight::Vital, LOOK_EVERY * 4);
    let app = app.clone();
    frame.spawn_loop("pages", LOOK_EVERY * 4, |turn| async move {
        let mut turns = tokio::time::interval(LOOK_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(app.frame().shutdown().triggered());
        loop {
            tokio::select! {
                _ = &mut stop => return Ok(()),
                _ = turns.tick() => {}
            }
            turn.tick();
            match app.pictures().current(&app).await {
                Ok(picture) => {
                    let overview = Overview::of(&picture, app.settings(), app.now());
                    let unreadable: Vec<&str> = overview.troubles.iter().map(|trouble| trouble.part).collect();
                    if unreadable.is_empty() {
                        check.ok("the situation can be shown");
                    } else {
                        check.degraded(format!("cannot be read: {}", unreadable.join(", ")));
                    }
                    app.frame().status(doing(app.live().open()));
                }
                Err(error) => check.failing(error.to_string()),
            }
        }
    });
}

fn doing(pages: usize) -> String {
    let pages = crate::words::counted(pages as u64, "live page");
    format!("serving {pages}")
}
