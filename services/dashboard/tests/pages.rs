//! What the pages show: every state in its words, what is old as unknown, and foreign text as text.

use crate::support::{Plan, Site, seed};
use db::users::{self, Role};
use db::{DbError, WriteTx, heartbeats, inventory};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::Value;

/// The card of one prefix.
fn card<'a>(page: &'a str, prefix: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("data-key=\"{prefix}\""))
        .unwrap_or_else(|| panic!("no {prefix}\n{page}"));
    rest.split("</article>").next().unwrap()
}

/// Text without tags, runs of white space as one space.
fn text(html: &str) -> String {
    let mut plain = String::new();
    for part in html.split('<') {
        plain.push(' ');
        plain.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The status line.
fn status(page: &str) -> String {
    let (_, rest) = page.split_once("<dl class=\"status\"").expect("a status line");
    text(rest.split_once('>').unwrap().1.split("</dl>").next().unwrap())
}

#[tokio::test]
async fn the_main_page_says_every_state_in_its_words() {
    let site = Site::seeded().await;
    let page = site.member("ana", Role::Operator).await.html("/").await;
    let table = [
        (seed::ATTACKED, "under attack", "4.1 Gbps / 610 kpps dropped"),
        (
            seed::CALM,
            "calm, withdrawing at 03:35 UTC",
            "8:11 until the withdrawal, not before 03:35 UTC",
        ),
        (
            seed::HELD,
            "held by ana until 07:27 UTC",
            "Next nothing before 07:27 UTC, when the hold ends, unless it is released.",
        ),
        (seed::UNKNOWN, "unknown since 12 min", "the newest row is 19 min old"),
        (
            seed::PROPAGATING,
            "propagating, advertised",
            "4:50 until the announcement has spread, about 03:31 UTC",
        ),
        (
            seed::PROTECTED,
            "protected",
            "the direct route is not proven: the last good check is 14 min old",
        ),
        (seed::DIRECT, "direct", "withdrawn for 9 d 0 h"),
        (seed::NOT_MANAGED, "not managed", "advertised for 40 d 0 h"),
        (seed::EXPOSED, "direct", "alert open, not advertised"),
        (
            seed::UNREADABLE,
            "unknown since 26 min",
            "HTTP 503 from api.cloudflare.com; last known: advertised, 26 min ago",
        ),
    ];
    for (prefix, badge, sentence) in table {
        let shown = text(card(&page, prefix));
        assert!(
            shown.contains(&format!("{badge} {}", if prefix.is_empty() { "" } else { prefix })),
            "{prefix}: {shown}"
        );
        assert!(shown.contains(sentence), "{prefix}: {shown}");
    }
    let line = status(&page);
    assert!(line.starts_with("Protected 7 of 10 Under attack 1+ Exposed 1 Unknown 2 Automation acting Messages no chat Data 41 s old Live no UTC 03:27"), "{line}");
    assert!(
        page.contains("<title>(1) UNDER ATTACK · Example Networks</title>"),
        "the tab shows the worst"
    );
    assert!(page.contains("/icons/attack.svg"));
    let now = text(
        page.split("aria-labelledby=\"now-title\"")
            .nth(1)
            .unwrap()
            .split("</section>")
            .next()
            .unwrap(),
    );
    assert!(
        now.contains("UDP flood on 203.0.113.0/24 peak 4.1 Gbps / 610 kpps since 03:11 Open incident 4"),
        "{now}"
    );
    assert!(now.contains("TCP reset flood on 2001:db8:50::/48"), "{now}");
    assert!(
        page.find(seed::EXPOSED).unwrap() < page.find(seed::DIRECT).unwrap(),
        "what needs a person comes first"
    );
}

#[tokio::test]
async fn what_grows_old_becomes_unknown_and_the_clock_stops() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    assert!(card(&browser.html("/").await, seed::CALM).contains("data-deadline="));

    // One beat is missing for more than a minute.
    site.pass(55);
    let page = browser.html("/").await;
    let shown = text(card(&page, seed::CALM));
    assert!(shown.contains("calm, clock stopped"), "{shown}");
    assert!(
        shown.contains("The clock is stopped: cloudflare-autowithdraw was last seen 1 min ago."),
        "{shown}"
    );
    assert!(!card(&page, seed::CALM).contains("data-deadline="), "nothing ticks");
    assert!(status(&page).contains("Automation late"), "{}", status(&page));

    // Nobody has looked for more than three minutes: nothing is known, nothing is calm, nothing is zero.
    site.pass(240);
    let page = browser.html("/").await;
    for prefix in [seed::CALM, seed::ATTACKED, seed::PROTECTED, seed::DIRECT] {
        let shown = text(card(&page, prefix));
        assert!(shown.contains("unknown since 5 min"), "{prefix}: {shown}");
    }
    let line = status(&page);
    assert!(
        line.contains("Protected ? of 10") && line.contains("Under attack ?") && line.contains("Unknown 10"),
        "{line}"
    );
    assert!(line.contains("Automation silent"), "{line}");
    assert!(page.contains("data-live=\"now\""));
    let overview = browser.json("/api/overview").await;
    assert_eq!(overview["status"]["worst"], "attack", "an alert is still open");
    assert!(
        overview["prefixes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|view| view["advertised"] == Value::Null)
    );

    // The automation is back.
    let now = site.now();
    site.write(move |tx| {
        let mut beat = heartbeats::of(tx, "cloudflare-autowithdraw")?.expect("a beat");
        beat.beat_at = now;
        heartbeats::beat(tx, &beat).map(|_| ())
    })
    .await;
    site.pass(2);
    assert!(
        status(&browser.html("/").await).contains("Automation stuck"),
        "it lives and judges nothing"
    );
}

#[tokio::test]
async fn an_empty_database_claims_nothing() {
    let site = Plan::new().start().await;
    let browser = site.member("ana", Role::Viewer).await;
    let page = browser.html("/").await;
    let line = status(&page);
    assert!(
        line.starts_with("Protected 0 of 0 Under attack ? Automation never seen Messages no chat Data none"),
        "{line}"
    );
    assert!(page.contains("No prefix is known yet"), "{page}");
    assert!(!page.contains("No attack is known."));
    assert!(browser.html("/incidents").await.contains("No incident is recorded."));
}

/// The cards of a page: id, and what is in them.
fn cards(page: &str) -> Vec<(&str, &str)> {
    let sections = page.split("<section ").skip(1);
    let with_ids = sections.filter_map(|section| Some((section.split_once("id=\"")?.1.split_once('"')?.0, section)));
    with_ids
        .map(|(id, section)| (id, section.split("</section>").next().unwrap()))
        .filter(|(id, section)| *id == "prefixes" || section.split('>').next().unwrap().contains("class=\"card"))
        .collect()
}

#[tokio::test]
async fn every_card_says_how_old_it_is_or_that_it_knows_nothing() {
    let seeded = Site::seeded().await;
    let blank = Plan::new().start().await;
    let moving = |card: &str| card.contains(" data-age>");
    for (site, what) in [(&seeded, "seeded"), (&blank, "blank")] {
        let page = site.member("ana", Role::Operator).await.html("/").await;
        let found = cards(&page);
        let ids: Vec<&str> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(
            ids,
            [
                "prefixes",
                "traffic",
                "flow",
                "top",
                "automation",
                "recent",
                "log",
                "measured",
                "services",
                "messages",
                "rules",
                "tunnels",
                "freshness"
            ]
        );
        for (id, card) in found {
            let nothing = ["never", "none yet", "unknown", "no minute was read yet"];
            let says_so = nothing.iter().any(|words| text(card).contains(words));
            // No tunnel was ever reported in the seeded night.
            if what == "blank" || id == "tunnels" {
                assert!(moving(card) || says_so, "{id}: {}", text(card));
            } else {
                assert!(moving(card), "{id}: {}", text(card));
            }
        }
    }
    let page = seeded.member("otto", Role::Operator).await.html("/").await;
    let of = |id: &str| text(cards(&page).into_iter().find(|(found, _)| *found == id).unwrap().1);
    assert!(
        of("top").contains("newest row 10 min ago drops read until 03:21 , 6 min ago"),
        "{}",
        of("top")
    );
    assert!(of("measured").contains("newest row"), "{}", of("measured"));
}

#[tokio::test]
async fn the_log_shows_what_fits_and_all_when_asked() {
    let site = Site::seeded().await;
    let now = site.now();
    site.write(move |tx| {
        for number in 0..70 {
            let event = db::events::NewEvent {
                event_type: "START".into(),
                alert_type: "dos_attack_l4".into(),
                attack_id: Some(format!("many-{number}")),
                ..db::events::NewEvent::default()
            };
            db::events::append(tx, &event, now)?;
        }
        Ok(())
    })
    .await;
    let browser = site.member("ana", Role::Viewer).await;
    let rows = |page: &str| {
        cards(page)
            .into_iter()
            .find(|(id, _)| *id == "log")
            .unwrap()
            .1
            .matches("<tr data-key")
            .count()
    };
    let page = browser.html("/").await;
    assert_eq!(rows(&page), 20);
    assert!(
        page.contains("<a href=\"/?span=6h&#38;log=all#log\">Show all 60</a>"),
        "{page}"
    );
    let page = browser.html("/?span=6h&log=all").await;
    assert_eq!(rows(&page), 60);
    assert!(!page.contains("Show all"));
}

#[tokio::test]
async fn a_configured_prefix_that_was_never_read_is_unknown() {
    let mapping = r#"{"prefixes": {"203.0.113.0/24": {"description": "Shop"}}}"#;
    let site = Plan::new().file("prefix_mapping.json", mapping).start().await;
    let page = site.member("ana", Role::Viewer).await.html("/").await;
    let shown = text(card(&page, "203.0.113.0/24"));
    assert!(shown.contains("unknown 203.0.113.0/24 Shop"), "{shown}");
    assert!(shown.contains("its BGP state was never read"), "{shown}");
}

/// Markup that would run, break out of an attribute, or hide text.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*7}}\u{202E}</td></article>";

#[tokio::test]
async fn foreign_text_stays_text_everywhere() {
    let fill = |tx: &WriteTx<'_>, now: Timestamp| -> Result<(), DbError> {
        users::add(tx, "someone", "*", Role::Viewer, false, now)?;
        seed::fill(tx, &seed::Words::all(HOSTILE), now)?;
        inventory::failed(tx, seed::prefix(seed::DIRECT), HOSTILE, now)
    };
    let site = Plan::new()
        .set("/organisation/name", HOSTILE.into())
        .prepared(fill)
        .await;
    let browser = site.member("<b>ana</b>", Role::Admin).await;
    browser
        .post(
            "/api/holds",
            &serde_json::json!({"everywhere": true, "for": "open", "reason": HOSTILE}),
        )
        .await;
    let incident = format!("/incidents/{}", seed::INCIDENT);
    for path in ["/", "/incidents", &incident, "/password", "/nothing"] {
        let (_, page) = browser.page(path).await;
        let lower = page.to_lowercase();
        assert!(!lower.contains("<img"), "{path}");
        assert!(!lower.contains("<script>"), "{path}");
        assert!(!lower.contains("<b>ana"), "{path}");
        assert!(!page.contains('\u{202E}'), "{path}: reordering characters are dropped");
        // Every tag of ours is closed: nothing was closed by foreign text.
        for tag in ["article", "tr", "td", "section", "table", "form", "details"] {
            let opened = lower.matches(&format!("<{tag} ")).count() + lower.matches(&format!("<{tag}>")).count();
            assert_eq!(opened, lower.matches(&format!("</{tag}>")).count(), "{path}: <{tag}>");
        }
    }
    let main = browser.html("/").await;
    assert!(
        main.matches("&#60;img src=x onerror=alert(1)&#62;").count() > 10,
        "it is shown, as text"
    );
    let (status, page) = browser.page("/api/holds/%3Cimg%20src=x%3E").await;
    assert_ne!(status, StatusCode::OK);
    assert!(!page.contains("<img"));
    let body = browser.json(&format!("/api/incidents/{}", seed::INCIDENT)).await;
    assert_eq!(body["incident"]["vector"], HOSTILE, "programs get what is stored");
}

#[tokio::test]
async fn the_incident_page_tells_the_story() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Operator).await;
    let path = format!("/incidents/{}", seed::INCIDENT);
    let page = browser.html(&path).await;
    let shown = text(&page);
    for part in [
        "UDP flood ongoing",
        "no END yet",
        "16 min so far",
        "03:11:00 alert start UDP flood on 203.0.113.0/24, 4.10 Gbps cloudflare webhook",
        "advertised high sent",
        "automation blind critical failed HTTP 503 from api.cloudflare.com",
        "&#34;attack_id&#34;: &#34;a1&#34;",
        "under attack 203.0.113.0/24",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let csrf = browser.csrf.clone();
    let answer = browser
        .form(&format!("/api{path}/acknowledge"), &[("csrf", &csrf)])
        .await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    let shown = text(&browser.html(&path).await);
    assert!(shown.contains("seen by ana at 03:27:00"), "{shown}");
    assert!(shown.contains("acknowledged Acknowledged dashboard, ana"), "{shown}");
    assert!(text(&browser.html("/").await).contains("seen by ana"));
}
