//! `drill`: a fire drill. The chain of this installation is rehearsed with one marked attack that does not exist, with a
//! stopwatch at every hop: receiver, record, decision, message, test chat, acknowledgement, end.
//!
//! | Module | Holds |
//! |---|---|
//! | [`ground`] | the documentation prefix that the drill is about, which is nobody's |
//! | [`hop`] | one hop: how it went, how long it took; the grade of all |
//! | [`chain`] | the hops inside: services, receiver, record, message, acknowledgement |
//! | [`rehearsed`] | the decision, in dry run and in memory |
//! | [`chat`] | the test chat, and what time Telegram says it is |
//! | [`telling`] | text and JSON |
//!
//! Must hold: no production prefix is touched, named or decided about; nothing here can file an intent or change BGP; a
//! broken hop is named, and a hop that was not reached or not asked for is never counted as good.

pub mod chain;
pub mod chat;
pub mod ground;
pub mod hop;
pub mod rehearsed;
pub mod telling;

use std::time::Duration;

use clap::Args;
use cli::Trouble;
use domain::ids::{DeliveryId, IncidentId, NotificationId};
use domain::prefix::Prefix;

use crate::desk::Desk;
use hop::{Hop, Stopwatch};

/// What `--help` says after the options.
pub const HELP: &str = "\
Posts a marked alert about a documentation prefix that this installation does not have, with the real secret, and follows \
it: stored, joined to an incident, decided in dry run, announced as a test, acknowledged, ended. It is kept out of \
statistics and vetoes nothing. --chat sends a message of its own to a chat for tests. No prefix of yours is touched.
Exit code 0 when every hop worked (grades A to C), 1 when one is broken (grade F), 3 when every documentation prefix is yours.
Examples:
  cloudflare-mt drill
  cloudflare-mt drill --chat -1001234567890
  cloudflare-mt drill --person 10m        # wait until somebody acknowledges it
  cloudflare-mt drill --json | jq '.hops[] | select(.state != \"ok\")'
From a timer: an example lies in docs/drill (/usr/share/doc/cloudflare-mt/drill).
JSON: cloudflare-mt/drill/1 {at, grade, prefix, incident, took_ms, hops[{hop, state, took_ms, target_ms, text, remedy}]}; states \
are ok, slow, failed, not_reached, not_asked";

/// Arguments of `drill`.
#[derive(Debug, Clone, Args)]
pub struct DrillArgs {
    /// A Telegram chat for tests that the bot may write to; without it that hop is not rehearsed
    #[arg(long, value_name = "CHAT", allow_hyphen_values = true, value_parser = chat::chat_id)]
    pub chat: Option<String>,
    /// Wait so long for a person to acknowledge the drill's incident, on the dashboard or in the chat
    #[arg(long, value_name = "DURATION", value_parser = domain::duration::parse)]
    pub person: Option<Duration>,
    /// Where to post; the receiver of this host unless given
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// How long to wait at each hop
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = domain::duration::parse)]
    pub timeout: Duration,
}

/// What one drill knows while it runs.
#[derive(Debug)]
pub struct Drill<'a> {
    /// Settings, clock and output.
    pub desk: &'a Desk,
    /// What was asked for.
    pub asked: &'a DrillArgs,
    /// The prefix that is nobody's.
    pub prefix: Prefix,
    /// Everything that is somebody's.
    pub listed: Vec<Prefix>,
    /// Id of the attack that does not exist.
    pub attack: String,
    /// The receiver.
    pub url: String,
    /// What the receiver stored.
    pub delivery: Option<DeliveryId>,
    /// What it made of it.
    pub incident: Option<IncidentId>,
    /// Its message.
    pub notification: Option<NotificationId>,
}

/// Rehearses the chain.
///
/// # Errors
/// When there is no prefix to rehearse with, or the result cannot be written.
pub async fn run(desk: &Desk, asked: DrillArgs) -> Result<u8, Trouble> {
    let at = desk.now();
    let listed = ground::listed(desk).await;
    let Some(prefix) = ground::choose(&listed) else {
        let text = "every documentation prefix is listed as yours, so there is nothing to rehearse with";
        let remedy = format!("take one of {} out of the configuration", ground::NAMES);
        return Err(Trouble::blocked("drill.no_ground", text).remedy(remedy));
    };
    let mut drill = Drill {
        desk,
        asked: &asked,
        prefix,
        listed,
        attack: format!("drill-{}", at.as_microsecond()),
        url: String::new(),
        delivery: None,
        incident: None,
        notification: None,
    };
    let mut hops: Vec<Hop> = Vec::new();
    telling::begin(desk, prefix);
    let watch = Stopwatch::start();
    for step in chain::STEPS {
        let is_reached = step.needs.iter().all(|name| hop::worked(&hops, name));
        let hop = if is_reached {
            let clock = Stopwatch::start();
            let outcome = (step.go)(&mut drill).await;
            Hop::of(step.name, step.target, clock.passed(), outcome)
        } else {
            Hop::not_reached(step.name, step.target)
        };
        telling::hop(desk, &hop);
        hops.push(hop);
    }
    telling::result(&drill, at, watch.passed(), &hops)
}
