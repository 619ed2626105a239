//! Administration command line: health, database, notifications, users, explain.
//!
//! | Module | Holds |
//! |---|---|
//! | [`demo`] | the narrator of `scripts/demo` |

pub mod demo;
