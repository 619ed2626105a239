//! What the command lines have in common.
//!
//! | Module | Holds |
//! |---|---|
//! | [`begin`] | what every command line is asked, and how it begins |
//! | [`command`] | arguments, help, completions and man pages |
//! | [`frame`] | a command from its arguments to its exit code |
//! | [`trouble`] | why a command did not do what it was asked to, with code and remedy |
//! | [`screen`], [`table`] | text fit for the terminal it goes to |
//! | [`words`] | ages, instants and foreign text as people read them |
//! | [`ask`] | questions to the person at the terminal |
//! | [`menu`] | menus and lines for that person |
//! | [`actor`] | who that person is, for the record; rows of the audit |
//! | [`store`] | the database, opened as a command needs it |
//! | [`picture`] | what the database says about prefixes, in one snapshot |
//! | [`life`] | whether a service is there |
//! | [`standing`] | one prefix judged: state, why, what comes next |
//! | [`report`] | standings as a table and in detail |
//! | [`cool_down`] | how soon after a change Cloudflare refused the next, as far as was seen |
//! | [`elsewhere`] | changes that no act of ours explains, and how to take them back |
//! | [`explain`] | the chain from evidence to next action |
//!
//! Nothing here acts or decides. Must hold: unknown is shown as unknown with its reason; text from outside cannot move
//! the cursor; a closed pipe is no failure; without a terminal nothing is asked.

pub mod actor;
pub mod ask;
pub mod begin;
pub mod command;
pub mod cool_down;
pub mod elsewhere;
pub mod explain;
pub mod frame;
pub mod life;
pub mod menu;
pub mod picture;
pub mod report;
pub mod screen;
pub mod standing;
pub mod store;
pub mod table;
pub mod trouble;
pub mod words;

pub use frame::Out;
pub use screen::{Ink, Screen, ink};
pub use table::Table;
pub use trouble::Trouble;
