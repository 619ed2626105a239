//! Pages over a database that shows every state: how they look in all sizes and themes, and what foreign text can do.

use db::users::Role;

use crate::browser::Scenario;
use crate::seed;
use crate::stage::Seeded;

/// Markup that would run, break out of an attribute, or hide text.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script><svg onload=alert(3)>{{7*7}}\u{202E}javascript:alert(4)</td></article>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_in_every_size_and_theme() {
    let stage = Seeded::with(seed::Words::default(), "Example Networks").await;
    let token = stage.session("ana", Role::Admin).await;
    let incident = seed::INCIDENT.to_string();
    let environment = [("TOKEN", token.as_str()), ("INCIDENT", &incident)];
    if let Some(scenario) = Scenario::start("looks", &stage.base(), &environment) {
        scenario.through().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn script_in_every_outside_text_stays_text() {
    let stage = Seeded::with(seed::Words::all(HOSTILE), HOSTILE).await;
    let token = stage.session("ana", Role::Admin).await;
    let incident = seed::INCIDENT.to_string();
    let environment = [("TOKEN", token.as_str()), ("INCIDENT", &incident), ("HOSTILE", HOSTILE)];
    if let Some(scenario) = Scenario::start("hostile", &stage.base(), &environment) {
        scenario.through().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zone_colours_paper_and_what_the_first_load_takes() {
    let stage = Seeded::with(seed::Words::default(), "Example Networks").await;
    let token = stage.session("ana", Role::Viewer).await;
    let incident = seed::INCIDENT.to_string();
    let environment = [("TOKEN", token.as_str()), ("INCIDENT", &incident)];
    if let Some(scenario) = Scenario::start("choices", &stage.base(), &environment) {
        scenario.through().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_scripts_and_on_a_narrow_phone() {
    let stage = Seeded::with(seed::Words::default(), "Example Networks").await;
    let token = stage.session("ana", Role::Operator).await;
    let environment = [("TOKEN", token.as_str()), ("CALM", seed::CALM)];
    if let Some(scenario) = Scenario::start("plain", &stage.base(), &environment) {
        scenario.through().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_can_be_reached_with_the_keyboard() {
    let stage = Seeded::with(seed::Words::default(), "Example Networks").await;
    let token = stage.session("ana", Role::Operator).await;
    if let Some(scenario) = Scenario::start("keyboard", &stage.base(), &[("TOKEN", &token)]) {
        scenario.through().await;
    }
}
