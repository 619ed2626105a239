//! Attack analytics: what Cloudflare's DDoS mitigation dropped, polled, stored and announced; and what
//! the receiver cannot do because it holds no credential: catching up with alerts, and the rule list.
//!
//! | Module | Holds |
//! |---|---|
//! | [`args`] | flags: one poll, a look without storing, the look-back |
//! | [`policy`] | settings to the few numbers a poll works by |
//! | [`window`] | which spans a poll reads: watermark, overlap, limits (pure) |
//! | [`reach`] | what the account's plan allows for one query |
//! | [`split`] | halving a span until its answers are complete (pure) |
//! | [`fetch`] | the rows of one span, page by page |
//! | [`identity`] | what tells a group of rows from every other (pure) |
//! | [`networks`] | whose address a target is |
//! | [`enrich`] | a row of the API to a row of the table |
//! | [`grouping`] | new rows to notices (pure) |
//! | [`keep`] | rows, notices and watermark in transactions |
//! | [`peaks`] | the heaviest minute of each attack, for its incident |
//! | [`minutes`] | dropped traffic of each prefix, minute by minute |
//! | [`attacks`] | begin and end of attacks |
//! | [`witnesses`] | all sources beside the DDoS rules |
//! | [`feed`] | how long nothing could be read, and whether people know |
//! | [`reading`] | what the readers of all sources have in common |
//! | [`poll`] | one poll from window to commit |
//! | [`poll_loop`] | polls until shutdown, seen by health, metrics and log |
//! | [`catch_up`] | alerts that the receiver did not get, from Cloudflare's notification history |
//! | [`rules`] | the cache of monitoring rules, and alerts that it ties to prefixes |
//! | [`hostnames`] | host names of attacking addresses, in the background |
//! | [`cron_watchdog`] | whether the watchdog of cron still looks |
//! | [`announce`] | messages about start and stop |
//! | [`look`] | one look at every source, for `--test` |
//! | [`preview`] | what `--test` prints |
//! | [`command`] | `--once` and `--test` |
//! | [`numbers`] | metrics |
//! | [`service`] | parts from settings, loops, READY |
//!
//! What must hold: a failed answer moves nothing and is visible; every row is stored, whoever it
//! concerns; a row is announced once, in the transaction that moves the watermark over it.

pub mod announce;
pub mod args;
pub mod attacks;
pub mod catch_up;
pub mod command;
pub mod cron_watchdog;
pub mod enrich;
pub mod feed;
pub mod fetch;
pub mod grouping;
pub mod hostnames;
pub mod identity;
pub mod keep;
pub mod look;
pub mod minutes;
pub mod networks;
pub mod numbers;
pub mod peaks;
pub mod policy;
pub mod poll;
pub mod poll_loop;
pub mod preview;
pub mod reach;
pub mod reading;
pub mod rules;
pub mod service;
pub mod split;
pub mod window;
pub mod witnesses;

pub use service::run;
