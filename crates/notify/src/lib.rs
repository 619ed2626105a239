//! The working end of the notification outbox: take what is due, put it into words, send it, record what became of it.
//!
//! All services run a [`Drain`] on the same database, so that alarms leave the host while any one of them lives. Every
//! message is sent at least once; one that may be a repeat is recognised by its event number.
//!
//! | Module | Holds |
//! |---|---|
//! | [`words`] | text made safe to stand in a message: bounded, one line, no reordering |
//! | [`links`] | which addresses may be clickable |
//! | [`document`] | a message as structure; HTML, plain text and numbered pieces written from it |
//! | [`context`] | what is looked up at the moment of sending |
//! | [`render`] | facts and look-ups to a message, one layout per kind |
//! | [`telegram`] | one request to the Bot API, and what its answer means |
//! | [`ask`] | questions people put to the bot, and their answers |
//! | [`channels`] | copies of messages to a web address and by mail |
//! | [`drain`] | the loop: claim, render, send, record; pace, back-off, expiry, shutdown |

pub mod ask;
pub mod channels;
pub mod context;
pub mod document;
pub mod drain;
pub mod links;
pub mod render;
mod restored;
pub mod telegram;
pub mod words;

pub use drain::{Drain, DrainConfig, Poke};
pub use render::{Frame, Renderer};
pub use telegram::{ChatId, TelegramConfig, TelegramSender};
