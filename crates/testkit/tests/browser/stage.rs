//! A dashboard over a database that shows every state. The other services are signs of life only.

use std::time::Duration;

use db::sessions::{self, NewSession};
use db::users::{self, Role};
use db::{Db, OpenOptions, WriteTx, heartbeats};
use domain::time::{minus, plus};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use testkit::{Pace, Program, RealService, Site};
use tokio::task::JoinHandle;

use crate::seed;

/// It, running.
pub(crate) struct Seeded {
    site: Site,
    dashboard: RealService,
    beats: JoinHandle<()>,
}

impl Seeded {
    /// With these texts from outside, for this organisation.
    pub(crate) async fn with(words: seed::Words, organisation: &str) -> Self {
        // The seed's times are those of production.
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let mut site = Site::new(Pace {
            check_interval: minutes(1),
            calm_period: minutes(15),
            lookback: minutes(5),
            settle: minutes(5),
            propagation: minutes(7),
            min_advertised: minutes(15),
            veto: minutes(60),
            blind_after: minutes(10),
            overdue_after: minutes(120),
            poll_interval: minutes(5),
            poll_lookback: minutes(15),
        })
        .await;
        site.write("prefix_mapping.json", "{}");
        site.set("/organisation/name", organisation.into());
        site.set("/telegram/chat_id", seed::CHAT.into());
        // A chat that swallows everything: nothing is sent from a seeded database.
        site.set("/telegram/api_url", "http://127.0.0.1:9".into());
        let db = open(&site);
        let now = Timestamp::now();
        db.write("seed", move |tx| seed::fill(tx, &words, now)).await.unwrap();
        let dashboard = site.start(Program::Dashboard).await;
        let beats = tokio::spawn(beat(db));
        Self { site, dashboard, beats }
    }

    /// Its address.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.site.listen(Program::Dashboard))
    }

    /// Cloudflare.
    pub(crate) fn sim(&self) -> &cf_sim::Sim {
        &self.site.sim
    }

    /// A session of a new account, as its cookie.
    pub(crate) async fn session(&self, name: &'static str, role: Role) -> String {
        let now = Timestamp::now();
        let token = hex::encode(Sha256::digest(format!("{name}/{now}")));
        let hash = hex::encode(Sha256::digest(&token));
        let open_session = move |tx: &WriteTx<'_>| {
            let user_id = users::add(tx, name, "*", role, false, now)?;
            let new = NewSession {
                token_hash: &hash,
                user_id,
                csrf: "the-secret-of-the-session",
                expires_at: plus(now, Duration::from_secs(86_400)),
                address: "127.0.0.1",
                agent: "test",
            };
            sessions::open(tx, &new, now)
        };
        open(&self.site).write("session", open_session).await.unwrap();
        token
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        self.beats.abort();
        self.dashboard.kill();
    }
}

fn open(site: &Site) -> Db {
    Db::open(site.database(), OpenOptions::default()).unwrap()
}

/// Signs of life of the services that do not run here, until the test ends.
async fn beat(db: Db) {
    loop {
        let at = minus(Timestamp::now(), Duration::from_secs(2));
        let beats = move |tx: &WriteTx<'_>| {
            for mut beat in heartbeats::all(tx)? {
                if beat.service != Program::Dashboard.name() {
                    beat.beat_at = at;
                    heartbeats::beat(tx, &beat)?;
                }
            }
            Ok(())
        };
        db.write("beats", beats).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
