//! Questions put to the bot: who is answered, what, once, by one of several services; and what a question may change.

use std::sync::Arc;
use std::time::Duration;

use crate::support::bench::{Bench, PATIENCE, medium, raised};
use db::{OpenOptions, heartbeats, outbox};
use domain::notice::Priority;
use jiff::Timestamp;
use notify::ask::{AskConfig, Listener};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const OPERATOR: u64 = 4711;

struct Running(oneshot::Sender<()>, JoinHandle<()>);

fn listen(bench: &Bench, owner: &str) -> Running {
    let config = AskConfig {
        owner: owner.into(),
        operators: vec![OPERATOR],
        poll: Duration::from_secs(1),
        now: Arc::new(Timestamp::now),
    };
    let listener = Listener::new(bench.other_process(OpenOptions::default()), bench.sender(), config);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(listener.run(
        async {
            let _ = stopped.await;
        },
        || {},
    ));
    Running(stop, task)
}

fn asked(bench: &Bench, user: u64, chat: i64, text: &str) -> Value {
    let id = bench.requests().len();
    json!({"message": {
        "message_id": id, "date": Timestamp::now().as_second(), "text": text,
        "chat": {"id": chat, "type": "supergroup", "title": "x"},
        "from": {"id": user, "is_bot": false, "first_name": "Ana", "username": "ana"},
    }})
}

async fn answer_to(bench: &Bench, text: &str) -> String {
    let before = bench.sim.messages().len();
    let update = asked(bench, OPERATOR, bench.sim.config().chat_id, text);
    bench.sim.push_telegram_update(update);
    let came = bench
        .sim
        .wait_until(PATIENCE, || bench.sim.messages().len() > before)
        .await;
    assert!(came, "no answer to {text}");
    let message = bench.sim.messages()[before].clone();
    crate::support::checker::check(&message.raw, &message.text).unwrap();
    message.text
}

#[tokio::test]
async fn operators_are_answered_in_the_chat_and_nobody_else_is() {
    let bench = Bench::new().await;
    let beat = heartbeats::Heartbeat {
        service: "cloudflare-webhook".into(),
        pid: 1,
        host: "mt1".into(),
        version: "1".into(),
        started_at: Timestamp::now(),
        beat_at: Timestamp::now(),
        state: "degraded".into(),
        status: "waits <for> data".into(),
    };
    let alert = crate::support::full_l4(domain::alert::Phase::Start);
    bench
        .db
        .write("test", move |tx| {
            heartbeats::beat(tx, &beat)?;
            db::incidents::join(
                tx,
                &alert,
                &[crate::support::prefix("203.0.113.0/24")],
                Timestamp::now(),
            )
        })
        .await
        .unwrap();
    let drain = bench.run("d");
    let listeners = [listen(&bench, "a"), listen(&bench, "b")];
    let chat = bench.sim.config().chat_id;
    // A stranger, a listed user elsewhere, a bot, an old question, no command, an update of another kind.
    bench.sim.push_telegram_update(asked(&bench, 99, chat, "/status"));
    bench.sim.push_telegram_update(asked(&bench, OPERATOR, 12, "/status"));
    let mut bot = asked(&bench, OPERATOR, chat, "/status");
    bot["message"]["from"]["is_bot"] = json!(true);
    bench.sim.push_telegram_update(bot);
    let mut old = asked(&bench, OPERATOR, chat, "/status");
    old["message"]["date"] = json!(Timestamp::now().as_second() - 3_600);
    bench.sim.push_telegram_update(old);
    bench
        .sim
        .push_telegram_update(asked(&bench, OPERATOR, chat, "good morning"));
    bench
        .sim
        .push_telegram_update(json!({"edited_message": {"strange": [1, 2]}}));
    let status = answer_to(&bench, "/status@simulated_alert_bot").await;
    assert!(
        status.contains("cloudflare-webhook: degraded") && status.contains("waits <for> data"),
        "{status}"
    );
    assert!(status.contains("Incidents that go on:"), "{status}");
    let incident = answer_to(&bench, "/incident").await;
    assert!(
        incident.contains("Incident 1") && incident.contains("203.0.113.0/24"),
        "{incident}"
    );
    assert!(answer_to(&bench, "/incident 99").await.contains("no such incident"));
    assert!(answer_to(&bench, "/prefixes").await.contains("unknown"));
    assert!(
        answer_to(&bench, "/withdraw 203.0.113.0/24")
            .await
            .contains("What can be asked")
    );
    assert_eq!(bench.sim.messages().len(), 5, "{:#?}", bench.texts());
    for Running(stop, task) in listeners {
        let _ = stop.send(());
        task.await.unwrap();
    }
    drain.stop().await;
    // One of them polled all the time, so the other never got in its way.
    let polls = bench.sim.requests_since(0);
    assert!(
        polls
            .iter()
            .filter(|r| r.path.contains("GetUpdates"))
            .all(|r| r.status != Some(409))
    );
}

#[tokio::test]
async fn a_kind_is_muted_for_a_while_and_critical_ones_come_all_the_same() {
    let bench = Bench::new().await;
    let drain = bench.run("d");
    let (first, _) = bench.enter(medium("before")).await;
    bench.wait_state(first, "sent").await;
    let Running(stop, task) = listen(&bench, "a");
    for wrong in [
        "/mute",
        "/mute nothing 2h",
        "/mute raised",
        "/mute raised soon",
        "/mute raised 400d",
    ] {
        let said = answer_to(&bench, wrong).await;
        assert!(said.contains("/mute KIND FOR"), "{wrong}: {said}");
    }
    let _ = stop.send(());
    task.await.unwrap();
    // Another service goes on where the first one stopped.
    let Running(stop, task) = listen(&bench, "b");
    let said = answer_to(&bench, "/mute raised 2h").await;
    assert!(said.contains("Muted: raised until"), "{said}");
    let mutes = bench.db.read("test", outbox::mutes).await.unwrap();
    assert_eq!(mutes[0].actor, "telegram:ana (4711)");
    let (muted, _) = bench.enter(medium("muted")).await;
    let row = bench.row(muted).await;
    assert_eq!(row.state, "suppressed");
    assert!(row.reason.unwrap().contains("telegram:ana"));
    let (urgent, _) = bench.enter(raised("urgent", Priority::Critical)).await;
    bench.wait_state(urgent, "sent").await;
    let _ = stop.send(());
    task.await.unwrap();
    drain.stop().await;
}
