//! Rules at Cloudflare: what they say, what is in force, and how they are changed and changed back.
//!
//! | Module | Holds |
//! |---|---|
//! | [`expression`] | the language of overrides: parser, hints, what an expression can apply to |
//! | [`template`] | the simple builder: services to expressions and back |
//! | [`target`] | which packets a managed rule is about, and whether an expression fits it |
//! | [`effective`] | what is in force for each managed rule, per scope, and why |
//! | [`overrides`] | what is wrong with an override, and the change that makes exactly the setting meant |
//! | [`mnm`] | network monitoring rules: what Cloudflare takes, and which prefixes nothing watches |
//! | [`mod@file`] | a rules file, as people write it |
//! | [`plan`] | from a file and what is there to steps |
//! | [`apply`] | carries a plan out |
//! | [`desk`] | changes with backup, read-back, record and undo |
//!
//! Pure, all but [`desk`] and [`apply`], which talk to Cloudflare and the database. Nothing here reads a clock or logs.

pub mod apply;
pub mod desk;
pub mod effective;
pub mod expression;
pub mod file;
pub mod mnm;
pub mod overrides;
pub mod plan;
pub mod target;
pub mod template;
