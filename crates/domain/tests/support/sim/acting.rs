//! One step of an open intent, call by call and transaction by transaction, as `prefix-ops` takes
//! it; what it may do at each point is [`domain::intent`]'s to say.

use std::time::Duration;

use domain::bgp::BgpState;
use domain::ids::EvidenceId;
use domain::intent::{Act, BeforeMark, Entry, Gate, IntentState, before_mark, gives_up, is_too_late, may_begin, shows};
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;

use super::edge::Answer;
use super::fault::Kind;
use super::journal::{Reply, Tx};
use super::process::{Phase, Proc};
use super::stage::Stage;

/// What a live read answers: whose ids they are, and the state.
type Seen = Option<(Prefix, BgpState)>;

/// Where a step stands.
#[derive(Debug, Clone)]
pub enum Acting {
    Read {
        entry: Entry,
        asked_at: Timestamp,
        seen: Seen,
    },
    Mark {
        entry: Entry,
        asked_at: Timestamp,
        seen: BgpState,
    },
    Marked {
        entry: Entry,
        asked_at: Timestamp,
        evidence_at: Option<Timestamp>,
        evidence: Option<EvidenceId>,
    },
    Send {
        entry: Entry,
        begun: Timestamp,
        evidence: Option<EvidenceId>,
    },
    Answered {
        entry: Entry,
        answer: Answer,
        begun: Timestamp,
    },
    Verify {
        entry: Entry,
        class: &'static str,
    },
    ReadBack {
        entry: Entry,
    },
    Shown {
        entry: Entry,
        seen: Seen,
    },
    Again {
        entry: Entry,
        begun: Timestamp,
    },
    AgainAnswered {
        entry: Entry,
    },
}

impl Stage {
    /// Takes the next intent that is due, or goes back to the loop.
    pub fn next_step(&mut self, proc: &mut Proc) {
        let id = match proc.own {
            Some(id) => Some(id),
            None => proc.due.pop_front(),
        };
        let Some(id) = id else {
            return self.back_to_turns(proc);
        };
        let tx = Tx::Claim {
            id,
            me: proc.name.clone(),
            is_actor: proc.slot.is_some(),
        };
        let Some(Reply::Claimed(Some(entry))) = self.tx(tx) else {
            if proc.own.is_some() {
                if !self.journal.entry(id).is_some_and(|entry| entry.state.is_open()) {
                    proc.is_dead = true;
                }
                return self.back_to_turns(proc);
            }
            return self.rest_of_steps(proc);
        };
        self.reached(proc, "claimed");
        if proc.is_dead {
            return;
        }
        match entry.state {
            IntentState::Planned if entry.is_stale(&self.limits, self.now()) => {
                let tx = Tx::Refuse {
                    entry,
                    me: proc.name.clone(),
                    class: "expired".into(),
                };
                self.tx(tx);
                self.rest_of_steps(proc);
            }
            IntentState::Planned => {
                let (seen, wait) = self.live_read(&entry);
                let asked_at = self.now();
                self.then(proc, Acting::Read { entry, asked_at, seen }, wait);
            }
            IntentState::Sending => self.then(
                proc,
                Acting::Verify {
                    entry,
                    class: "recovered",
                },
                0,
            ),
            IntentState::Verifying => self.then(proc, Acting::ReadBack { entry }, 0),
            _ => self.rest_of_steps(proc),
        }
    }

    fn then(&mut self, proc: &mut Proc, next: Acting, wait: i64) {
        proc.phase = Phase::Acting(Box::new(next));
        proc.waits(self.t, wait);
    }

    fn rest_of_steps(&mut self, proc: &mut Proc) {
        if proc.own.is_some() {
            return self.back_to_turns(proc);
        }
        proc.phase = Phase::Steps;
        proc.waits(self.t, 0);
    }

    fn live_read(&mut self, entry: &Entry) -> (Seen, i64) {
        let index = self.index_of(entry.prefix);
        if self.edge.on(Kind::ReadTimeout, self.t).is_some() {
            return (None, 10);
        }
        let wait = self
            .edge
            .on(Kind::ReadSlow, self.t)
            .map_or_else(|| self.latency(), |item| item.n);
        let belongs_to = match self.edge.on_for(Kind::IdElsewhere, index, self.t) {
            Some(_) => crate::support::p("198.18.0.0/15"),
            None => entry.prefix,
        };
        (Some((belongs_to, self.edge.read(index, self.t))), wait)
    }

    /// Goes on with a step.
    pub fn act(&mut self, proc: &mut Proc, acting: Acting) {
        let me = proc.name.clone();
        let is_actor = proc.slot.is_some();
        match acting {
            Acting::Read { entry, asked_at, seen } => {
                self.reached(proc, "read");
                if !proc.is_dead {
                    self.judge_read(proc, entry, asked_at, seen);
                }
            }
            Acting::Mark { entry, asked_at, seen } => {
                let (as_actor, epoch) = (entry.automatic && is_actor, seen.epoch());
                let reply = self.tx(Tx::Mark {
                    claimed: entry.clone(),
                    me: me.clone(),
                    as_actor,
                    epoch,
                });
                let Some(Reply::Gate(gate, evidence)) = reply else {
                    return self.rest_of_steps(proc);
                };
                match gate {
                    Gate::Open { evidence_at } => {
                        self.marked(&entry, &seen, &proc.config.policy, evidence);
                        let marked = Entry {
                            epoch: entry.epoch.or(epoch),
                            sending_at: Some(self.now()),
                            state: IntentState::Sending,
                            ..entry
                        };
                        let wait = self.coin();
                        self.then(
                            proc,
                            Acting::Marked {
                                entry: marked,
                                asked_at,
                                evidence_at,
                                evidence,
                            },
                            wait,
                        );
                        self.reached(proc, "marked");
                        return;
                    }
                    Gate::Wait { .. } => {
                        let at = plus(self.now(), self.limits.read_back_every);
                        self.tx(Tx::Rest { id: entry.id, me, at });
                    }
                    Gate::Shut { .. } => {
                        self.tx(Tx::Cancel { id: entry.id, me });
                    }
                    Gate::Refused { class, .. } => {
                        self.tx(Tx::Refuse {
                            entry,
                            me,
                            class: class.into(),
                        });
                    }
                    Gate::Gone => {}
                }
                self.rest_of_steps(proc);
            }
            Acting::Marked {
                entry,
                asked_at,
                evidence_at,
                evidence,
            } => {
                let bump = entry.automatic.then(|| proc.since_bump(self.t));
                if !may_begin(asked_at, evidence_at, bump, &self.limits, self.now()) {
                    self.tx(Tx::Unmark { entry, me });
                    return self.rest_of_steps(proc);
                }
                let begun = self.now();
                self.then(proc, Acting::Send { entry, begun, evidence }, 0);
                self.reached(proc, "sending");
            }
            Acting::Send { entry, begun, evidence } => {
                let bump = entry.automatic.then(|| proc.since_bump(self.t));
                if is_too_late(begun, bump, &self.limits, self.now()) {
                    return self.then(
                        proc,
                        Acting::Verify {
                            entry,
                            class: "abandoned",
                        },
                        0,
                    );
                }
                self.sent(proc, &entry, evidence);
                let (answer, wait) = self
                    .edge
                    .call(self.index_of(entry.prefix), entry.act.wanted(), self.t, entry.id);
                self.then(proc, Acting::Answered { entry, answer, begun }, wait);
                self.reached(proc, "sent");
            }
            Acting::Answered { entry, answer, begun } => {
                self.reached(proc, "answered");
                if proc.is_dead {
                    return;
                }
                let bump = entry.automatic.then(|| proc.since_bump(self.t));
                let lost = answer == Answer::Lost || is_too_late(begun, bump, &self.limits, self.now());
                let tx = match answer {
                    _ if lost => {
                        return self.then(
                            proc,
                            Acting::Verify {
                                entry,
                                class: "answer_lost",
                            },
                            0,
                        );
                    }
                    Answer::RefusedForNow(told) => {
                        self.check.answered_no(entry.id);
                        let told = told.map(Duration::from_secs);
                        Tx::PutBack {
                            entry,
                            me,
                            class: "cool_down".into(),
                            told,
                            tell: true,
                        }
                    }
                    Answer::RefusedForGood => {
                        self.check.answered_no(entry.id);
                        Tx::Refuse {
                            entry,
                            me,
                            class: "forbidden".into(),
                        }
                    }
                    _ => {
                        return self.then(
                            proc,
                            Acting::Verify {
                                entry,
                                class: "accepted",
                            },
                            0,
                        );
                    }
                };
                self.tx(tx);
                self.rest_of_steps(proc);
            }
            Acting::Verify { entry, class } => {
                let tx = Tx::Verifying {
                    id: entry.id,
                    me,
                    class: class.into(),
                };
                if !matches!(self.tx(tx), Some(Reply::Done)) {
                    return self.rest_of_steps(proc);
                }
                let entry = Entry {
                    state: IntentState::Verifying,
                    ..entry
                };
                let wait = self.coin();
                self.then(proc, Acting::ReadBack { entry }, wait);
                self.reached(proc, "verifying");
            }
            Acting::ReadBack { entry } => {
                let (seen, wait) = self.live_read(&entry);
                self.then(proc, Acting::Shown { entry, seen }, wait);
                self.reached(proc, "reading_back");
            }
            Acting::Shown { entry, seen } => {
                self.reached(proc, "read_back");
                if !proc.is_dead {
                    self.judge_read_back(proc, entry, seen);
                }
            }
            Acting::Again { entry, begun } => {
                if !is_too_late(begun, None, &self.limits, self.now()) {
                    self.sent(proc, &entry, None);
                    let (_, wait) = self.edge.call(self.index_of(entry.prefix), true, self.t, entry.id);
                    return self.then(proc, Acting::AgainAnswered { entry }, wait);
                }
                self.then(proc, Acting::AgainAnswered { entry }, 0);
            }
            Acting::AgainAnswered { entry } => {
                self.tx(Tx::Asserted {
                    id: entry.id,
                    me,
                    class: "answered".into(),
                });
                self.rest_or_give_up(proc, entry);
            }
        }
    }

    fn judge_read(&mut self, proc: &mut Proc, entry: Entry, asked_at: Timestamp, seen: Seen) {
        let me = proc.name.clone();
        let Some((belongs_to, seen)) = seen else {
            let tell = !entry.automatic;
            self.tx(Tx::PutBack {
                entry,
                me,
                class: "timeout".into(),
                told: None,
                tell,
            });
            return self.rest_of_steps(proc);
        };
        if belongs_to == entry.prefix && seen.advertised == Some(entry.act.wanted()) {
            let tx = Tx::Close {
                entry: entry.clone(),
                me: me.clone(),
                seen: seen.clone(),
                already: true,
            };
            match self.tx(tx) {
                Some(Reply::Yes(false)) => {}
                _ => return self.rest_of_steps(proc),
            }
        }
        let mode = proc.slot.is_some().then_some(proc.config.policy.mode);
        match before_mark(&entry, belongs_to, &seen, mode) {
            BeforeMark::GoOn => {
                let wait = self.coin();
                return self.then(proc, Acting::Mark { entry, asked_at, seen }, wait);
            }
            BeforeMark::Refused(class, _) => {
                self.tx(Tx::Refuse {
                    entry,
                    me,
                    class: class.into(),
                });
            }
            BeforeMark::Cancelled(_) => {
                self.tx(Tx::Cancel { id: entry.id, me });
            }
        }
        self.rest_of_steps(proc);
    }

    fn judge_read_back(&mut self, proc: &mut Proc, entry: Entry, seen: Seen) {
        let me = proc.name.clone();
        if let Some((_, seen)) = seen.filter(|(belongs_to, _)| *belongs_to == entry.prefix) {
            if shows(&seen, &entry) {
                let tx = Tx::Close {
                    entry: entry.clone(),
                    me,
                    seen,
                    already: false,
                };
                match self.tx(tx) {
                    Some(Reply::Yes(false)) => return self.rest_or_give_up(proc, entry),
                    Some(Reply::Yes(true)) => {
                        proc.next_cycle = self.t;
                        self.reached(proc, "closed");
                    }
                    _ => {}
                }
                if !proc.is_dead {
                    self.rest_of_steps(proc);
                }
                return;
            }
            if seen.advertised == Some(false) && entry.act == Act::Advertise {
                let due = self.tx(Tx::AssertDue {
                    entry: entry.clone(),
                    me,
                });
                if matches!(due, Some(Reply::Yes(true))) {
                    let begun = self.now();
                    return self.then(proc, Acting::Again { entry, begun }, 0);
                }
            }
        }
        self.rest_or_give_up(proc, entry);
    }

    fn rest_or_give_up(&mut self, proc: &mut Proc, entry: Entry) {
        let me = proc.name.clone();
        if gives_up(&entry, &self.limits, self.now()) {
            self.tx(Tx::GiveUp { entry, me });
        } else {
            let at = plus(self.now(), self.limits.read_back_every);
            self.tx(Tx::Rest { id: entry.id, me, at });
        }
        self.rest_of_steps(proc);
    }

    /// The number of a prefix.
    pub fn index_of(&self, prefix: Prefix) -> usize {
        self.schedule
            .prefixes
            .iter()
            .position(|(known, _)| *known == prefix)
            .unwrap()
    }
}
