//! Starting: four at once on a new file, again on an existing one, and with a port taken.

use std::net::TcpListener;

use testkit::{Pace, Program, Site};

use crate::slice::end;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_services_at_once_on_a_new_file() {
    let site = Site::new(Pace::fast()).await;
    let mut services = site.start_all().await;
    let record = site.until(
        "all have said that they live",
        testkit::service::READY_WITHIN,
        |record| record.heartbeats.len() == Program::ALL.len(),
    );
    let record = record.await;
    assert!(
        record.heartbeats.iter().all(|beat| beat.state != "stopped"),
        "{}",
        record.shown()
    );
    for service in &services {
        assert!(
            service.manager().status().is_some(),
            "{} says what it does",
            service.program.name()
        );
    }
    site.until_told().await;
    end(&site, &mut services).await;

    let mut again = site.start_all().await;
    site.until_told().await;
    end(&site, &mut again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_and_nothing_else_starts() {
    let site = Site::new(Pace::fast()).await;
    for program in Program::ALL {
        let address = site.listen(program);
        let holder = TcpListener::bind(address).unwrap();
        let mut service = site.spawn(program);
        let status = service.end().await;
        drop(holder);
        let log = service.log();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(
            log.contains(&address.to_string()) && log.contains(program.section()),
            "{log}"
        );
        assert!(service.manager().heard("READY=1").is_none(), "{log}");
    }
    assert!(!site.database().exists(), "nothing was created");
}
