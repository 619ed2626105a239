//! End to end: the real programs, one database file, a simulated Cloudflare and Telegram.
//!
//! Nothing here looks into a process: only at what it wrote, sent, answered and told its manager. The times are those of
//! [`testkit::Pace::fast`]; no code path of the product knows that it is tested.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod acts;
mod bad_input;
mod blindness;
mod catch_up;
mod crash;
mod crash_points;
mod hostile;
mod killed;
mod outage;
mod recorded;
mod reload;
mod slice;
mod standby;
mod start;
mod tabs;
mod telling;
