//! Configuration files to validated settings: every problem at once, each with its remedy.
//!
//! [`load`] reads a folder in three steps that are three types: *raw* documents (`files`, `json`)
//! keep lines and repeated keys; *merged* values (`merge`) are one per key, with their source;
//! [`Settings`] are typed, complete and checked. Nothing downstream parses text or applies a
//! default. The core looks at no global state: what the process was given comes in as an
//! [`Environment`].
//!
//! | Module | Holds |
//! |---|---|
//! | `model` | the settings themselves |
//! | `keys` | the one table of all keys: kinds, limits, defaults, meanings |
//! | `environment` | variables, host name and groups of the process |
//! | `files`, `json` | reading, permissions, JSON with lines |
//! | `merge`, `provenance` | one value per key out of all sources, and which source it was |
//! | `unknown` | keys and variables that nothing reads |
//! | `values` | text to typed values, kind by kind |
//! | `mapping`, [`legacy`] | `prefix_mapping.json`; the predecessor's `auth.json`, `dashboard_prefs.json` |
//! | `rules` | what several keys mean together |
//! | `assemble` | typed values to [`Settings`] |
//! | `report`, `site`, `nearest` | problems: collecting, masking, wording, layout |
//! | `print`, `compare` | settings back to text; equality apart from secrets |
//! | `schema`, `reference` | JSON Schema and Markdown reference, generated from the table |

mod assemble;
mod compare;
mod environment;
mod files;
mod json;
mod keys;
pub mod legacy;
mod load;
mod mapping;
mod merge;
mod model;
mod nearest;
mod print;
mod provenance;
mod reference;
mod report;
mod rules;
mod schema;
mod site;
mod unknown;
mod values;

pub use environment::{CONFIG_DIR_VARIABLE, DEFAULT_CONFIG_DIR, Environment};
pub use load::{LoadOptions, Loaded, Need, load};
pub use model::*;
pub use print::{print_config, print_mapping, print_provenance};
pub use provenance::{Origin, Provenance};
pub use reference::reference_markdown;
pub use report::{Code, ConfigReport, EXIT_BAD_CONFIG, Place, Problem, Severity};
pub use schema::json_schema;
