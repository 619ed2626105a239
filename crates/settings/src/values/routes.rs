//! `autowithdraw.direct_route`: how each prefix is known to be reachable without Cloudflare.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use domain::prefix::Prefix;

use super::{MAX_ITEMS, address, network, time, wrong_type};
use crate::json::{Data, Node};
use crate::keys::{Key, Kind};
use crate::model::DirectRoute;
use crate::nearest::nearest;
use crate::report::Code;
use crate::site::{Problems, Site, cut};

/// The word for prefixes whose routers announce them at all times.
pub(crate) const ALWAYS_ANNOUNCED: &str = "always_announced";

/// The name that stands for every prefix without a statement of its own.
pub(crate) const EVERY_OTHER: &str = "*";

/// Deadline of a check that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A check must be over well before its success is too old (5 minutes) to count.
const TIMEOUT_LIMITS: (&str, &str) = ("100ms", "1m");

/// The statements of all prefixes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Routes {
    pub(crate) by_prefix: BTreeMap<Prefix, DirectRoute>,
    pub(crate) every_other: Option<DirectRoute>,
}

pub(super) fn read(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<Routes> {
    let members = match &node.data {
        Data::Object(members) if members.len() <= MAX_ITEMS => members,
        Data::Text(text) if text == ALWAYS_ANNOUNCED => {
            problems.error(
                Code::WrongType,
                site,
                "the statement must say for which prefixes it is meant",
                format!("write {{ \"{EVERY_OTHER}\": \"{ALWAYS_ANNOUNCED}\" }}"),
            );
            return None;
        }
        _ => return wrong_type(key, node, site, problems),
    };
    let mut routes = Routes::default();
    let mut good = true;
    for (name, member) in members {
        if name.starts_with('_') {
            continue;
        }
        let site = site.part(&format!(".\"{name}\""), member, cut(&member.compact()));
        let Some(route) = statement(key, member, &site, problems) else {
            good = false;
            continue;
        };
        if name == EVERY_OTHER {
            routes.every_other = Some(route);
            continue;
        }
        match network::read_prefix(Kind::Prefixes, name, &site, problems) {
            Some(prefix) if routes.by_prefix.insert(prefix, route).is_some() => {
                problems.error(
                    Code::DuplicatePrefix,
                    &site,
                    format!("{prefix} has a statement already, in another spelling"),
                    "keep one of the two",
                );
                good = false;
            }
            Some(_) => {}
            None => good = false,
        }
    }
    good.then_some(routes)
}

fn statement(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<DirectRoute> {
    let members = match &node.data {
        Data::Text(word) if word == ALWAYS_ANNOUNCED => return Some(DirectRoute::AlwaysAnnounced),
        Data::Object(members) => members,
        _ => {
            problems.error(
                Code::InvalidValue,
                site,
                "this is no statement about a direct route",
                format!(
                    "write \"{ALWAYS_ANNOUNCED}\", {{\"url\": \"https://…\"}} or {{\"command\": [\"/path\", \"argument\"]}}"
                ),
            );
            return None;
        }
    };
    let mut good = true;
    for (name, member) in members {
        if !matches!(name.as_str(), "url" | "command" | "timeout") && !name.starts_with('_') {
            let meant = nearest(name, ["url", "command", "timeout"]);
            problems.error(
                Code::UnknownKey,
                &site.part(&format!(".{name}"), member, cut(&member.compact())),
                "a check has url or command, and timeout",
                meant.map_or_else(|| "remove it".to_owned(), |meant| format!("did you mean {meant}?")),
            );
            good = false;
        }
    }
    let timeout = match node.at("timeout") {
        None => DEFAULT_TIMEOUT,
        Some(member) => {
            let site = site.part(".timeout", member, cut(&member.compact()));
            let as_duration = Key {
                kind: Kind::Duration {
                    min: TIMEOUT_LIMITS.0,
                    max: TIMEOUT_LIMITS.1,
                },
                ..*key
            };
            time::read(&as_duration, member, &site, problems)
                .and_then(|timeout| time::in_range(timeout, TIMEOUT_LIMITS, &site, problems))?
        }
    };
    let route = match (node.at("url"), node.at("command")) {
        (Some(url), None) => {
            let site = site.part(".url", url, cut(&url.compact()));
            let url = match &url.data {
                Data::Text(text) => address::check(text, key.kind, &site, problems)?,
                other => {
                    let what = format!("an address as text is expected, found {}", other.found());
                    problems.error(Code::WrongType, &site, what, "write \"https://…\"");
                    return None;
                }
            };
            DirectRoute::Url { url, timeout }
        }
        (None, Some(command)) => DirectRoute::Command {
            argv: argv(command, site, problems)?,
            timeout,
        },
        _ => {
            problems.error(
                Code::Contradiction,
                site,
                "a check needs either url or command",
                "write one of the two",
            );
            return None;
        }
    };
    good.then_some(route)
}

/// Program and arguments as a list: no shell splits, expands or interprets anything.
fn argv(node: &Node, site: &Site, problems: &mut Problems) -> Option<Vec<String>> {
    let site = site.part(".command", node, cut(&node.compact()));
    let words: Option<Vec<String>> = match &node.data {
        Data::List(items) => items
            .iter()
            .map(|item| match &item.data {
                Data::Text(text) if !text.contains('\0') => Some(text.clone()),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    match words {
        Some(words) if words.first().is_some_and(|first| Path::new(first).is_absolute()) => Some(words),
        Some(words) if !words.is_empty() => {
            problems.error(
                Code::InvalidValue,
                &site,
                "the program must be named with its absolute path: nothing is searched",
                "write it from / on",
            );
            None
        }
        _ => {
            problems.error(
                Code::WrongType,
                &site,
                "a list of texts is expected: the program and each argument on its own",
                "write [\"/usr/local/bin/check-route\", \"203.0.113.0/24\"]",
            );
            None
        }
    }
}
