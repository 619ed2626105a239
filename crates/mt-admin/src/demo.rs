//! `cloudflare-mt demo`: the narrator of `scripts/demo`.
//!
//! It starts the bundled scenario on a running simulator, tells each step when simulator *and* database show it, and ends
//! with a verdict: what was sent, recorded and withdrawn, counted on both sides and compared. It changes nothing itself
//! and works on a simulator only.
//!
//! | Module | Holds |
//! |---|---|
//! | [`scene`] | one look at both sides |
//! | [`simulator`] | the simulator's control API, as far as it is asked |
//! | [`story`] | the steps, each with what must be seen |
//! | [`verdict`] | the comparison |
//! | [`telling`] | lines and progress on the screen |

pub mod scene;
pub mod simulator;
pub mod story;
pub mod telling;
pub mod verdict;

use std::time::Duration;

use anyhow::Context as _;
use cf_api::{Transport, TransportConfig};
use daemon::exit;
use db::{Db, OpenOptions};
use domain::prefix::Prefix;
use settings::Settings;
use tokio::time::Instant;

use scene::Scene;
use simulator::Simulator;
use story::Step;
use telling::Telling;

/// The scenario of the simulator, and the prefix it is about.
const SCENARIO: &str = "demo";
const PREFIX: &str = "203.0.113.0/24";

/// Longest part of the scenario before calm can begin: the attack with its END alerts, in the scenario's own time.
const ATTACK_OVER: Duration = Duration::from_secs(15 * 60);

/// Room for a busy machine, and for messages that keep to Telegram's limits.
const ROOM: Duration = Duration::from_secs(60);

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What `demo` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Address of the running simulator
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8090",
        env = "CLOUDFLARE_SIM_URL"
    )]
    simulator: String,
}

/// Runs the scenario and tells it. The exit code is 0 when both sides agree in the end.
///
/// # Errors
/// When the simulator, the services or the database cannot be reached.
pub async fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<u8> {
    let transport = Transport::new(TransportConfig::default());
    let client = transport.client().context("no HTTP client")?.clone();
    let simulator = Simulator::new(client, &arguments.simulator);
    let prefix: Prefix = PREFIX.parse()?;
    let mut telling = Telling::new();

    telling.heading("A simulated Cloudflare, four services, one database file");
    simulator.until_there().await?;
    for (name, address) in simulator.until_services_live(&settings).await? {
        telling.fact(name, &format!("http://{address}"));
    }
    telling.fact("database", &settings.database.path.display().to_string());
    let path = settings.database.path.clone();
    let db = tokio::task::spawn_blocking(move || Db::open(path, OpenOptions::read_only())).await??;
    for line in telling::login(&settings) {
        telling.highlight(&line);
    }
    let factor = simulator.start(SCENARIO).await?;
    telling.heading(&format!("The scenario, {factor} times faster than life"));

    let automation = &settings.autowithdraw;
    let calm_after = automation.attack_lookback + automation.calm_period + automation.settle + automation.propagation;
    let deadline = Instant::now() + ATTACK_OVER.div_f64(factor) + calm_after + ROOM;
    let steps = story::steps();
    let count = steps.len();
    for (number, step) in steps.into_iter().enumerate() {
        telling.step(number + 1, count, step.title);
        let found = wait_for(&step, &simulator, &db, prefix, deadline, &mut telling).await?;
        match found {
            Some(words) => telling.done(&words),
            None => {
                telling.failed(&format!("not seen within the time it may take: {}", step.title));
                return Ok(exit::FAILURE);
            }
        }
    }

    let scene = Scene::look(&simulator, &db, prefix).await?;
    let lines = verdict::compare(&scene);
    telling.verdict(&lines);
    Ok(if lines.iter().all(verdict::Line::holds) {
        exit::DONE
    } else {
        exit::FAILURE
    })
}

/// Looks until the step has happened; `None` when its time is over.
async fn wait_for(
    step: &Step,
    simulator: &Simulator,
    db: &Db,
    prefix: Prefix,
    deadline: Instant,
    telling: &mut Telling,
) -> anyhow::Result<Option<String>> {
    loop {
        let scene = Scene::look(simulator, db, prefix).await?;
        if let Some(words) = (step.seen)(&scene) {
            return Ok(Some(words));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        telling.progress(&(step.meanwhile)(&scene));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
