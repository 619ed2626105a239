//! The service from its settings to its end.

use anyhow::Context as _;
use daemon::http::{self, HttpLimits};
use daemon::{Frame, PreboundListener};
use db::Db;
use domain::notice::{Facts, Notice};
use settings::Settings;

use crate::accounts::cookie::CookieStyle;
use crate::accounts::first;
use crate::accounts::password::Hasher;
use crate::api::preferences;
use crate::app::App;
use crate::hands::Hands;
use crate::router::router;
use crate::upstream::Upstream;
use crate::{hands, live, vital};

/// Serves the dashboard on `listener` until the frame is told to stop.
///
/// Opens the database (creating or migrating it if needed), makes the first account if there is none, and calls
/// [`Frame::ready`] when the first page can be asked for.
///
/// # Errors
/// When sessions would cross a network in the clear (a [`daemon::exit::ConfigRefused`]), when the database cannot be
/// opened, or when the first account cannot be made.
pub async fn run(frame: Frame, settings: Settings, listener: PreboundListener) -> anyhow::Result<()> {
    let cookie = CookieStyle::of(&settings.dashboard)?;
    let hasher = Hasher::new();
    let ahead = first::Ahead::where_new(&settings.database.path, &hasher)?;
    let db = assembly::parts::database(&settings).await?;
    let transport = assembly::parts::transport();
    let owner = assembly::parts::owner(&frame);
    let (hands, wishes) = Hands::new(&settings);
    let upstream = Upstream::new(transport.clone(), &owner);
    let app = App::new(frame.clone(), settings, db.clone(), cookie, hasher, hands, upstream);
    let legacy = app.settings().legacy.auth.clone();
    first::prepare(&db, app.hasher(), ahead, legacy, app.now()).await?;
    let display = app.settings().legacy.dashboard_prefs.clone();
    let imported = preferences::import(&db, display, app.now()).await;
    imported.context("cannot import the preferences of dashboard_prefs.json")?;
    announce_start(&db, &frame).await?;
    let following = app.clone();
    frame.spawn_loop("live", live::LOOP_LIMIT, |turn| live::follow(following, turn));
    if let Some(wishes) = wishes {
        let (acting, transport, owner) = (app.clone(), transport.clone(), owner.clone());
        frame.spawn_loop("acts", hands::LOOP_LIMIT, |turn| {
            hands::carry_out(acting, wishes, transport, owner, turn)
        });
    }
    http::serve(&frame, "dashboard", listener, router(&app), HttpLimits::default());
    vital::start(&app);
    assembly::outbox::start(&frame, &db, app.settings(), &transport, &owner)?;
    assembly::life::start(&frame, &db);
    frame.status("serving");
    frame.ready();
    frame.shutdown().triggered().await;
    // Requests that still run use the database, so it is not closed here; it is when the last of them is gone.
    assembly::life::farewell(&frame, &db).await;
    Ok(())
}

async fn announce_start(db: &Db, frame: &Frame) -> anyhow::Result<()> {
    let facts = Facts::ServiceStarted {
        service: frame.service().to_owned(),
        version: daemon::args::version().to_owned(),
        lines: Vec::new(),
    };
    let now = frame.clock().now();
    let stored = db.write("service.started", move |tx| {
        db::outbox::enqueue(tx, &Notice::about(facts), now).map(drop)
    });
    stored.await.context("the start could not be recorded")
}
