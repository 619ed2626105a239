//! Reverse look-up against a name server on loopback, and against one that only counts.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use geoip::names::{Boxed, CacheError, DnsResolver, Found, NameCache, Names, Remembered, Resolver, Round};
use tokio::net::UdpSocket;

#[derive(Default)]
struct Memory(Mutex<BTreeMap<IpAddr, Remembered>>);

impl Memory {
    fn of(&self, address: &str) -> Remembered {
        self.0.lock().unwrap()[&address.parse::<IpAddr>().unwrap()].clone()
    }
}

impl NameCache for Memory {
    fn known(&self, addresses: Vec<IpAddr>) -> Boxed<'_, Result<Vec<IpAddr>, CacheError>> {
        let memory = self.0.lock().unwrap();
        let known = addresses
            .into_iter()
            .filter(|address| memory.contains_key(address))
            .collect();
        Box::pin(async move { Ok(known) })
    }

    fn keep(&self, answers: Vec<Remembered>) -> Boxed<'_, Result<(), CacheError>> {
        let mut memory = self.0.lock().unwrap();
        memory.extend(answers.into_iter().map(|answer| (answer.address, answer)));
        Box::pin(async { Ok(()) })
    }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A name server that answers by the first label of the question: `1` has a name, `2` has none, `3` cannot say, `4` is
/// silent.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0_u8; 1_500];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let query = &buffer[..length];
            let mut end = 12;
            while query[end] != 0 {
                end += 1 + usize::from(query[end]);
            }
            let question = &query[12..end + 5];
            let (code, answers) = match question[1] {
                b'1' => (0, 1),
                b'2' => (3, 0),
                b'3' => (2, 0),
                _ => continue,
            };
            let mut answer = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0];
            answer.extend_from_slice(question);
            if answers == 1 {
                let name = b"\x04Host\x07example\x00";
                answer.extend_from_slice(&[
                    0xc0,
                    0x0c,
                    0,
                    12,
                    0,
                    1,
                    0,
                    1,
                    0x51,
                    0x80,
                    0,
                    u8::try_from(name.len()).unwrap(),
                ]);
                answer.extend_from_slice(name);
            }
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn names_missing_names_failures_and_silence_are_told_apart() {
    let server = name_server().await;
    let resolver = Arc::new(DnsResolver::new(Some(server)).unwrap());
    let memory = Arc::new(Memory::default());
    let names = Names::new(resolver, memory.clone()).with_deadline(Duration::from_secs(2));
    let asked = addresses(&["8.8.8.1", "8.8.8.2", "8.8.8.3", "8.8.8.4", "10.0.0.1", "2606:4700::1"]);
    let round = names.look_up(asked.clone()).await.unwrap();
    assert_eq!(
        round,
        Round {
            named: 2,
            nameless: 1,
            failed: 2,
            known: 0
        }
    );
    let named = memory.of("8.8.8.1");
    assert_eq!((named.name.as_deref(), named.problem), (Some("host.example"), None));
    assert_eq!(named.valid_for.as_secs().div_ceil(60), 86_400 / 60, "as the zone says");
    let none = memory.of("8.8.8.2");
    assert_eq!((none.name, none.problem), (None, None));
    assert!(none.valid_for >= Duration::from_secs(1_800));
    for failed in ["8.8.8.3", "8.8.8.4"] {
        let answer = memory.of(failed);
        assert!(answer.name.is_none() && answer.problem.is_some(), "{answer:?}");
        assert!(
            answer.valid_for <= Duration::from_secs(900),
            "a failure is forgotten soon"
        );
    }
    assert!(
        !memory.0.lock().unwrap().contains_key(&asked[4]),
        "nobody is asked about a forged address"
    );
    assert_eq!(names.look_up(asked).await.unwrap().known, 5, "nobody is asked twice");
}

/// Never answers, and counts who waits.
#[derive(Default)]
struct Silent {
    waiting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    asked: AtomicUsize,
}

struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Resolver for Silent {
    fn name_of(&self, _address: IpAddr) -> Boxed<'_, Result<Found, String>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let waiting = Waiting(Arc::clone(&self.waiting));
        Box::pin(async move {
            let _waiting = waiting;
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn a_flood_of_addresses_is_asked_about_a_few_at_a_time_and_a_bounded_number_at_all() {
    let silent = Arc::new(Silent::default());
    let names = Names::new(silent.clone(), Arc::new(Memory::default())).with_deadline(Duration::from_millis(5));
    let flood = (0..10_000_u32).map(|host| IpAddr::from((0x0808_0000 + host).to_be_bytes()));
    let round = names.look_up(flood).await.unwrap();
    assert_eq!((round.failed, silent.asked.load(Ordering::SeqCst)), (64, 64));
    assert_eq!(silent.most.load(Ordering::SeqCst), 4);
    assert_eq!(silent.waiting.load(Ordering::SeqCst), 0);
}
