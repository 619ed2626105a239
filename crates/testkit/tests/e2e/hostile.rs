//! Hostile names from the receiver to the chat: markup, right-to-left text, emoji, ten thousand characters. Everything is
//! delivered with its markup whole, readable, and links lead only where they may.

use cf_sim::{Outcome, SentMessage};
use serde_json::{Value, json};
use testkit::{Pace, Program, Site};

use crate::slice::end;
use crate::telling::{account_for, names, reference};

const MARKUP: &str = "udp_flood*[x](y)<b>&";
const EMOJI: &str = "🔥 👨\u{200D}👩\u{200D}👧 ❤\u{FE0F} flood";

/// Right to left, with an override that would turn round what follows it.
const RIGHT_TO_LEFT: &str = "מתקפה \u{202E}gnp.exe\u{202C} 203.0.113.9";

/// A host that nothing may link to.
const EVIL: &str = "evil.example";

/// Hosts that a link may lead to.
const ALLOWED: [&str; 2] = ["https://dash.cloudflare.com/", "https://www.cloudflarestatus.com/"];

fn long_text() -> String {
    let line = format!(
        "<a href=\"https://{EVIL}/a\">status</a> [page](https://{EVIL}/b) https://{EVIL}/c javascript:alert(1) \u{202E}{MARKUP} \
         </code></b>&lt;i&gt;\r\n"
    );
    line.chars().cycle().take(10_000).collect()
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Begin and end of an entity in UTF-16 units.
fn span(entity: &Value) -> (usize, usize) {
    let number = |name: &str| usize::try_from(entity[name].as_u64().expect("a number")).unwrap();
    (number("offset"), number("offset") + number("length"))
}

/// What must hold for every message, whatever is in it.
fn is_harmless(message: &SentMessage) {
    let text = &message.text;
    assert_eq!(
        message.parse_mode.as_deref(),
        Some("HTML"),
        "its markup was taken: {text}"
    );
    assert!(utf16(text) <= 4_096, "{} units", utf16(text));
    for entity in &message.entities {
        let kind = entity["type"].as_str().unwrap_or_default();
        assert!(matches!(kind, "bold" | "code" | "text_link"), "{kind}: {text}");
        if kind == "text_link" {
            let url = entity["url"].as_str().unwrap_or_default();
            assert!(ALLOWED.iter().any(|start| url.starts_with(start)), "a link to {url}");
        }
    }
    // Clients make addresses clickable wherever they stand, except in code.
    for (at, _) in text.match_indices(EVIL) {
        let unit = utf16(&text[..at]);
        let in_code = message.entities.iter().any(|entity| {
            let (from, to) = span(entity);
            entity["type"] == "code" && from <= unit && unit < to
        });
        assert!(in_code, "an address outside of code: {text}");
    }
    for line in text.lines() {
        let mut open = 0;
        for c in line.chars() {
            match c {
                '\u{2068}' => open += 1,
                '\u{2069}' => open -= 1,
                '\u{202A}'..='\u{202E}' | '\u{2066}' | '\u{2067}' => panic!("{c:?} turns text round: {line}"),
                c => assert!(!c.is_control(), "{c:?} in {line}"),
            }
            assert!((0..=1).contains(&open), "isolates are not paired: {line}");
        }
        assert_eq!(open, 0, "an isolate goes on after its line: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_arrive_whole_and_harmless() {
    let site = Site::new(Pace::fast()).await;
    let mut services = vec![site.start(Program::Webhook).await];
    let attack = |id: &str, vector: &str| {
        json!({
            "attack_id": id, "attack_vector": vector, "rule_name": vector, "rule_description": vector, "account_name": vector,
            "dashboard_link": format!("https://dash.cloudflare.com@{EVIL}/"),
        })
    };
    let alerts: [(&str, Value, Vec<&str>); 6] = [
        ("l4_start", attack("a1", MARKUP), vec![MARKUP]),
        (
            "l4_start",
            attack("a2", RIGHT_TO_LEFT),
            vec!["מתקפה gnp.exe 203.0.113.9"],
        ),
        ("l4_start", attack("a3", EMOJI), vec![EMOJI]),
        (
            "incident",
            json!({"incident_name": MARKUP, "message": long_text(), "incident_id": "p4x2k"}),
            vec![MARKUP, "javascript:alert(1)"],
        ),
        (
            "bgp_hijack",
            json!({"alert_title": MARKUP, "additional_info": long_text(), "hijack_as": "<b>64511</b>"}),
            vec!["<b>64511</b>"],
        ),
        (
            "maintenance",
            json!({"airport_code": MARKUP, "maintenance_id": RIGHT_TO_LEFT, "event_type": EMOJI}),
            vec![MARKUP],
        ),
    ];
    let mut wanted = Vec::new();
    for (template, data, words) in alerts {
        let body = site.sim.alert(template, Some(&data), None).expect("a template");
        assert!(site.sim.send_webhook(&body).await.delivered(), "{template}");
        wanted.push(words);
    }
    // Authenticated, and no JSON: refused, but stored and told.
    let raw = format!("<script>{MARKUP}</script> https://{EVIL}/ \u{202E}");
    assert_eq!(site.sim.send_raw_webhook(&raw).await.outcome, Outcome::Answered(400));
    site.until("all of them are there", testkit::site::SENT_WITHIN, |record| {
        record.deliveries == 7
    })
    .await;
    let record = site.until_told().await;

    let messages = site.sim.messages();
    messages.iter().for_each(is_harmless);
    let refused = site.sim.requests_since(0);
    let refused = refused
        .iter()
        .filter(|request| request.surface == "telegram" && request.status != Some(200));
    assert_eq!(refused.count(), 0, "nothing was refused");
    // A long message has several parts, of which the first is recorded; each names its number.
    let alerts: Vec<_> = record.messages_of("alert").collect();
    assert_eq!(alerts.len(), wanted.len(), "{}", record.shown());
    for (row, words) in alerts.iter().zip(&wanted) {
        let parts: Vec<&str> = messages
            .iter()
            .filter(|message| names(&message.text, &reference(row)))
            .map(|message| message.text.as_str())
            .collect();
        let text = parts.join("\n");
        for word in words {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
    let unreadable = record.messages_of("unreadable_alert").next().expect("it is told too");
    let told = messages
        .iter()
        .find(|message| Some(message.message_id) == unreadable.message_id);
    assert!(told.is_some_and(|message| message.text.contains("<script>udp_flood*[x](y)<b>&</script>")));
    for part in account_for(&site, &record) {
        assert!(
            alerts.iter().any(|row| names(&part.text, &reference(row))),
            "{}",
            part.text
        );
    }
    end(&site, &mut services).await;
}
