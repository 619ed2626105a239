//! An act while the journal cannot be written: a spool file takes the journal's place until it can be ([`spool`],
//! `journal`).
//!
//! Must hold: the file is on disk before the call, so that there is a record whatever happens; the call is made once;
//! success is what a re-read shows; an advertise is never held back by a read that fails; a withdrawal is never made of
//! what could not be read. Nobody but a person may do this, and only because they asked for it by name.

mod journal;
pub mod spool;

use std::time::Duration;

use cf_api::rest::prefixes::AdvertisePermit;
use cf_api::{CfError, CloudflareClient};
use domain::bgp::BgpPrefix;
use domain::ids::{BgpPrefixId, PrefixId};
use domain::intent::Act;
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use spool::{Entry, Fate, Spool, SpoolError};

/// How often the state is read back.
const READ_BACK_EVERY: Duration = Duration::from_secs(2);

/// What a person wants done without a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The prefix.
    pub prefix: Prefix,
    /// Advertise or withdraw.
    pub act: Act,
    /// Cloudflare's id of the onboarded prefix it lies in.
    pub prefix_id: PrefixId,
    /// Cloudflare's id of its announcement.
    pub bgp_prefix_id: BgpPrefixId,
    /// What it is called.
    pub description: String,
    /// `user@host`.
    pub actor: String,
    /// Which program.
    pub via: String,
    /// Why.
    pub reason: String,
    /// Against our own rules.
    pub force: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A read before the call showed that it was so already; nothing was sent.
    Already,
    /// A re-read shows it.
    Shown(BgpPrefix),
    /// Cloudflare refused it.
    Refused(String),
    /// It was or may have been sent, and no re-read showed it in time.
    NotShown(String),
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum EmergencyError {
    /// No record could be left anywhere.
    #[error("no record can be left of it")]
    Spool(#[from] SpoolError),
    /// A withdrawal needs a live state.
    #[error("its live state could not be read")]
    Unread(#[source] CfError),
    /// The ids belong to another prefix.
    #[error("its ids belong to {0} now")]
    Another(Prefix),
    /// Cloudflare would refuse it.
    #[error("{0}")]
    Refuses(&'static str),
}

/// Acts on Cloudflare and reads back for up to `wait`. `clock` is read where an instant must be fresh, `told` hears what
/// happens meanwhile.
///
/// # Errors
/// [`EmergencyError`]; nothing was sent then.
pub async fn act(
    api: &CloudflareClient,
    order: &Order,
    spool: &Spool,
    wait: Duration,
    clock: &(dyn Fn() -> Timestamp + Send + Sync),
    told: &(dyn Fn(&str) + Send + Sync),
) -> Result<(Ended, Option<std::path::PathBuf>), EmergencyError> {
    let wanted = order.act.wanted();
    let before = match api.get_bgp_prefix(&order.prefix_id, &order.bgp_prefix_id).await {
        Ok(seen) if seen.prefix != order.prefix => return Err(EmergencyError::Another(seen.prefix)),
        Ok(seen) => Some(seen),
        Err(error) if order.act == Act::Withdraw => return Err(EmergencyError::Unread(error)),
        Err(error) => {
            told(&format!(
                "its state could not be read, it is advertised all the same: {error}"
            ));
            None
        }
    };
    if let Some(seen) = &before {
        if seen.state.advertised == Some(wanted) {
            return Ok((Ended::Already, None));
        }
        if order.act == Act::Withdraw
            && let Some(why) = seen.state.refuses_control()
        {
            return Err(EmergencyError::Refuses(why.explain()));
        }
    }
    let asked_at = clock();
    let mut entry = Entry::new(order, before.as_ref().and_then(|seen| seen.state.epoch()), asked_at);
    let path = spool.put(&entry)?;
    let permit = AdvertisePermit::issued_by_prefix_ops();
    let sent = api
        .set_advertised(permit, &order.prefix_id, &order.bgp_prefix_id, wanted)
        .await;
    entry.fate = match &sent {
        Ok(_) => Fate::Accepted,
        Err(error) if error.outcome_unknown() => Fate::Lost,
        Err(_) => Fate::Refused,
    };
    entry.words = sent
        .as_ref()
        .err()
        .map_or_else(|| "Cloudflare registered the request".to_owned(), ToString::to_string);
    entry.class = match &sent {
        Ok(_) => "accepted".to_owned(),
        Err(error) if error.outcome_unknown() => "answer_lost".to_owned(),
        Err(error) => error.class.as_str().to_owned(),
    };
    told(&entry.words);
    // The first writing holds what matters; a disk that breaks just now must not hide what became of the act.
    let _ = spool.put(&entry);
    if entry.fate == Fate::Refused {
        return Ok((Ended::Refused(entry.words), Some(path)));
    }
    let deadline = plus(clock(), wait);
    loop {
        let shown = match api.get_bgp_prefix(&order.prefix_id, &order.bgp_prefix_id).await {
            Ok(seen) if seen.prefix == order.prefix && seen.state.advertised == Some(wanted) => {
                entry.seen = Some((seen.clone(), clock()));
                let _ = spool.put(&entry);
                return Ok((Ended::Shown(seen), Some(path)));
            }
            Ok(seen) => match seen.state.advertised {
                Some(true) => "it is still advertised".to_owned(),
                Some(false) => "it is still withdrawn".to_owned(),
                None => "Cloudflare does not say whether it is advertised".to_owned(),
            },
            Err(error) => format!("it could not be read: {error}"),
        };
        if clock() >= deadline {
            return Ok((Ended::NotShown(shown), Some(path)));
        }
        told(&shown);
        tokio::time::sleep(READ_BACK_EVERY).await;
    }
}
