//! The web dashboard and its JSON API: what is happening, what the machine will do next, and why.
//!
//! It reads the database that the other services write and judges it at the moment it is asked (`overview`); it never
//! asks Cloudflare for a page, and it changes nothing but holds, acknowledgements and its own accounts. Pages are
//! templates under `templates/`, kept current by the scripts under `assets/`.
//!
//! | Module | Holds |
//! |---|---|
//! | `run`, `vital` | the service, and whether it does its work |
//! | `router` | paths, and what every request passes |
//! | `client`, `headers`, `answer`, `submission` | who asks, what browsers are told, failures, bodies of changes |
//! | `condense` | answers made small |
//! | `accounts` | logins, sessions, passwords |
//! | `picture` | what the database says, read once for everybody |
//! | `traffic`, `plot` | dropped traffic over time, and its drawing |
//! | `overview` | that, judged: states, reasons, next actions |
//! | `pages`, `api` | the same for people and for programs |
//! | `hands` | carrying out what people filed here |
//! | `live` | changes while pages are open |
//! | `assets`, `html`, `words` | static files, small markup, formats |

mod accounts;
mod answer;
mod api;
mod app;
mod assets;
mod client;
mod condense;
mod hands;
mod headers;
mod html;
mod live;
mod overview;
mod pages;
mod picture;
mod plot;
mod router;
mod run;
mod submission;
mod traffic;
mod vital;
mod words;

pub use run::run;
