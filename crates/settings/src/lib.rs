//! Configuration files to validated settings: every problem at once, each with its remedy.

pub mod legacy;
mod model;

pub use model::*;
