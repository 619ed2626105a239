//! Whether the dashboard can do its work: the database can be read. Looked at by a loop, so that `/health` tells even
//! when no page is open. The look is a small one: a whole situation is read only when somebody wants to see it, and
//! what of it cannot be read is told by [`crate::picture`].

use std::time::Duration;

use daemon::Weight;
use db::heartbeats;
use tokio::time::MissedTickBehavior;

use crate::app::App;

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
            match app.db().read("vital", heartbeats::all).await {
                Ok(_) => check.ok("the database can be read"),
                Err(error) if error.is_outage() => check.failing(error.to_string()),
                Err(error) => check.degraded(error.to_string()),
            }
            app.frame().status(doing(app.live().open()));
        }
    });
}

fn doing(pages: usize) -> String {
    let pages = crate::words::counted(pages as u64, "live page");
    format!("serving {pages}")
}
