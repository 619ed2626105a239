//! The situation of this moment, judged once for everybody who asks within a second: pages, API and live stream.
//!
//! Must hold: whoever asks after a change is seen gets a judgement made after it; however many ask, the picture is judged
//! once a second, and its mark (`ETag`) is made once, and only for programs that use it.

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use db::DbError;
use domain::time::since;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::overview::Overview;
use crate::picture::Picture;

/// A judgement serves this long: ages and countdowns on pages go on by themselves.
const SERVES: Duration = Duration::from_secs(1);

/// A judged picture.
#[derive(Debug)]
pub(crate) struct Situation {
    overview: Overview,
    of: Arc<Picture>,
    mark: OnceLock<String>,
}

impl Deref for Situation {
    type Target = Overview;

    fn deref(&self) -> &Overview {
        &self.overview
    }
}

impl Situation {
    /// The same for two situations that say the same, whenever they were judged: a weak entity tag.
    pub(crate) fn mark(&self) -> &str {
        self.mark.get_or_init(|| {
            let timeless = Overview {
                version: 0,
                at: Timestamp::UNIX_EPOCH,
                ..self.overview.clone()
            };
            // A situation that cannot be written has a mark of its own, which nobody holds.
            let text = serde_json::to_vec(&timeless).unwrap_or_else(|_| self.overview.at.to_string().into_bytes());
            format!("W/\"s{}\"", &hex::encode(Sha256::digest(text))[..24])
        })
    }
}

/// The last one, shared by all requests.
#[derive(Debug, Default)]
pub(crate) struct Situations {
    last: Mutex<Option<Arc<Situation>>>,
}

impl Situations {
    /// The situation of now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn current(&self, app: &App) -> Result<Arc<Situation>, DbError> {
        let picture = app.pictures().current(app).await?;
        let now = app.now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref()
            && Arc::ptr_eq(&known.of, &picture)
            && known.at <= now
            && since(now, known.at) < SERVES
        {
            return Ok(Arc::clone(known));
        }
        let judged = Arc::new(Situation {
            overview: Overview::of(&picture, app.settings(), now),
            of: picture,
            mark: OnceLock::new(),
        });
        *last = Some(Arc::clone(&judged));
        Ok(judged)
    }
}
