//! The web dashboard and its JSON API: what is happening, what the machine will do next, and why.
//!
//! It reads the database that the other services write and judges it at the moment it is asked (`overview`). Pages about
//! rules, tunnels and readiness also show what was last read from Cloudflare (`upstream`), and people change it there;
//! the situation never waits for Cloudflare. Pages are
//! templates under `templates/`, kept current by the scripts under `assets/`.
//!
//! | Module | Holds |
//! |---|---|
//! | `run`, `vital` | the service, and whether it does its work |
//! | `router` | paths, and what every request passes |
//! | `client`, `headers`, `answer`, `submission` | who asks, what browsers are told, failures, bodies of changes |
//! | `asking` | who asks for a change of rules or connectors, with the change |
//! | `condense` | answers made small |
//! | `accounts` | logins, sessions, passwords |
//! | `picture`, `situation` | what the database says, read and judged once for everybody |
//! | `traffic`, `plot`, `kept` | dropped traffic over time, its drawing, and what is kept of it for some seconds |
//! | `flow` | what the network carried in a day |
//! | `overview` | that, judged: states, reasons, next actions |
//! | `pages`, `api` | the same for people and for programs |
//! | `hands` | carrying out what people filed here |
//! | `upstream` | what was last read from Cloudflare, and changing it for a person |
//! | `connectors` | tunnels and interconnects, judged |
//! | `desk`, `monitoring`, `protection` | changing rules; a monitoring rule as a person writes it; DDoS rules and overrides |
//! | `overrides` | overrides and settings of DDoS rules as people and programs ask for them |
//! | `readiness` | whether diversion would work if it began now |
//! | `live` | changes while pages are open |
//! | `assets`, `html`, `words` | static files, small markup, formats |

mod accounts;
mod answer;
mod api;
mod app;
mod asking;
mod assets;
mod client;
mod condense;
mod connectors;
mod desk;
mod flow;
mod hands;
mod headers;
mod html;
mod kept;
mod live;
mod monitoring;
mod overrides;
mod overview;
mod pages;
mod picture;
mod plot;
mod protection;
mod readiness;
mod router;
mod run;
mod situation;
mod submission;
mod traffic;
mod upstream;
mod vital;
mod words;

pub use run::run;
