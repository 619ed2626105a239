//! Faults that can be switched on while the simulator runs: which requests they hit, what they do, how often.

use jiff::Timestamp;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most faults at a time.
const MOST: usize = 200;

/// Which of the simulated services a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Cloudflare's REST API.
    Rest,
    /// Cloudflare's GraphQL API.
    Graphql,
    /// The Telegram Bot API.
    Telegram,
    /// Alerts sent by the simulator: `delay`, `refuse` (lost), `garbage`, `html`, `duplicate`, `wrong_secret` apply.
    Webhook,
    /// Every incoming request.
    Any,
}

/// What goes wrong. In JSON the variant is the field `kind` in snake case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The answer comes later by `ms` milliseconds (real time); other faults still apply.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// No answer ever; the connection stays open.
    Hang,
    /// This status; `body` or a plausible one (an envelope with code 1000, a front-end page for 5xx without `body`).
    Status {
        /// HTTP status.
        status: u16,
        /// The exact JSON body.
        #[serde(default)]
        body: Option<Value>,
    },
    /// 429 with `retry-after`, in the form of the service.
    RateLimited {
        /// Seconds; `None` leaves the header out.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 200 with bytes that are neither JSON nor UTF-8.
    Garbage,
    /// An HTML page, as proxies and captive portals send it.
    Html {
        /// HTTP status.
        #[serde(default = "ok")]
        status: u16,
    },
    /// 200 with `data: null` and these errors.
    GraphqlErrors {
        /// One error each.
        messages: Vec<String>,
    },
    /// 200 with the real data and errors besides.
    GraphqlErrorsWithData {
        /// One error each.
        messages: Vec<String>,
    },
    /// A well-formed answer in which no node has rows.
    EmptyRows,
    /// Only the first `n` rows of each node.
    TruncateRows {
        /// Rows left.
        n: usize,
    },
    /// Analytics stand still: nothing younger than this is visible.
    StaleRows {
        /// Seconds of real time.
        seconds: u64,
    },
    /// The connection is closed without an answer.
    Refuse,
    /// The connection is reset (RST) without an answer.
    Reset,
    /// Full headers, half of the body, then the end.
    TruncatedBody,
    /// A Bot API error.
    Telegram {
        /// `error_code` and HTTP status.
        code: u16,
        /// `description`.
        description: String,
        /// `parameters.retry_after` and the header.
        #[serde(default)]
        retry_after: Option<u64>,
        /// `parameters.migrate_to_chat_id`; the chat moves there.
        #[serde(default)]
        migrate_to_chat_id: Option<i64>,
    },
    /// PATCH answers success, but nothing changes (registered, then lost inside).
    IgnoreChange,
    /// Webhook only: the alert is sent twice.
    Duplicate,
    /// Webhook only: a wrong `cf-webhook-auth`.
    WrongSecret,
}

fn ok() -> u16 {
    200
}

/// A fault and the requests it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultSpec {
    /// Chosen id; made up when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Which service.
    pub target: Target,
    /// Only this HTTP method.
    #[serde(default)]
    pub method: Option<String>,
    /// Regular expression searched in the path (GraphQL: also in the document; webhook: in the alert type).
    #[serde(default)]
    pub path: Option<String>,
    /// What happens.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Lets so many matching requests pass first.
    #[serde(default)]
    pub skip: u32,
    /// Goes away after so many uses.
    #[serde(default)]
    pub count: Option<u32>,
    /// Goes away after so many seconds of real time.
    #[serde(default)]
    pub for_seconds: Option<f64>,
    /// The request takes effect first, only its answer is spoilt.
    #[serde(default)]
    pub after_apply: bool,
}

impl FaultSpec {
    /// For every request of `target` until cleared.
    #[must_use]
    pub fn new(target: Target, kind: FaultKind) -> Self {
        Self {
            id: None,
            target,
            method: None,
            path: None,
            kind,
            skip: 0,
            count: None,
            for_seconds: None,
            after_apply: false,
        }
    }

    /// Only for the next `count` matching requests.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Only for this HTTP method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only where the regular expression is found in the path.
    #[must_use]
    pub fn path(mut self, pattern: &str) -> Self {
        self.path = Some(pattern.to_owned());
        self
    }

    /// The request takes effect, only its answer is spoilt.
    #[must_use]
    pub fn after_apply(mut self) -> Self {
        self.after_apply = true;
        self
    }
}

/// A fault that is set, and what it has done so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultStatus {
    /// Its id.
    pub id: String,
    /// As given.
    pub spec: FaultSpec,
    /// Requests it was applied to.
    pub used: u32,
    /// Still active.
    pub active: bool,
}

#[derive(Debug)]
struct Entry {
    id: String,
    spec: FaultSpec,
    pattern: Option<Regex>,
    seen: u32,
    used: u32,
    until: Option<Timestamp>,
}

impl Entry {
    fn active(&self, now: Timestamp) -> bool {
        self.spec.count.is_none_or(|c| self.used < c) && self.until.is_none_or(|u| now < u)
    }
}

/// A fault chosen for one request.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) id: String,
    pub(crate) kind: FaultKind,
    pub(crate) after_apply: bool,
}

/// All faults, oldest first.
#[derive(Debug, Default)]
pub(crate) struct FaultRegistry {
    entries: Vec<Entry>,
    made: u64,
}

impl FaultRegistry {
    pub(crate) fn add(&mut self, spec: FaultSpec, now: Timestamp) -> Result<String, String> {
        if self.entries.len() >= MOST {
            self.entries.retain(|e| e.active(now));
        }
        if self.entries.len() >= MOST {
            return Err(format!("{MOST} faults are set already"));
        }
        let pattern = spec
            .path
            .as_deref()
            .map(Regex::new)
            .transpose()
            .map_err(|e| format!("path: {e}"))?;
        self.made += 1;
        let id = spec.id.clone().unwrap_or_else(|| format!("fault-{}", self.made));
        self.entries.retain(|e| e.id != id);
        let until = spec
            .for_seconds
            .filter(|s| s.is_finite() && *s >= 0.0)
            .map(|s| crate::quota::plus(now, std::time::Duration::from_secs_f64(s.min(1e9))));
        self.entries.push(Entry {
            id: id.clone(),
            spec,
            pattern,
            seen: 0,
            used: 0,
            until,
        });
        Ok(id)
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|e| e.id != id);
        before != self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn list(&self, now: Timestamp) -> Vec<FaultStatus> {
        let status = |e: &Entry| FaultStatus {
            id: e.id.clone(),
            spec: e.spec.clone(),
            used: e.used,
            active: e.active(now),
        };
        self.entries.iter().map(status).collect()
    }

    /// The faults for one request, oldest first; each is counted as used.
    pub(crate) fn hits(&mut self, target: Target, method: &str, haystacks: &[&str], now: Timestamp) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut decided = false;
        for e in &mut self.entries {
            let wanted = e.spec.target == target || (e.spec.target == Target::Any && target != Target::Webhook);
            let matches = wanted
                && e.spec.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(method))
                && e.pattern
                    .as_ref()
                    .is_none_or(|p| haystacks.iter().any(|h| p.is_match(h)));
            if !matches || !e.active(now) {
                continue;
            }
            let is_delay = matches!(e.spec.kind, FaultKind::Delay { .. });
            // One fault decides the answer; the next one waits for its turn and is not used up.
            if decided && !is_delay {
                continue;
            }
            e.seen += 1;
            if e.seen <= e.spec.skip {
                continue;
            }
            e.used += 1;
            decided |= !is_delay;
            hits.push(Hit {
                id: e.id.clone(),
                kind: e.spec.kind.clone(),
                after_apply: e.spec.after_apply,
            });
        }
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_skips_and_queues() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let mut faults = FaultRegistry::default();
        let mut first = FaultSpec::new(Target::Rest, FaultKind::Hang).times(1);
        first.skip = 1;
        faults.add(first, now).unwrap();
        faults
            .add(FaultSpec::new(Target::Any, FaultKind::Garbage).times(1), now)
            .unwrap();
        let kinds = |f: &mut FaultRegistry| {
            f.hits(Target::Rest, "GET", &["/x"], now)
                .into_iter()
                .map(|h| h.kind)
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds(&mut faults), vec![FaultKind::Garbage]);
        assert_eq!(kinds(&mut faults), vec![FaultKind::Hang]);
        assert!(kinds(&mut faults).is_empty());
    }

    #[test]
    fn the_json_form_is_flat() {
        let spec: FaultSpec =
            serde_json::from_str(r#"{"target":"graphql","kind":"graphql_errors","messages":["x"],"count":2}"#).unwrap();
        assert_eq!(
            spec.kind,
            FaultKind::GraphqlErrors {
                messages: vec!["x".into()]
            }
        );
        assert_eq!(spec.count, Some(2));
    }
}
