#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use std::sync::Arc;
fn main() {
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    rt.block_on(async {
        let dir = std::env::args().nth(1).unwrap();
        let db = db::Db::open(format!("{dir}/a.db"), db::OpenOptions::default()).unwrap();
        let show = |what: &str| {
            let s = std::fs::read_to_string("/proc/self/status").unwrap();
            let l: Vec<&str> = s.lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("RssAnon") || l.starts_with("Threads")).collect();
            println!("{what}: {l:?}");
        };
        show("db open");
        let config = notify::TelegramConfig { bot_token: "1:x".into(), chat: notify::ChatId::Number(-5), thread: None, api_url: "http://127.0.0.1:9".into(), deadline: std::time::Duration::from_secs(15) };
        let sender = notify::TelegramSender::lazy(config, || Err("none".into())).unwrap();
        let config = notify::DrainConfig { owner: "x".into(), frame: Default::default(), max_age: std::time::Duration::from_secs(86400), limits: Default::default(), now: Arc::new(jiff::Timestamp::now), draw: Arc::new(|| 0.5) };
        let drain = notify::Drain::new(db.clone(), Some(sender), config);
        let t0 = cpu();
        drain.run(tokio::time::sleep(std::time::Duration::from_secs(20)), || {}).await;
        show("idle 20 s");
        println!("cpu ticks {}", cpu() - t0);
    });
}
fn cpu() -> u64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); f[11].parse::<u64>().unwrap() + f[12].parse::<u64>().unwrap() }
