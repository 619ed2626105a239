//! The bot's token is in no log line, no stored word and no error, whatever goes wrong. A file of its own, because it
//! listens to everything that the process logs.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::bench::{Bench, PATIENCE, calm_sim, medium};
use cf_sim::FaultKind;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_token_never_shows_and_a_broken_channel_is_told_once() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    for token in [
        "7654321:canary",
        "7654321:canary-canary-canary-canary-canary-0123456789",
    ] {
        let mut config = calm_sim();
        config.bot_token = token.into();
        let bench = Bench::with(config).await;
        let secret = token.split_once(':').unwrap().1;
        let (id, _) = bench.enter(medium("one")).await;
        let drain = bench.run(&format!("owner-{}", token.len()));
        bench.wait_state(id, "sent").await;

        for (times, kind) in [
            (1, FaultKind::Hang),
            (1, FaultKind::Reset),
            (1, FaultKind::Html { status: 502 }),
            (1, FaultKind::Garbage),
            (
                1,
                FaultKind::Telegram {
                    code: 400,
                    description: format!("Bad Request: what is bot{token}?"),
                    retry_after: None,
                    migrate_to_chat_id: None,
                },
            ),
            (
                3,
                FaultKind::Telegram {
                    code: 401,
                    description: format!("Unauthorized: {token}"),
                    retry_after: None,
                    migrate_to_chat_id: None,
                },
            ),
        ] {
            bench.fault(kind, times);
            let (id, _) = bench.enter(medium("two")).await;
            let row = bench.wait_state(id, "sent").await;
            let stored = format!("{row:?} {:?} {:?}", bench.attempts(id).await, bench.channel().await);
            assert!(!stored.contains(secret), "{stored}");
        }

        bench.sim.stop_listening().await;
        let (id, _) = bench.enter(medium("three")).await;
        let end = tokio::time::Instant::now() + PATIENCE;
        while bench.row(id).await.attempts < 2 {
            assert!(tokio::time::Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let stored = format!("{:?}", bench.attempts(id).await);
        assert!(stored.contains("no connection") && !stored.contains(secret), "{stored}");
        bench.sim.resume_listening().await.unwrap();
        bench.wait_state(id, "sent").await;
        drain.stop().await;
    }
    let text = log.text();
    assert!(
        text.contains("notify.message.sent") && text.len() > 10_000,
        "it listens: {} bytes",
        text.len()
    );
    let leaks: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("canary") && !line.contains("cf_sim"))
        .collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    let told = |event: &str| {
        text.lines()
            .filter(|line| line.contains(&format!("\"{event}\"")))
            .count()
    };
    // Three refusals in a row with each of the two tokens.
    assert_eq!(told("notify.channel.broken"), 2, "once a streak");
    assert!(told("notify.channel.recovered") >= 2);
}
