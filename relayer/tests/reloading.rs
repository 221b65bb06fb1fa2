//! A configuration that changes while relays are served: all of it is taken up, or nothing, and no relay notices.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::backend::Backend;
use common::client::Relay;
use common::sockets::{answer, closed_with, frame, open};
use common::{World, WorldConfig, key, sockets};
use futures::SinkExt as _;
use pocket_config::RelayerConfig;
use pocket_keys::KeySet;
use pocket_relayer::ReloadError;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

fn keys(suppliers: &[&str]) -> KeySet {
    suppliers.iter().map(|name| key(name)).collect()
}

/// The configuration of a world, with something changed.
fn changed(world: &World, from: &str, to: &str) -> RelayerConfig {
    assert!(world.yaml.contains(from), "{}", world.yaml);
    RelayerConfig::from_str("relayer.yaml", &world.yaml.replace(from, to)).unwrap()
}

async fn reload(world: &World, config: RelayerConfig, suppliers: &[&str]) -> Result<(), ReloadError> {
    world.control().reload(config, keys(suppliers)).await
}

const BOTH: [&str; 2] = ["supplier1", "supplier2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_relay_fails_in_twenty_reloads_under_load() {
    const SENDERS: usize = 6;
    let mut world = World::new().await;
    let other = Backend::start().await;
    let relay = world.relay().await;
    // The session's first relay costs more than the others.
    relay.send(&world.url()).await.answer("supplier1");
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(1)));
    let mut sending = JoinSet::new();
    for sender in 0..SENDERS {
        let (is_over, answered) = (is_over.clone(), answered.clone());
        let (relay, url) = (relay.clone(), world.url());
        sending.spawn(async move {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                let relay = relay.clone().to("POST", &format!("/{sender}/{number}"));
                relay.send(&url).await.answer("supplier1");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for round in 0..20 {
        let before = answered.load(Ordering::Relaxed);
        let url = if round % 2 == 0 {
            other.url()
        } else {
            world.backend.url()
        };
        let limit = format!("max_relays_in_flight: {}\nservices:", 100 + round);
        let yaml = world
            .yaml
            .replace(&world.backend.url(), &url)
            .replace("services:", &limit);
        let config = RelayerConfig::from_str("relayer.yaml", &yaml).unwrap();
        // The other key comes and goes.
        reload(&world, config, &BOTH[..=(round % 2)]).await.unwrap();
        // Each configuration serves some.
        while answered.load(Ordering::Relaxed) < before + 2 * SENDERS {
            tokio::task::yield_now().await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    sending.join_all().await;
    let answered = answered.load(Ordering::Relaxed);
    let (here, there) = (world.backend.asked().len(), other.asked().len());
    assert!(here > 10 && there > 10, "{here} and {there}");
    assert_eq!(here + there, answered);
    assert_eq!(world.published("supplier1").await.len(), answered);
    world.end().await;
}

#[tokio::test]
async fn relay_in_flight_ends_at_the_backend_that_it_went_to() {
    let world = World::new().await;
    let other = Backend::start().await;
    let (held, url) = (world.relay().await.to("POST", "/held"), world.url());
    let first = tokio::spawn(async move { held.send(&url).await });
    world.backend.wait_until_asked(1).await;
    let config = changed(&world, &world.backend.url(), &other.url());
    reload(&world, config, &BOTH).await.unwrap();
    world.relay().await.send(&world.url()).await.answer("supplier1");
    assert_eq!((world.backend.asked().len(), other.asked().len()), (1, 1));
    world.backend.release();
    first.await.unwrap().answer("supplier1");
    world.end().await;
}

#[tokio::test]
async fn what_cannot_change_is_named_and_nothing_changes() {
    let world = World::new().await;
    let other = Backend::start().await;
    let yaml = world.yaml.replace(&world.backend.url(), &other.url());
    let yaml = yaml.replace("listen_addr: 127.0.0.1:0", "listen_addr: 127.0.0.1:1");
    let config = RelayerConfig::from_str("relayer.yaml", &yaml).unwrap();
    let refused = reload(&world, config, &["supplier2"]).await.unwrap_err();
    assert!(
        matches!(&refused, ReloadError::NeedsRestart(keys) if keys[..] == ["listen_addr"]),
        "{refused}"
    );
    let header = changed(&world, "X-Configured: yes", "X-Configured: \"a\\nb\"");
    let refused = reload(&world, header, &["supplier2"]).await.unwrap_err();
    assert!(
        refused.to_string().starts_with("services.svc-http.backends.rest: "),
        "{refused}"
    );
    world.relay().await.send(&world.url()).await.answer("supplier1");
    assert_eq!(other.asked().len(), 0);
    world.end().await;
}

#[tokio::test]
async fn new_limit_holds_for_relays_that_are_there_already() {
    let world = World::with_service("validation_mode: eager\nmax_relays_in_flight: 1").await;
    let (held, url) = (world.relay().await.to("POST", "/held"), world.url());
    let sent = held.clone();
    let first = tokio::spawn(async move { sent.send(&url).await });
    world.backend.wait_until_asked(1).await;
    assert_eq!(held.send(&world.url()).await.status, 503);
    let config = changed(&world, "max_relays_in_flight: 1", "max_relays_in_flight: 2");
    reload(&world, config, &BOTH).await.unwrap();
    world.relay().await.send(&world.url()).await.answer("supplier1");
    let config = changed(&world, "max_relays_in_flight: 1", "max_relays_in_flight: 1");
    reload(&world, config, &BOTH).await.unwrap();
    assert_eq!(held.send(&world.url()).await.status, 503);
    world.backend.release();
    first.await.unwrap().answer("supplier1");
    world.end().await;
}

#[tokio::test]
async fn removed_key_serves_no_more_and_an_added_one_at_once() {
    let world = World::new().await;
    let same = || changed(&world, "services:", "services:");
    let session = world.session().await;
    let send = |supplier: &str| {
        let (relay, url) = (Relay::new(session.clone(), supplier), world.url());
        async move { relay.send(&url).await }
    };
    send("supplier1").await.answer("supplier1");
    send("supplier2").await.answer("supplier2");
    reload(&world, same(), &["supplier2"]).await.unwrap();
    let asked = world.backend.asked().len();
    assert_ne!(send("supplier1").await.status, 200);
    assert_eq!(world.backend.asked().len(), asked);
    send("supplier2").await.answer("supplier2");
    reload(&world, same(), &BOTH).await.unwrap();
    send("supplier1").await.answer("supplier1");
    world.end().await;
}

#[tokio::test]
async fn open_breaker_stays_open_and_a_removed_server_is_no_longer_shown() {
    let away = "http://127.0.0.1:1";
    let good = Backend::start().await;
    let servers = format!(
        "jsonrpc:\n  urls: [{away}, {}]\n  load_balancing: first_healthy",
        good.url()
    );
    let world = World::with(WorldConfig {
        backends: Some(format!("{servers}\n  health_check: {{ unhealthy_threshold: 1 }}")),
        ..WorldConfig::default()
    })
    .await;
    let healthy =
        |world: &World, endpoint: &str| world.gauge_of("ha_relayer_backend_health_status", &[("endpoint", endpoint)]);
    world.relay().await.send(&world.url()).await.answer("supplier1");
    assert_eq!(healthy(&world, "127.0.0.1:1"), 0);
    let retries = world.counted("ha_relayer_backend_retries_total", &[]);
    assert_eq!(retries, 1);

    let third = Backend::start().await;
    let more = format!("urls: [{away}, {}, ", third.url());
    let config = changed(&world, &format!("urls: [{away}, "), &more);
    reload(&world, config, &BOTH).await.unwrap();
    world.relay().await.send(&world.url()).await.answer("supplier1");
    assert_eq!(
        world.counted("ha_relayer_backend_retries_total", &[]),
        retries,
        "it is known to be away"
    );
    assert_eq!(third.asked().len(), 1);

    let config = changed(&world, &format!("urls: [{away}, "), "urls: [");
    reload(&world, config, &BOTH).await.unwrap();
    let shown = world.registry.gather();
    let shown = shown
        .iter()
        .find(|family| family.name() == "ha_relayer_backend_health_status");
    let endpoints = shown
        .unwrap()
        .get_metric()
        .iter()
        .flat_map(prometheus::proto::Metric::get_label);
    let endpoints: Vec<_> = endpoints.filter(|label| label.name() == "endpoint").collect();
    assert!(
        endpoints.iter().all(|label| label.value() != "127.0.0.1:1"),
        "{endpoints:?}"
    );
    world.end().await;
}

#[tokio::test]
async fn open_socket_outlives_a_reload_but_not_its_key() {
    let (world, _backend) = sockets::world().await;
    let relay = world.relay().await;
    let mut socket = open(&world).await;
    socket.send(Message::binary(frame(&relay, "before"))).await.unwrap();
    assert_eq!(answer(&mut socket).await.0, "before");
    let config = || changed(&world, "services:", "max_relays_in_flight: 77\nservices:");
    reload(&world, config(), &BOTH).await.unwrap();
    socket.send(Message::binary(frame(&relay, "after"))).await.unwrap();
    assert_eq!(answer(&mut socket).await.0, "after");
    reload(&world, config(), &["supplier2"]).await.unwrap();
    socket
        .send(Message::binary(frame(&relay, "without a key")))
        .await
        .unwrap();
    assert_ne!(closed_with(&mut socket).await, 1000);
    world.end().await;
}
