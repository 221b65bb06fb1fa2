//! What a relayer tells of itself, and when it is ready.

use pocket_devnet::Actor;
use pocket_status::{Reason, RelayerStatus};
use pocket_store::PublisherConfig;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::common::grpc::channel;
use crate::common::{World, WorldConfig};

/// The status once it is as wanted: what is sampled is so after a second.
async fn told(world: &World, is_wanted: impl Fn(&RelayerStatus) -> bool) -> RelayerStatus {
    world.wait_until(|world| is_wanted(&world.status().status())).await;
    world.status().status()
}

#[tokio::test]
async fn status_tells_what_came_of_relays_and_who_answered_them() {
    let world = World::new().await;
    let relay = world.relay().await;
    for _ in 0..3 {
        relay.send(&world.url()).await.answer("supplier1");
    }
    assert_eq!(relay.clone().forged().send(&world.url()).await.status.as_u16(), 403);
    let status = told(&world, |status| {
        status.redis.reachable && status.relays.answered_history.iter().sum::<u64>() == 3
    })
    .await;
    assert!(status.ready, "{:?}", status.not_ready);
    assert_eq!(status.chain.height, world.devnet.height());
    assert_eq!((status.relays.served.answered, status.relays.served.refused), (3, 1));
    assert!(status.relays.served.answered_per_second.last_10s > 0.0);
    let reason = |told: &[Reason]| told.iter().map(|told| (told.reason.clone(), told.last_1m)).next();
    assert_eq!(
        reason(&status.relays.refusals),
        Some(("validation_failed".to_owned(), 1))
    );
    assert_eq!(reason(&status.relays.invalid), Some(("signature".to_owned(), 1)));

    let names: Vec<&str> = status.services.iter().map(|service| &*service.service).collect();
    assert_eq!(names, ["svc-comet", "svc-http"]);
    let service = &status.services[1];
    assert_eq!((service.served.answered, service.served.refused), (3, 1));
    assert!(
        service
            .served
            .latency
            .is_some_and(|latency| latency.p50_ms > 0.0 && latency.p50_ms <= latency.p99_ms)
    );
    let json = service
        .types
        .iter()
        .find(|of_type| of_type.rpc_type == "jsonrpc")
        .unwrap();
    assert_eq!(json.served.answered, 3);
    let rest = service.types.iter().find(|of_type| of_type.rpc_type == "rest").unwrap();
    assert_eq!((rest.served.answered, rest.served.latency), (0, None));
    let backend = service
        .backends
        .iter()
        .find(|backend| backend.rpc_type == "jsonrpc")
        .unwrap();
    assert_eq!((&*backend.state, backend.in_flight), ("closed", 0));
    assert_eq!(backend.url, world.backend.url());
    assert!(backend.latency_ms.is_some_and(|latency| latency > 0.0));

    let addresses: Vec<String> = status
        .suppliers
        .iter()
        .map(|supplier| supplier.address.clone())
        .collect();
    let mut expected = ["supplier1", "supplier2"].map(|name| Actor::named(name).address);
    expected.sort();
    assert_eq!(addresses, expected);
    assert!(status.meter.enabled && status.meter.sessions == 1 && status.meter.exhausted == 0);
    assert_eq!(status.queue.limit, PublisherConfig::default().queue as u64);
    assert_eq!(status.relay_log, None);
    world.end().await;
}

#[tokio::test]
async fn backend_that_is_left_alone_is_told_as_such() {
    let world = World::with(WorldConfig {
        backends: Some(
            "jsonrpc:\n  urls: [{name: '<b>gone', url: 'http://127.0.0.1:1'}]\n  health_check: {unhealthy_threshold: 1}"
                .to_owned(),
        ),
        ..WorldConfig::default()
    })
    .await;
    assert_eq!(world.relay().await.send(&world.url()).await.status.as_u16(), 502);
    let status = world.status().status();
    let service = status
        .services
        .iter()
        .find(|service| service.service == "svc-http")
        .unwrap();
    let backend = &service.backends[0];
    assert_eq!(
        (&*backend.name, &*backend.state, backend.latency_ms),
        ("<b>gone", "open", None)
    );
    world.end().await;
}

#[tokio::test]
async fn relayer_is_ready_without_redis_until_no_relay_can_wait_for_it() {
    let world = World::with(WorldConfig {
        redis_is_away: true,
        publisher: PublisherConfig {
            queue: 2,
            ..WorldConfig::default().publisher
        },
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    let mut health = HealthClient::new(channel(&world).await);
    let mut asked = async || {
        let answer = health.check(HealthCheckRequest::default()).await;
        answer.unwrap().into_inner().status()
    };
    let status = told(&world, |status| status.redis.error.is_some()).await;
    assert!(status.ready && !status.redis.reachable, "{:?}", status.not_ready);
    assert_eq!(asked().await, ServingStatus::Serving);
    for _ in 0..2 {
        relay.send(&world.url()).await.answer("supplier1");
    }
    let status = world.status().status();
    assert_eq!((status.queue.taken, status.queue.limit), (2, 2));
    assert!(
        !status.ready && status.not_ready[0].starts_with("Redis does not take relays"),
        "{:?}",
        status.not_ready
    );
    assert_eq!(asked().await, ServingStatus::NotServing);
    world.end().await;
}

#[tokio::test]
async fn relayer_that_has_seen_no_block_is_not_ready() {
    let world = World::with(WorldConfig {
        chain_is_away: true,
        ..WorldConfig::default()
    })
    .await;
    assert_eq!(world.status().not_ready(), ["no block of the chain was seen yet"]);
    let mut health = HealthClient::new(channel(&world).await);
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::NotServing);
    world.end().await;
}

#[tokio::test]
async fn relayer_that_shuts_down_is_not_ready_while_it_finishes_and_tells_when_it_has() {
    let world = World::new().await;
    let relay = world.relay().await.to("POST", "/held");
    let (url, status) = (world.url(), world.status());
    let open = tokio::spawn(async move { relay.send(&url).await });
    world.backend.wait_until_asked(1).await;
    assert_eq!(status.not_ready(), [""; 0]);
    world.begin_to_stop();
    assert_eq!(status.not_ready(), ["shutting down"]);
    assert_eq!(status.status().relays.in_flight, 1);
    world.backend.release();
    open.await.unwrap().answer("supplier1");
    world.end().await;
    assert_eq!(status.not_ready(), ["the relayer has ended"]);
    assert!(!status.status().ready);
}

#[tokio::test]
async fn readiness_of_a_service_is_the_relay_ports() {
    let world = World::new().await;
    let known = world.status().service_readiness("svc-http").unwrap();
    assert_eq!(known.status().as_u16(), 200);
    let unknown = world.status().service_readiness("other").unwrap();
    assert_eq!(unknown.status().as_u16(), 404);
    world.end().await;
}
