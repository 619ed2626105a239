//! What is acknowledged and not read yet.

use db::inbox::{self, Backlog, Unread};
use db::{Db, OpenOptions};
use jiff::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_768_464_000 + seconds).unwrap()
}

fn unread(number: i64, body: Vec<u8>) -> Unread {
    Unread {
        id: 0,
        received_at: at(number),
        source: "192.0.2.1".into(),
        headers: "{\"user-agent\":\"Go-http-client/2.0\"}".into(),
        oversized: (number == 3).then_some(2_000_000),
        body,
    }
}

#[test]
fn it_is_read_in_order_and_taken_out_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap();
    let look = |after, limit, bytes| {
        db.read_blocking("test", move |tx| inbox::oldest(tx, after, limit, bytes))
            .unwrap()
    };
    let backlog = || db.read_blocking("test", inbox::backlog).unwrap();
    let nothing = Backlog {
        deliveries: 0,
        bytes: 0,
        oldest: None,
    };
    assert_eq!(backlog(), nothing);
    // Bytes of any kind come back as they were.
    let bodies: Vec<Vec<u8>> = vec![b"{}".to_vec(), vec![0xff, 0x00, 0xfe], Vec::new(), vec![b'x'; 1_000]];
    let put = bodies.clone();
    db.write_blocking("test", move |tx| {
        (0..)
            .zip(put)
            .try_for_each(|(number, body)| inbox::put(tx, &unread(number, body)))
    })
    .unwrap();
    let all = look(0, 100, 1_000_000);
    assert_eq!(all.iter().map(|one| one.body.clone()).collect::<Vec<_>>(), bodies);
    assert_eq!(
        all[3],
        Unread {
            id: all[3].id,
            ..unread(3, vec![b'x'; 1_000])
        }
    );
    assert_eq!(
        backlog(),
        Backlog {
            deliveries: 4,
            bytes: 1_005,
            oldest: Some(at(0))
        }
    );
    assert_eq!(look(0, 2, 1_000_000), all[..2], "at most as many as asked for");
    assert_eq!(look(0, 100, 1), all[..1], "one is read however large it is");
    assert_eq!(look(0, 100, 3), all[..2]);
    assert_eq!(look(all[1].id, 100, 1_000_000), all[2..]);
    let first = all[0].id;
    let taken = db
        .write_blocking("test", move |tx| {
            Ok((inbox::take_out(tx, first)?, inbox::take_out(tx, first)?))
        })
        .unwrap();
    assert_eq!(taken, (true, false));
    let oldest = db.read_blocking("test", inbox::oldest_at).unwrap();
    assert_eq!(oldest, Some(at(1)));
    // Whoever still holds a row that is gone must not take out another one in its place.
    let last = all[3].id;
    db.write_blocking("test", move |tx| {
        all[1..]
            .iter()
            .try_for_each(|one| inbox::take_out(tx, one.id).map(drop))
    })
    .unwrap();
    assert_eq!(backlog(), nothing);
    db.write_blocking("test", |tx| inbox::put(tx, &unread(9, b"{}".to_vec())))
        .unwrap();
    assert!(look(0, 1, 1)[0].id > last);
}
