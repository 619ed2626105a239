//! The steps of the scenario: what must be seen on both sides before one counts as having happened, and what is shown
//! while it is waited for.

use domain::decision::Verdict;
use domain::duration::human;
use domain::intent::{Act, IntentState};
use domain::time::since;
use domain::units::grouped;

use super::scene::Scene;

/// One step.
#[derive(Debug)]
pub struct Step {
    /// What is going to happen.
    pub title: &'static str,
    /// What happened, once it has.
    pub seen: fn(&Scene) -> Option<String>,
    /// How it stands until then.
    pub meanwhile: fn(&Scene) -> String,
}

/// All of them in their order.
pub fn steps() -> Vec<Step> {
    vec![
        Step {
            title: "Ordinary traffic flows directly; then an attack begins",
            seen: attack_begins,
            meanwhile: |_| "no prefix is advertised".into(),
        },
        Step {
            title: "Cloudflare reports it; the report is on disk before it is acknowledged",
            seen: reported,
            meanwhile: |scene| format!("the attack is {}", scene.outside.phase),
        },
        Step {
            title: "People are told",
            seen: told,
            meanwhile: |scene| format!("{} messages are in the chat", scene.outside.messages.len()),
        },
        Step {
            title: "Cloudflare advertises the prefix and scrubs its traffic",
            seen: advertised,
            meanwhile: |_| "the advertisement is on its way".into(),
        },
        Step {
            title: "The automation sees the attack and holds the advertisement",
            seen: attack_seen,
            meanwhile: answer,
        },
        Step {
            title: "The attack ends",
            seen: attack_over,
            meanwhile: |scene| format!("the attack is {}; {}", scene.outside.phase, answer(scene)),
        },
        Step {
            title: "Calm begins to count, in the time of the data",
            seen: calm_begins,
            meanwhile: answer,
        },
        Step {
            title: "Calm is proven; the prefix is withdrawn",
            seen: withdrawn,
            meanwhile: answer,
        },
        Step {
            title: "The next reading shows it withdrawn, and everybody has been told",
            seen: told_and_read,
            meanwhile: |scene| {
                let waiting = scene
                    .inside
                    .notifications
                    .iter()
                    .filter(|notice| notice.state == "queued")
                    .count();
                format!("{waiting} messages wait for their turn")
            },
        },
    ]
}

fn attack_begins(scene: &Scene) -> Option<String> {
    (!scene.outside.phase.is_empty() && scene.outside.phase != "waiting").then(|| "a UDP flood on 203.0.113.10".into())
}

fn reported(scene: &Scene) -> Option<String> {
    let start = scene.inside.events_of("START").last()?;
    let kind = start.alert_type.as_deref().unwrap_or("an alert");
    Some(format!("event #{} is stored: {kind}", start.id))
}

fn told(scene: &Scene) -> Option<String> {
    let alerts = scene
        .inside
        .notifications
        .iter()
        .filter(|notice| notice.kind == "alert");
    let id = alerts.filter_map(|notice| notice.message_id).min()?;
    let text = scene.outside.messages.get(&id)?;
    // The first line names the operator, the next ones say what happened.
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .skip(1)
        .take(3)
        .collect();
    Some(format!("message {id}: {}", lines.join(" | ")))
}

fn advertised(scene: &Scene) -> Option<String> {
    let event = scene.inside.events_of("ADVERTISE").last()?;
    scene
        .outside
        .advertised
        .then(|| format!("event #{}: protected by Cloudflare", event.id))
}

fn attack_seen(scene: &Scene) -> Option<String> {
    let now = scene.inside.now.as_ref()?;
    if now.decision.verdict != Verdict::Attack {
        return None;
    }
    let peak = now.decision.state.peak?;
    Some(format!("dropped {} and {}", peak.packet_rate, peak.bit_rate))
}

fn attack_over(scene: &Scene) -> Option<String> {
    let ends = scene.inside.events_of("END").count();
    let sent = scene
        .outside
        .acknowledged
        .iter()
        .filter(|(event, _)| event.contains("END"))
        .count();
    (scene.outside.phase == "ended" && ends > 0 && ends == sent).then(|| format!("{ends} END alerts are stored"))
}

fn calm_begins(scene: &Scene) -> Option<String> {
    let now = scene.inside.now.as_ref()?;
    match now.decision.verdict {
        Verdict::Calm { since, .. } => Some(format!(
            "calm since {}; {} of it must be proven",
            domain::time::for_people_seconds(since),
            human(now.decision.calm_period)
        )),
        // A slow look may miss it.
        Verdict::Blocked { .. } | Verdict::Withdraw | Verdict::Direct => Some("calm is proven already".into()),
        _ => None,
    }
}

fn withdrawn(scene: &Scene) -> Option<String> {
    let row = scene.inside.history.first()?;
    let mut done = scene
        .inside
        .intents
        .iter()
        .filter(|of| of.act == Act::Withdraw && of.state == IntentState::Done);
    let intent = done.next()?;
    let calm = intent
        .calm_s
        .and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or_default();
    let peak = intent
        .peak
        .map(|peak| format!("; at its peak {} packets were dropped", grouped(peak.packets.0)));
    (!scene.outside.advertised).then(|| {
        let protected = row
            .protection_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let protected = protected.map(|seconds| format!(" after {} of protection", text(seconds)));
        let (protected, peak) = (protected.unwrap_or_default(), peak.unwrap_or_default());
        format!("withdrawn{protected}, calm for {}, read back{peak}", text(calm))
    })
}

fn text(seconds: u64) -> String {
    human(std::time::Duration::from_secs(seconds))
}

fn told_and_read(scene: &Scene) -> Option<String> {
    let now = scene.inside.now.as_ref()?;
    let direct = now.decision.verdict == Verdict::Direct;
    (direct && scene.inside.all_told()).then(|| format!("{} messages in the chat", scene.outside.messages.len()))
}

/// The automation's answer in one line, with how much calm is proven.
fn answer(scene: &Scene) -> String {
    let Some(now) = &scene.inside.now else {
        return "the automation has not answered yet".into();
    };
    let track = now.decision.state.calm.as_ref();
    match (&now.decision.verdict, track) {
        (Verdict::Calm { .. }, Some(track)) => {
            let proven = since(track.verified_until, track.calm_since).min(now.decision.calm_period);
            format!(
                "calm proven for {} of {}",
                human(proven),
                human(now.decision.calm_period)
            )
        }
        _ => format!(
            "{}, because {}",
            now.decision.next.action(),
            now.decision.next.because()
        ),
    }
}
