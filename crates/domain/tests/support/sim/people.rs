//! What happens at an instant: people, Cloudflare, alerts, starts and ends of processes.

use domain::alert::OpenAlert;
use domain::intent::Act;
use domain::time::{minus, plus};

use super::fault::Kind;
use super::journal::{Reply, Tx};
use super::process::Proc;
use super::schedule::clock;
use super::stage::Stage;
use crate::support::dur;

/// How long a command waits for what it asked for.
const COMMAND_WAITS_S: i64 = 120;

impl Stage {
    /// An item of the schedule begins, or ends.
    pub fn happen(&mut self, index: usize, is_end: bool) {
        let item = self.schedule.items[index];
        let prefix = self.schedule.prefixes[item.prefix].0;
        if self.transcript.is_some() && item.kind != Kind::Crash && item.kind != Kind::Stop {
            let what = if is_end { "is over" } else { "" };
            self.line(format!("~ {} {prefix} {what}", item.kind.name()).trim_end());
        }
        let now = self.now();
        match item.kind {
            Kind::Hold | Kind::Pause | Kind::HoldUntil => {
                let held = (item.kind != Kind::Pause).then_some(prefix);
                if is_end {
                    self.store(&Tx::Release { prefix: held });
                    self.check.released(held, now);
                } else {
                    let until = (item.kind == Kind::HoldUntil).then(|| plus(now, dur(item.n)));
                    if let Reply::Hold(id) = self.store(&Tx::Hold { prefix: held, until }) {
                        self.check.held(id, held, until);
                    }
                }
            }
            Kind::Advertise | Kind::Withdraw | Kind::Force => {
                let act = if item.kind == Kind::Advertise {
                    Act::Advertise
                } else {
                    Act::Withdraw
                };
                self.ask(item.prefix, act, item.kind == Kind::Force, item.n == 0);
            }
            Kind::ForeignWithdraw => self.edge.change(item.prefix, false, self.t, None),
            Kind::ForeignAdvertise => self.edge.change(item.prefix, true, self.t, None),
            Kind::ForeignRenewal => {
                if self.edge.now(item.prefix).advertised {
                    self.edge.renew(item.prefix, true, self.t, None);
                }
            }
            Kind::AlertOpen | Kind::AlertUnresolved | Kind::AlertWithoutEnd | Kind::AlertOldTs => {
                let unresolved = item.kind == Kind::AlertUnresolved;
                let since = if item.kind == Kind::AlertOldTs {
                    minus(now, dur(item.n))
                } else {
                    now
                };
                let alert = OpenAlert {
                    event: index as i64 + 1,
                    kind: "dos_attack_l4".into(),
                    since,
                    prefixes: if unresolved { vec![] } else { vec![prefix] },
                    unresolved,
                };
                let ended_at = is_end.then_some(now);
                self.check.alerted(&alert, ended_at);
                self.store(&Tx::Alert { alert, ended_at });
            }
            Kind::Restart
            | Kind::ConfigMode
            | Kind::ConfigPaused
            | Kind::ConfigCalm
            | Kind::ConfigThresholds
            | Kind::ConfigUnlisted => {
                let slots: Vec<usize> = self.procs.iter().filter_map(|proc| proc.slot).collect();
                for slot in slots {
                    self.end(slot);
                    self.starts.push((self.t + 2, slot));
                }
            }
            Kind::SecondDaemon => {
                if is_end {
                    self.end(1);
                    self.starts.retain(|start| start.1 != 1);
                } else {
                    self.starts.push((self.t, 1));
                }
            }
            _ => {}
        }
    }

    /// An orderly end: the lease is given back.
    fn end(&mut self, slot: usize) {
        let Some(index) = self.procs.iter().position(|proc| proc.slot == Some(slot)) else {
            return;
        };
        let proc = self.procs.remove(index);
        self.tx(Tx::Free { me: proc.name });
    }

    /// A person asks for something, on the command line (which carries it out) or on the dashboard
    /// (which leaves it to the daemon).
    fn ask(&mut self, prefix: usize, act: Act, force: bool, own_hands: bool) {
        if self.edge.on(Kind::DatabaseRefuses, self.t).is_some() {
            return;
        }
        let net = self.schedule.prefixes[prefix].0;
        let Reply::Filed(Some(id)) = self.store(&Tx::File {
            prefix: net,
            act,
            force,
        }) else {
            return;
        };
        self.check.asked(self.t, id, prefix, act);
        if own_hands {
            let config = self.config(self.t);
            let mut proc = Proc::new(
                format!("command {}", clock(self.t)),
                None,
                config,
                self.schedule.prefixes.len(),
                self.t,
            );
            proc.own = Some(id);
            proc.leaves_at = self.t + COMMAND_WAITS_S;
            self.procs.push(proc);
        }
    }
}
