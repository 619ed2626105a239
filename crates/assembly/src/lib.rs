//! What all programs put together alike: settings in, working parts out. Nothing is decided here.
//!
//! | Module | Holds |
//! |---|---|
//! | [`parts`] | the database, the HTTP transport and the Cloudflare client from settings |
//! | [`life`] | heartbeat, vigil over the others, integrity check after the start, orderly end |
//! | [`vigil`] | a service's own beat, and the silence of the others |
//! | [`intake`] | one notification of Cloudflare to one transaction, whether it was received or recovered |
//! | [`evidence`] | what traffic is judged by: thresholds, resolution, mitigation systems |
//! | [`numbers`] | what every service says for Prometheus about the shared database |
//! | [`outbox`] | the loop with which every service drains the outbox |

pub mod evidence;
pub mod intake;
pub mod life;
pub mod numbers;
pub mod outbox;
pub mod parts;
pub mod vigil;
