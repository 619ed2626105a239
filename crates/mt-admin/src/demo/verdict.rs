//! The verdict: what the simulated Cloudflare and Telegram counted against what the database counted.

use domain::intent::{Act, IntentState};

use super::scene::Scene;

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was counted.
    pub what: &'static str,
    /// What it must be, when the story itself says so.
    pub wanted: Option<String>,
    /// By the simulator.
    pub outside: String,
    /// By the database.
    pub inside: String,
}

impl Line {
    fn new(what: &'static str, outside: impl ToString, inside: impl ToString) -> Self {
        Self {
            what,
            wanted: None,
            outside: outside.to_string(),
            inside: inside.to_string(),
        }
    }

    fn wanted(mut self, wanted: impl ToString) -> Self {
        self.wanted = Some(wanted.to_string());
        self
    }

    /// Both sides agree, with each other and with the story.
    pub fn holds(&self) -> bool {
        self.outside == self.inside && self.wanted.as_ref().is_none_or(|wanted| *wanted == self.inside)
    }
}

/// Compares both sides at the end of the story.
pub fn compare(scene: &Scene) -> Vec<Line> {
    let (outside, inside) = (&scene.outside, &scene.inside);
    let alerts = |word: &str| {
        outside
            .acknowledged
            .iter()
            .filter(|(event, _)| event.contains(word))
            .count()
    };
    let auto_advertised = outside
        .acknowledged
        .iter()
        .filter(|(_, kind)| kind == "fbm_auto_advertisement")
        .count();
    let accepted = outside
        .withdrawals_asked
        .iter()
        .filter(|status| status.is_some_and(|s| (200..300).contains(&s)))
        .count();
    let done = |intent: &&db::intents::Intent| intent.act == Act::Withdraw && intent.state == IntentState::Done;
    let state = |advertised: bool| if advertised { "advertised" } else { "withdrawn" };
    let seen = inside.now.as_ref().and_then(|now| now.bgp.as_ref()?.advertised);
    let waiting = inside
        .notifications
        .iter()
        .filter(|notice| !matches!(notice.state.as_str(), "sent" | "suppressed"));
    let open = inside.intents.iter().filter(|intent| intent.state.is_open()).count();
    // Each is counted where the others cannot have influenced it.
    let told = inside.messages();
    let both = outside.messages.keys().filter(|id| told.contains(id)).count();
    vec![
        Line::new(
            "notifications acknowledged, stored",
            outside.acknowledged.len(),
            inside.deliveries,
        ),
        Line::new("notifications lost", outside.unacknowledged, 0),
        Line::new(
            "attacks reported (START)",
            alerts("START"),
            inside.events_of("START").count(),
        ),
        Line::new("attacks over (END)", alerts("END"), inside.events_of("END").count()),
        Line::new(
            "advertised by Cloudflare",
            auto_advertised,
            inside.events_of("ADVERTISE").count(),
        )
        .wanted(1),
        Line::new("changes of the advertisement", outside.changes, 2),
        Line::new(
            "withdrawals asked, intended",
            outside.withdrawals_asked.len(),
            inside.intents.iter().filter(done).count(),
        )
        .wanted(1),
        Line::new(
            "withdrawals accepted, logged",
            accepted,
            inside.events_of("WITHDRAW").count(),
        )
        .wanted(1),
        Line::new("withdrawals accepted, recorded", accepted, inside.history.len()).wanted(1),
        Line::new(
            "the prefix now",
            state(outside.advertised),
            seen.map_or("unknown", state),
        )
        .wanted("withdrawn"),
        Line::new(
            "messages in the chat, recorded as sent",
            outside.messages.len(),
            told.len(),
        ),
        Line::new("of these the same on both sides", outside.messages.len(), both),
        Line::new("left undone (intents, messages)", 0, open + waiting.count()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_only_when_both_sides_and_the_story_agree() {
        assert!(Line::new("x", 3, 3).holds());
        assert!(!Line::new("x", 3, 2).holds());
        assert!(Line::new("x", 1, 1).wanted(1).holds());
        assert!(
            !Line::new("x", 0, 0).wanted(1).holds(),
            "nothing happened on either side"
        );
    }

    #[test]
    fn a_scene_in_which_nothing_happened_is_no_success() {
        let lines = compare(&Scene::default());
        assert!(lines.iter().any(|line| !line.holds()));
        let failing: Vec<&str> = lines
            .iter()
            .filter(|line| !line.holds())
            .map(|line| line.what)
            .collect();
        assert!(failing.contains(&"withdrawals accepted, recorded"), "{failing:?}");
    }

    #[test]
    fn a_message_that_is_missing_in_the_chat_is_found() {
        let mut scene = Scene::default();
        scene.outside.messages = [(1, String::new()), (2, String::new())].into();
        let line = |scene: &Scene, what: &str| compare(scene).into_iter().find(|line| line.what == what).unwrap();
        assert!(!line(&scene, "of these the same on both sides").holds());
        assert!(!line(&scene, "messages in the chat, recorded as sent").holds());
        scene.outside.messages.clear();
        assert!(line(&scene, "of these the same on both sides").holds());
    }
}
