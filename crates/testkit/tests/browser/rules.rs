//! Rules, connectors and readiness in a browser: made, changed, moved, refused, taken back; two people; Cloudflare failing.

use cf_sim::{FaultKind, FaultSpec, Target};
use db::users::Role;

use crate::browser::Scenario;
use crate::seed;
use crate::stage::Seeded;

/// The fault that a script asks for by name.
fn fault(name: &str) -> FaultKind {
    match name {
        "timeout" => FaultKind::Hang,
        "403" => FaultKind::Status {
            status: 403,
            body: None,
        },
        "429" => FaultKind::RateLimited { retry_after: Some(1) },
        "500" => FaultKind::Status {
            status: 500,
            body: None,
        },
        "garbage" => FaultKind::Garbage,
        other => panic!("nobody knows the fault {other}"),
    }
}

/// Plays a script in which Cloudflare fails changing calls when asked to.
async fn play(name: &'static str) {
    let stage = Seeded::with(seed::Words::default(), "Example Networks").await;
    let (ana, otto) = (
        stage.session("ana", Role::Operator).await,
        stage.session("otto", Role::Operator).await,
    );
    let environment = [("TOKEN", ana.as_str()), ("SECOND", otto.as_str())];
    let Some(mut scenario) = Scenario::start(name, &stage.base(), &environment) else {
        return;
    };
    while let Some(asked) = scenario.asks().await {
        match asked.split_once(' ') {
            Some(("fault", kind)) => {
                for method in ["PUT", "PATCH", "POST", "DELETE"] {
                    let spec = FaultSpec::new(Target::Rest, fault(kind)).method(method);
                    stage.sim().set_fault(spec);
                }
            }
            _ if asked == "clear" => stage.sim().clear_faults(),
            _ => panic!("nobody offers {asked}"),
        }
        scenario.answer("done").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitoring_rules_and_connectors() {
    play("rules").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ddos_rules_and_overrides() {
    play("overrides").await;
}
