//! Events of the simulator, which no production host runs, sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "sim.fault.refused",
        "A fault cannot be set, usually for a bad expression in its path; it never applies.",
        "Correct the fault.",
    ),
    EventDef::warn(
        "sim.scenario.fault_refused",
        "A fault in the scenario cannot be set; it never applies.",
        "Correct the scenario file.",
    ),
    EventDef::info("sim.scenario.started", "A scenario begins."),
    EventDef::error(
        "sim.schema.invalid",
        "The bundled schema of the analytics API cannot be read, so queries are not checked against it.",
        "Report the defect.",
    ),
    EventDef::info(
        "sim.webhook.sent",
        "A notification was delivered, or not; `outcome` says which.",
    ),
];
