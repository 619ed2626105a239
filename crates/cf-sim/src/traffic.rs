//! The analytics rows: sampled, delayed, bounded. Whoever makes traffic feeds expected packets in; samples come out.
//!
//! A row is one second of one stream. Packets are always a multiple of the sample interval, and a row can be seen only
//! when it is older than the ingest delay plus its own share of the jitter.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Dice;
use crate::quota::plus;

/// Rows kept per node.
const KEPT: usize = 200_000;
/// Streams remembered between ticks.
const STREAMS: usize = 20_000;

/// All packets that Magic Transit saw, passed and dropped.
pub(crate) const MAGIC_TRANSIT: &str = "magicTransitNetworkAnalyticsAdaptiveGroups";
/// Packets that a DDoS rule matched.
pub(crate) const DOSD: &str = "dosdNetworkAnalyticsAdaptiveGroups";
/// What Advanced TCP Protection looked at.
pub(crate) const ADVANCED_TCP: &str = "advancedTcpProtectionNetworkAnalyticsAdaptiveGroups";
/// The deprecated name of the same.
pub(crate) const FLOWTRACKD: &str = "flowtrackdNetworkAnalyticsAdaptiveGroups";
/// What Advanced DNS Protection looked at.
pub(crate) const ADVANCED_DNS: &str = "advancedDnsProtectionNetworkAnalyticsAdaptiveGroups";
/// What the customer's firewall rules matched.
pub(crate) const FIREWALL: &str = "magicFirewallNetworkAnalyticsAdaptiveGroups";
/// One flat row per attack and source.
pub(crate) const ATTACKS: &str = "dosdAttackAnalyticsGroups";
/// Flow records from the customer's routers, wherever the traffic comes in.
pub(crate) const MNM: &str = "mnmFlowDataAdaptiveGroups";

/// What went through tunnels.
pub(crate) const TUNNEL_TRAFFIC: &str = "magicTransitTunnelTrafficAdaptiveGroups";
/// Health checks of tunnels.
pub(crate) const TUNNEL_HEALTH: &str = "magicTransitTunnelHealthChecksAdaptiveGroups";

/// Values by dimension name; what is missing has the type's zero value.
pub(crate) type Dims = BTreeMap<String, Value>;

/// A row to put into the analytics by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowSpec {
    /// Name of the analytics node; `magicTransitNetworkAnalyticsAdaptiveGroups` when absent.
    #[serde(default = "magic_transit")]
    pub node: String,
    /// Its second; now when absent.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// From when it can be seen; `at` plus the ingest delay when absent.
    #[serde(default)]
    pub visible_at: Option<Timestamp>,
    /// By dimension name (for `dosdAttackAnalyticsGroups` by field name). Unknown names are never returned.
    #[serde(default)]
    pub dimensions: BTreeMap<String, Value>,
    /// Packets, already scaled up.
    #[serde(default)]
    pub packets: u64,
    /// Bits, already scaled up.
    #[serde(default)]
    pub bits: u64,
}

fn magic_transit() -> String {
    MAGIC_TRANSIT.to_owned()
}

impl RowSpec {
    /// Traffic to `destination` that Magic Transit let through.
    #[must_use]
    pub fn passed(destination: &str, packets: u64, bits: u64) -> Self {
        let row = Self {
            node: magic_transit(),
            at: None,
            visible_at: None,
            dimensions: BTreeMap::new(),
            packets,
            bits,
        };
        row.dim("ipDestinationAddress", destination)
            .dim("outcome", "pass")
            .dim("direction", "ingress")
            .dim("mitigationSystem", "")
            .dim("sampleInterval", 10_000)
    }

    /// Traffic to `destination` that the DDoS rules dropped, as the Magic Transit node shows it.
    #[must_use]
    pub fn dropped(destination: &str, packets: u64, bits: u64) -> Self {
        Self::passed(destination, packets, bits)
            .dim("outcome", "drop")
            .dim("mitigationSystem", "dosd")
    }

    /// Dropped attack traffic as the DDoS node shows it.
    #[must_use]
    pub fn attack(destination: &str, attack_id: &str, vector: &str, packets: u64, bits: u64) -> Self {
        let mut row = Self::passed(destination, packets, bits)
            .dim("outcome", "drop")
            .dim("verdict", "drop")
            .dim("attackId", attack_id)
            .dim("attackVector", vector);
        row.node = DOSD.to_owned();
        row.dimensions.remove("mitigationSystem");
        row
    }

    /// Sets a dimension.
    #[must_use]
    pub fn dim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.dimensions.insert(name.to_owned(), value.into());
        self
    }

    /// Sets its second.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = Some(at);
        self
    }

    /// Visible at once, whatever the ingest delay.
    #[must_use]
    pub fn visible(mut self) -> Self {
        self.visible_at = Some(Timestamp::MIN);
        self
    }
}

/// A stored row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Unix second.
    pub(crate) second: i64,
    visible_ms: i64,
    pub(crate) dims: Arc<Dims>,
    pub(crate) packets: u64,
    pub(crate) bits: u64,
}

#[derive(Debug)]
struct Stream {
    node: &'static str,
    dims: Arc<Dims>,
    second: i64,
    packets: u64,
    bits: u64,
    /// Packets that did not make a sample yet.
    carry: f64,
}

/// All rows.
#[derive(Debug)]
pub(crate) struct Traffic {
    nodes: BTreeMap<String, VecDeque<Row>>,
    /// Flat attack rows by their key: they grow while the attack lasts.
    attacks: BTreeMap<String, Row>,
    streams: HashMap<u64, Stream>,
    seed: u64,
    /// Rows of the flat node that were given by hand.
    by_hand: u64,
    delay: Duration,
    jitter: Duration,
}

impl Traffic {
    /// The delays come already divided by the factor.
    pub(crate) fn new(seed: u64, delay: Duration, jitter: Duration) -> Self {
        let seed = seed ^ 0x7261_6666_6963;
        Self {
            nodes: BTreeMap::new(),
            attacks: BTreeMap::new(),
            streams: HashMap::new(),
            seed,
            by_hand: 0,
            delay,
            jitter,
        }
    }

    pub(crate) fn set_delays(&mut self, delay: Duration, jitter: Duration) {
        (self.delay, self.jitter) = (delay, jitter);
    }

    /// Adds expected packets of one stream; whole samples of `interval` packets come out.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn feed(
        &mut self,
        key: u64,
        node: &'static str,
        dims: &Arc<Dims>,
        now: Timestamp,
        packets: f64,
        packet_bits: u64,
        interval: u32,
    ) -> u64 {
        let second = now.as_second();
        if self.streams.len() > STREAMS {
            self.flush(i64::MAX);
            self.streams.clear();
        }
        // By key and second, not in turn: when somebody asks for rows must not change what they are.
        // The two nodes that show the same packets have neighbouring keys, and so the same samples.
        let start = Dice::new(self.seed ^ (key >> 1)).fraction();
        let stream = self.streams.entry(key).or_insert_with(|| Stream {
            node,
            dims: Arc::clone(dims),
            second,
            packets: 0,
            bits: 0,
            // Streams do not all give their first sample after the same time.
            carry: start * f64::from(interval),
        });
        let mut done = None;
        if stream.second != second {
            done = Some((
                stream.node,
                stream.second,
                Arc::clone(&stream.dims),
                stream.packets,
                stream.bits,
            ));
            (stream.second, stream.packets, stream.bits) = (second, 0, 0);
        }
        stream.carry += packets.max(0.0);
        let samples = (stream.carry / f64::from(interval)).floor();
        stream.carry -= samples * f64::from(interval);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let scaled = (samples as u64).saturating_mul(u64::from(interval));
        stream.packets += scaled;
        stream.bits += scaled.saturating_mul(packet_bits);
        if let Some((node, second, dims, packets, bits)) = done {
            self.put(key, node, second, dims, packets, bits);
        }
        scaled
    }

    /// Stores the open second of every stream that is older than `second`.
    pub(crate) fn flush(&mut self, second: i64) {
        let mut done = Vec::new();
        for (key, s) in self
            .streams
            .iter_mut()
            .filter(|(_, s)| s.second < second && s.packets > 0)
        {
            done.push((s.second, *key, s.node, Arc::clone(&s.dims), s.packets, s.bits));
            (s.packets, s.bits) = (0, 0);
        }
        done.sort_by_key(|d| (d.0, d.1));
        for (second, key, node, dims, packets, bits) in done {
            self.put(key, node, second, dims, packets, bits);
        }
    }

    /// Stores the row of a stream's second; it is visible after the delay and its own part of the jitter.
    pub(crate) fn put(&mut self, key: u64, node: &str, second: i64, dims: Arc<Dims>, packets: u64, bits: u64) {
        let is_count = dims.contains_key("count");
        if packets == 0 && bits == 0 && !is_count {
            return;
        }
        let mut dice = Dice::new(self.seed ^ key.rotate_left(17) ^ second.unsigned_abs());
        let late = self.jitter.mul_f64(dice.fraction());
        let whole = Duration::from_secs(1) + self.delay + late;
        let visible_ms = second
            .saturating_mul(1000)
            .saturating_add(i64::try_from(whole.as_millis()).unwrap_or(i64::MAX));
        self.store(node, second, visible_ms, dims, packets, bits);
    }

    fn store(&mut self, node: &str, second: i64, visible_ms: i64, dims: Arc<Dims>, packets: u64, bits: u64) {
        let rows = self.nodes.entry(node.to_owned()).or_default();
        rows.push_back(Row {
            second,
            visible_ms,
            dims,
            packets,
            bits,
        });
        while rows.len() > KEPT {
            rows.pop_front();
        }
    }

    /// A row given by hand.
    pub(crate) fn insert(&mut self, spec: RowSpec, now: Timestamp) {
        let at = spec.at.unwrap_or(now);
        let visible = spec.visible_at.unwrap_or_else(|| plus(at, self.delay));
        if spec.node == ATTACKS {
            let row = Row {
                second: at.as_second(),
                visible_ms: visible.as_millisecond(),
                dims: Arc::new(spec.dimensions),
                packets: spec.packets,
                bits: spec.bits,
            };
            self.by_hand += 1;
            let key = format!("by-hand-{:08}", self.by_hand);
            self.put_attack(key, row);
        } else {
            self.store(
                &spec.node,
                at.as_second(),
                visible.as_millisecond(),
                Arc::new(spec.dimensions),
                spec.packets,
                spec.bits,
            );
        }
    }

    /// Adds (all packets, dropped packets) to the flat row of an attack and source, or begins it. `dims` replaces what is known so far.
    pub(crate) fn upsert_attack(
        &mut self,
        key: &str,
        mut dims: Dims,
        (packets, dropped): (u64, u64),
        packet_bits: u64,
        now: Timestamp,
    ) {
        let visible_ms = plus(now, self.delay).as_millisecond();
        let old = self.attacks.get(key);
        let before = |name: &str| old.and_then(|r| r.dims.get(name)).and_then(Value::as_u64).unwrap_or(0);
        let dropped_so_far = before("droppedPackets") + dropped;
        dims.insert("droppedPackets".into(), dropped_so_far.into());
        dims.insert("droppedBits".into(), dropped_so_far.saturating_mul(packet_bits).into());
        let packets = old.map_or(0, |r| r.packets) + packets;
        let bits = packets.saturating_mul(packet_bits);
        let row = Row {
            second: old.map_or(now.as_second(), |r| r.second),
            visible_ms: old.map_or(visible_ms, |r| r.visible_ms),
            dims: Arc::new(dims),
            packets,
            bits,
        };
        self.put_attack(key.to_owned(), row);
    }

    /// The attack's flat rows get their end.
    pub(crate) fn end_attack(&mut self, attack_id: &str, now: Timestamp) {
        for (_, row) in self.attacks.iter_mut().filter(|(key, _)| key.starts_with(attack_id)) {
            let dims = Arc::make_mut(&mut row.dims);
            dims.insert("endDatetime".into(), second_text(now.as_second()).into());
        }
    }

    fn put_attack(&mut self, key: String, row: Row) {
        while self.attacks.len() >= KEPT {
            self.attacks.pop_first();
        }
        self.attacks.insert(key, row);
    }

    /// Visible rows of a node. `stale` hides everything younger than that, as when the pipeline stands still.
    pub(crate) fn visible<'a>(
        &'a self,
        node: &str,
        now: Timestamp,
        stale: Duration,
    ) -> Box<dyn Iterator<Item = &'a Row> + 'a> {
        let now_ms = now.as_millisecond();
        let newest = crate::quota::minus(now, stale).as_second();
        let seen = move |r: &&Row| r.visible_ms <= now_ms && r.second <= newest;
        if node == ATTACKS {
            return Box::new(self.attacks.values().filter(seen));
        }
        // The old name of the same data.
        let node = if node == FLOWTRACKD { ADVANCED_TCP } else { node };
        match self.nodes.get(node) {
            Some(rows) => Box::new(rows.iter().filter(seen)),
            None => Box::new(std::iter::empty()),
        }
    }

    /// All rows of a node, visible or not, oldest first.
    pub(crate) fn all<'a>(&'a self, node: &str) -> Box<dyn Iterator<Item = &'a Row> + 'a> {
        if node == ATTACKS {
            return Box::new(self.attacks.values());
        }
        Box::new(self.nodes.get(node).into_iter().flatten())
    }

    /// Newest rows of a node, visible or not.
    pub(crate) fn newest(&self, node: &str, limit: usize) -> Vec<Value> {
        let rows: Vec<&Row> = if node == ATTACKS {
            self.attacks.values().rev().take(limit).collect()
        } else {
            self.nodes.get(node).into_iter().flatten().rev().take(limit).collect()
        };
        let show = |r: &&Row| {
            serde_json::json!({"at": second_text(r.second), "visible_at_ms": r.visible_ms, "dimensions": *r.dims,
                "packets": r.packets, "bits": r.bits})
        };
        rows.iter().map(show).collect()
    }

    pub(crate) fn counts(&self, now: Timestamp) -> Vec<(String, usize, usize)> {
        let now_ms = now.as_millisecond();
        let seen = |r: &&Row| r.visible_ms <= now_ms;
        let mut all: Vec<_> = self
            .nodes
            .iter()
            .map(|(name, rows)| (name.clone(), rows.len(), rows.iter().filter(seen).count()))
            .collect();
        if !self.attacks.is_empty() {
            all.push((
                ATTACKS.to_owned(),
                self.attacks.len(),
                self.attacks.values().filter(seen).count(),
            ));
        }
        all
    }
}

/// A Unix second in the API's form.
pub(crate) fn second_text(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |t| t.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_multiples_and_nothing_is_lost_on_average() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let mut traffic = Traffic::new(1, Duration::from_secs(60), Duration::ZERO);
        let dims = Arc::new(Dims::new());
        for tick in 0..1000_u64 {
            traffic.feed(
                1,
                MAGIC_TRANSIT,
                &dims,
                plus(start, Duration::from_millis(tick * 100)),
                1234.5,
                8000,
                10_000,
            );
        }
        traffic.flush(i64::MAX);
        let later = plus(start, Duration::from_secs(3600));
        let rows: Vec<_> = traffic.visible(MAGIC_TRANSIT, later, Duration::ZERO).collect();
        assert!(
            rows.iter()
                .all(|r| r.packets % 10_000 == 0 && r.bits == r.packets * 8000)
        );
        let total: u64 = rows.iter().map(|r| r.packets).sum();
        assert!(total.abs_diff(1_234_500) <= 10_000, "{total}");
    }

    #[test]
    fn rows_wait_for_the_ingest_delay() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let mut traffic = Traffic::new(1, Duration::from_secs(60), Duration::ZERO);
        traffic.insert(RowSpec::dropped("203.0.113.10", 10_000, 80_000_000).at(start), start);
        let seen = |at: u64| {
            traffic
                .visible(MAGIC_TRANSIT, plus(start, Duration::from_secs(at)), Duration::ZERO)
                .count()
        };
        assert_eq!((seen(59), seen(60)), (0, 1));
        let stale = traffic
            .visible(
                MAGIC_TRANSIT,
                plus(start, Duration::from_secs(300)),
                Duration::from_secs(600),
            )
            .count();
        assert_eq!(stale, 0);
    }
}
