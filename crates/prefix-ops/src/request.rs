//! Filing what a person wants. The intent is durable when this returns; executing it is
//! [`crate::execute`]'s, here or in whichever process claims it.

use db::intents::NewIntent;
use db::{Db, DbError, ReadTx, WriteTx};
use domain::ids::IntentId;
use domain::intent::{Act, Origin};
use domain::prefix::Prefix;
use jiff::Timestamp;

/// What a person asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The prefix, exactly as onboarded.
    pub prefix: Prefix,
    /// Advertise or withdraw.
    pub act: Act,
    /// `user@host` or the account name.
    pub actor: String,
    /// `prefix_manager`, `dashboard`, `autowithdraw`.
    pub via: String,
    /// Address the request came from, if over the network.
    pub address: Option<String>,
    /// Why.
    pub reason: String,
    /// Withdraw although our own rules advise against.
    pub force: bool,
}

/// What was filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requested {
    /// The intent.
    pub intent: IntentId,
    /// Unsent withdrawals that an advertise cancelled.
    pub cancelled: usize,
}

/// Why nothing was filed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The prefix is not known.
    #[error("{0} is not a known prefix of this account; 'cloudflare-prefix-manager list' shows them")]
    UnknownPrefix(Prefix),
    /// A person's hold forbids it.
    #[error("{prefix} is held by {by}: {reason}; release it first or use --force")]
    Held {
        /// The prefix.
        prefix: Prefix,
        /// Who holds it.
        by: String,
        /// Why.
        reason: String,
    },
    /// The journal could not be written: nothing was filed and nothing will happen.
    #[error("the intent could not be stored, nothing was done")]
    Db(#[from] DbError),
}

impl RequestError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPrefix(_) => "prefix.unknown",
            Self::Held { .. } => "prefix.held",
            Self::Db(error) => error.code(),
        }
    }
}

/// Files a request durably. An advertise cancels unsent withdrawals of the prefix, whoever wanted
/// them (rule 12); a withdrawal respects holds unless forced.
///
/// # Errors
/// [`RequestError`]; nothing is stored then.
pub async fn file(db: &Db, request: Request, now: Timestamp) -> Result<Requested, RequestError> {
    let asked = request.clone();
    db.write("intent.file", move |tx| file_in(tx, &asked, now)).await?
}

fn file_in(tx: &WriteTx<'_>, request: &Request, now: Timestamp) -> Result<Result<Requested, RequestError>, DbError> {
    let Some(entry) = db::inventory::get(tx, request.prefix)? else {
        return Ok(Err(RequestError::UnknownPrefix(request.prefix)));
    };
    if request.act == Act::Withdraw
        && !request.force
        && let Some(hold) = domain::hold::in_force(&db::holds::in_force(tx, now)?, request.prefix, now)
    {
        return Ok(Err(RequestError::Held {
            prefix: request.prefix,
            by: hold.actor.clone(),
            reason: hold.reason.clone(),
        }));
    }
    let cancelled = match request.act {
        Act::Advertise => {
            let because = format!("{} advertises", request.actor);
            db::intents::cancel_unsent(tx, request.prefix, false, &because, now)?
        }
        Act::Withdraw => 0,
    };
    let intent = db::intents::file(tx, &new_intent(tx, request, &entry)?, now)?;
    db::audit::append(tx, &audit_of(request, intent, now))?;
    Ok(Ok(Requested { intent, cancelled }))
}

fn new_intent(tx: &ReadTx<'_>, request: &Request, entry: &db::inventory::Entry) -> Result<NewIntent, DbError> {
    let remembered = db::decisions::state(tx, request.prefix)?.state;
    let calm_s = remembered
        .calm
        .as_ref()
        .map(|track| i64::try_from(track.proven().as_secs()).unwrap_or(i64::MAX));
    Ok(NewIntent {
        prefix: request.prefix,
        act: request.act,
        origin: Origin::Person {
            actor: request.actor.clone(),
            via: request.via.clone(),
        },
        reason: request.reason.clone(),
        prefix_id: entry.prefix.parent_id.clone(),
        bgp_prefix_id: entry.prefix.id.clone(),
        // Fixed by the read right before the call.
        epoch: None,
        state_version: None,
        evidence: None,
        incident: db::incidents::current(tx, request.prefix)?,
        calm_s,
        peak: remembered.peak,
        systems: remembered.systems.into_iter().collect(),
        attack_began_at: remembered.attack_since,
        attack_ended_at: remembered.last_attack_end,
        force: request.force,
    })
}

fn audit_of(request: &Request, intent: IntentId, now: Timestamp) -> db::audit::Entry {
    db::audit::Entry {
        at: now,
        actor: request.actor.clone(),
        role: "operator".into(),
        via: request.via.clone(),
        address: request.address.clone(),
        action: format!("prefix.{}", request.act),
        subject: request.prefix.to_string(),
        before: None,
        after: Some(format!("intent {intent}")),
        reason: Some(request.reason.clone()),
        result: "filed".into(),
    }
}
