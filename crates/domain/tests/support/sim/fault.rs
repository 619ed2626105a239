//! Everything that can go wrong (and what people do) in a simulated schedule: one kind a row, with
//! the name that scenario files use and what it is. The table in `docs/82-decision-simulation.md` is
//! written from here.

/// Which part of the world it happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Analytics,
    Reading,
    Calling,
    Cloudflare,
    Alerts,
    Process,
    Clock,
    Configuration,
    /// No fault: what the network and people do.
    Story,
}

macro_rules! kinds {
    ($($kind:ident $group:ident $name:literal $what:literal)*) => {
        /// One kind of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($kind),* }

        /// All kinds: kind, group, name in files, what it is.
        pub const TABLE: &[(Kind, Group, &str, &str)] = &[$((Kind::$kind, Group::$group, $name, $what)),*];
    };
}

kinds! {
    AnalyticsTimeout Analytics "analytics_timeout" "no answer within the deadline of the query"
    AnalyticsTooMany Analytics "analytics_429" "HTTP 429: the quota is spent"
    AnalyticsServerError Analytics "analytics_5xx" "HTTP 5xx"
    AnalyticsReset Analytics "analytics_reset" "the connection breaks in mid-answer"
    AnalyticsKeyRevoked Analytics "analytics_key_revoked" "HTTP 403: the key may not read any more"
    AnalyticsErrors Analytics "analytics_errors_in_200" "HTTP 200 with `errors` and no data"
    AnalyticsRenamed Analytics "analytics_renamed_field" "a field has another name; nothing can be read"
    AnalyticsHalf Analytics "analytics_half" "one of the datasets is missing in the answer"
    AnalyticsEmpty Analytics "analytics_empty" "an answer without one row of the account"
    AnalyticsTruncated Analytics "analytics_truncated" "the row limit cuts all but the n largest rows"
    AnalyticsFrozen Analytics "analytics_frozen" "the dataset is not fed any more; old rows go on being answered"
    AnalyticsLate Analytics "analytics_late" "dropped rows come later than usual, within the settle time"
    AnalyticsTooLate Analytics "analytics_too_late" "dropped rows come after the settle time (beyond the stated ingest delay)"
    AnalyticsSlow Analytics "analytics_slow" "the answer takes n seconds"
    AnalyticsOldAnswer Analytics "analytics_old_answer" "an answer of n seconds ago is served again"
    AnalyticsFuture Analytics "analytics_future" "the newest row lies n seconds in the future"
    AnalyticsCoarse Analytics "analytics_coarse" "one packet in n is sampled"
    AnalyticsWideRows Analytics "analytics_wide_rows" "rows are grouped by a wider network than usual"
    AnalyticsSilentPrefix Analytics "analytics_silent_prefix" "no row of the prefix, passed or dropped"
    ListTimeout Reading "list_timeout" "the list of BGP prefixes does not answer"
    ListServerError Reading "list_5xx" "the list of BGP prefixes answers HTTP 5xx"
    ListHalf Reading "list_half" "the list leaves the prefix out"
    ReadTimeout Reading "read_timeout" "the read of one BGP prefix does not answer"
    ReadSlow Reading "read_slow" "the read of one BGP prefix takes n seconds"
    ReadOld Reading "read_old" "reads show the state of n seconds ago"
    FlagMissing Reading "flag_missing" "`advertised` is null"
    SinceMissing Reading "since_missing" "`advertised_modified_at` is null"
    SinceInFuture Reading "since_in_future" "`advertised_modified_at` lies n seconds in the future"
    IdElsewhere Reading "id_elsewhere" "the id belongs to another network than the journal says"
    CallSlow Calling "call_slow" "the answer to a change takes n seconds"
    CallRefusedForNow Calling "call_refused_for_now" "the change is refused: cool-down"
    CallTooMany Calling "call_429" "the change is refused: HTTP 429 with `Retry-After` n"
    CallRefusedForGood Calling "call_refused_for_good" "the change is refused: not allowed"
    CallLostBefore Calling "call_lost_before" "the request is lost on its way, nobody answers"
    CallLostAfter Calling "call_lost_after" "the change is made, the answer is lost"
    CallErrorButDone Calling "call_5xx_but_done" "HTTP 5xx although the change is made"
    CallErrorNotDone Calling "call_5xx_not_done" "HTTP 5xx and nothing is changed"
    CallLied Calling "call_lied" "HTTP 200 and nothing is changed"
    CallDoneLate Calling "call_done_late" "HTTP 200, and the change happens n seconds later"
    ForeignWithdraw Cloudflare "foreign_withdraw" "somebody else withdraws the prefix"
    ForeignAdvertise Cloudflare "foreign_advertise" "somebody else advertises the prefix"
    ForeignRenewal Cloudflare "foreign_renewal" "the advertisement is renewed: another epoch without a gap"
    Locked Cloudflare "locked" "Cloudflare locks the advertisement"
    NotOnDemand Cloudflare "not_on_demand" "the prefix is not on demand any more"
    BgpSignalled Cloudflare "bgp_signalled" "the prefix is steered by BGP signalling"
    PrependChanged Cloudflare "prepend_changed" "somebody changes the AS path prepends"
    AlertOpen Alerts "alert" "an attack alert is open for the prefix"
    AlertUnresolved Alerts "alert_unresolved" "an attack alert is open that names no prefix of ours"
    AlertWithoutEnd Alerts "alert_without_end" "an attack alert whose end never comes"
    AlertOldTs Alerts "alert_old_ts" "an attack alert whose `ts` is n seconds old when it comes"
    ReceiverSilent Alerts "receiver_silent" "the webhook receiver does not beat: alerts are unknown"
    Crash Process "crash" "kill -9 at the named step; back after n seconds"
    Stop Process "stop" "SIGSTOP for n seconds at the named step"
    Restart Process "restart" "an orderly end and start"
    SecondDaemon Process "second_daemon" "a second daemon runs on the same file"
    DatabaseRefuses Process "database_refuses" "no transaction is accepted"
    CommitUnanswered Process "commit_unanswered" "transactions are stored and their callers told that they may not be"
    ClockStep Clock "clock_step" "our clock is wrong by n seconds"
    CloudflareClock Clock "cloudflare_clock" "Cloudflare's clock is wrong by n seconds"
    ConfigMode Configuration "config_dry_run" "the daemon is restarted to run dry"
    ConfigPaused Configuration "config_paused" "the daemon is restarted as paused"
    ConfigCalm Configuration "config_calm_period" "the daemon is restarted with a calm period of n seconds"
    ConfigThresholds Configuration "config_thresholds" "the daemon is restarted with packet thresholds of n"
    ConfigUnlisted Configuration "config_unlisted" "the daemon is restarted without the prefix in its list"
    RouteFails Configuration "route_fails" "the check of the direct route fails"
    Attack Story "attack" "n packets a minute are dropped"
    Hold Story "hold" "a person holds the prefix"
    HoldUntil Story "hold_until" "a person holds the prefix for n seconds, and it runs out by itself"
    Pause Story "pause" "a person pauses all automation"
    Advertise Story "advertise" "a person advertises the prefix"
    Withdraw Story "withdraw" "a person withdraws the prefix, unless it is held"
    Force Story "withdraw_by_force" "a person withdraws the prefix although it may be held"
}

impl Kind {
    fn row(self) -> &'static (Kind, Group, &'static str, &'static str) {
        TABLE.iter().find(|row| row.0 == self).unwrap()
    }

    pub fn name(self) -> &'static str {
        self.row().2
    }

    pub fn group(self) -> Group {
        self.row().1
    }

    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    /// Whether it lasts; the others happen at their beginning.
    pub fn lasts(self) -> bool {
        !matches!(
            self,
            Self::ForeignWithdraw
                | Self::ForeignAdvertise
                | Self::ForeignRenewal
                | Self::Crash
                | Self::Stop
                | Self::Restart
                | Self::AlertWithoutEnd
                | Self::AlertOldTs
                | Self::HoldUntil
                | Self::Advertise
                | Self::Withdraw
                | Self::Force
        )
    }
}

/// The steps at which a process can crash or be stopped.
pub const STEPS: [&str; 15] = [
    "turn",
    "listed",
    "asked",
    "decided",
    "committed",
    "claimed",
    "read",
    "marked",
    "sending",
    "sent",
    "answered",
    "verifying",
    "reading_back",
    "read_back",
    "closed",
];

/// Faults, in the order of the table, as rows of a Markdown table.
pub fn markdown() -> String {
    let mut text = String::from("| Group | Kind | What happens |\n|---|---|---|\n");
    for (_, group, name, what) in TABLE.iter().filter(|row| row.1 != Group::Story) {
        text += &format!("| {} | `{name}` | {what} |\n", format!("{group:?}").to_lowercase());
    }
    text
}
