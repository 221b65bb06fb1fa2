//! What is away, and what that costs: never an answered relay.

mod common;

use common::{NOWHERE, World, WorldConfig};
use pocket_devnet::Localnet;
use pocket_protocol::Height;
use pocket_store::{PublisherConfig, SupplierEntry, SupplierStatus};

const BACKEND_ERROR: &str = r#"{"error":"backend error"}"#;
const UNAVAILABLE: &str = r#"{"error":"service temporarily unavailable","service":"svc-http"}"#;

#[tokio::test]
async fn dead_backend_is_a_bad_gateway_and_nothing_is_mined() {
    for mode in ["eager", "optimistic"] {
        let config = WorldConfig {
            service: format!("validation_mode: {mode}"),
            backend: Some(format!("http://{NOWHERE}")),
            ..WorldConfig::default()
        };
        let mut world = World::with(config).await;
        assert_eq!(
            world.relay().await.send(&world.url()).await.refusal(),
            (502, BACKEND_ERROR)
        );
        assert!(world.published("supplier1").await.is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn backends_server_error_is_passed_on_unsigned_and_not_mined() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    for status in [500, 503, 599] {
        let reply = relay
            .clone()
            .to("POST", &format!("/status/{status}"))
            .send(&world.url())
            .await;
        assert_eq!(reply.refusal(), (status, r#"{"error":"backend service error"}"#));
    }
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn backend_that_does_not_answer_in_time_is_a_bad_gateway() {
    let config = WorldConfig {
        service: "validation_mode: eager\ntimeout_profile: short".to_owned(),
        top_level: "timeout_profiles:\n  short:\n    request_timeout_seconds: 1".to_owned(),
        ..WorldConfig::default()
    };
    let mut world = World::with(config).await;
    let reply = world.relay().await.to("POST", "/never").send(&world.url()).await;
    assert_eq!(reply.refusal(), (502, BACKEND_ERROR));
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn answer_over_the_limit_is_a_bad_gateway() {
    let config = WorldConfig {
        top_level: "default_max_body_size_bytes: 10000".to_owned(),
        ..WorldConfig::default()
    };
    let mut world = World::with(config).await;
    let reply = world.relay().await.to("POST", "/large").send(&world.url()).await;
    assert_eq!(reply.refusal(), (502, BACKEND_ERROR));
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn missing_chain_refuses_relays_in_both_modes() {
    for mode in ["eager", "optimistic"] {
        missing_chain_refuses_relays(&format!("validation_mode: {mode}")).await;
    }
}

async fn missing_chain_refuses_relays(service: &str) {
    let config = WorldConfig {
        chain_is_away: true,
        service: service.to_owned(),
        ..WorldConfig::default()
    };
    let mut world = World::with(config).await;
    let reply = world.relay().await.send(&world.url()).await;
    assert_eq!(reply.status.as_u16(), 403);
    assert!(
        reply
            .text()
            .starts_with(r#"{"error":"relay validation failed: chain unavailable: "#),
        "{}",
        reply.text()
    );
    assert!(world.backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    let labels = [("reason", "chain_unavailable")];
    assert_eq!(world.counted("ha_relayer_validation_failures_total", &labels), 1);
    world.end().await;
}

#[tokio::test]
async fn without_redis_relays_are_served_until_the_queue_is_full_and_then_refused() {
    let config = WorldConfig {
        redis_is_away: true,
        publisher: PublisherConfig {
            queue: 2,
            ..WorldConfig::default().publisher
        },
        ..WorldConfig::default()
    };
    let world = World::with(config).await;
    let relay = world.relay().await;
    relay.send(&world.url()).await.answer("supplier1");
    relay.send(&world.url()).await.answer("supplier1");
    let reply = relay.send(&world.url()).await;
    assert_eq!(reply.refusal(), (503, UNAVAILABLE));
    assert_eq!(reply.retry_after.as_deref(), Some("1"));
    assert_eq!(world.backend.asked().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn relays_that_were_answered_without_redis_are_published_once_it_is_back() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    relay.send(&world.url()).await.answer("supplier1");
    world.wait_until_published(1).await;
    world.stop_redis();
    for number in 0..5 {
        let relay = relay.clone().to("POST", &format!("/{number}"));
        relay.send(&world.url()).await.answer("supplier1");
    }
    world.start_redis_again().await;
    world.wait_until_published(5).await;
    // The first one was lost with the old Redis' memory, not by us.
    let mut targets: Vec<_> = world
        .published("supplier1")
        .await
        .iter()
        .map(common::watched::inner_url)
        .collect();
    targets.sort();
    assert_eq!(targets, ["/0", "/1", "/2", "/3", "/4"]);
    world.end().await;
}

#[tokio::test]
async fn supplier_that_is_not_ours_cannot_be_looked_up_without_redis() {
    let world = World::with(WorldConfig {
        redis_is_away: true,
        ..WorldConfig::default()
    })
    .await;
    let mut relay = world.relay().await;
    relay.supplier = pocket_devnet::Actor::named("supplier3").address;
    let reply = relay.send(&world.url()).await;
    assert_eq!(reply.refusal(), (503, r#"{"error":"failed to verify supplier state"}"#));
    world.end().await;
}

#[tokio::test]
async fn registry_entry_that_says_no_is_obeyed_although_the_key_is_held() {
    let mut world = World::new().await;
    let operator = pocket_devnet::Actor::named("supplier1").address;
    let entry = SupplierEntry {
        status: SupplierStatus::NotStaked,
        staked: false,
        services: vec!["svc-http".to_owned()],
        staked_endpoints: Vec::new(),
        unstake_session_end_height: 0,
        operator_address: operator.clone(),
        owner_address: operator.clone(),
        last_updated: 0,
        last_refresh_session_start: None,
        updated_by: String::new(),
    };
    world.store.write_supplier(&entry).await.unwrap();
    let body = format!(r#"{{"error":"supplier {operator} is not_staked"}}"#);
    let mut answered = 0;
    // The registry is read in the background.
    loop {
        let reply = world.relay().await.send(&world.url()).await;
        if reply.status.as_u16() == 503 {
            assert_eq!(reply.text(), body);
            break;
        }
        answered += 1;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(world.published("supplier1").await.len(), answered);
    world.end().await;
}

#[tokio::test]
async fn answer_that_comes_too_late_to_be_claimed_is_not_served_for_free() {
    // Ends at 4; grace until 5; claims in blocks 6 and 7.
    let localnet = Localnet {
        session_blocks: 4,
        claim_window: 1,
        ..Localnet::default()
    };
    let mut world = World::with(WorldConfig {
        localnet,
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await.to("POST", "/held");
    assert_eq!(relay.header.session_end_block_height, 4);
    let url = world.url();
    let open = tokio::spawn(async move { relay.send(&url).await });
    world.backend.wait_until_asked(1).await;
    world.advance_to(6).await;
    wait_for_watermark(&world, |watermark| watermark.height >= Height(6)).await;
    world.backend.release();
    let reply = open.await.unwrap();
    assert_eq!(
        reply.refusal(),
        (403, r#"{"error":"relay validation failed: session expired"}"#)
    );
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn watermark_waits_for_a_relay_in_flight_and_is_taken_back_at_the_end() {
    let mut world = World::new().await;
    let relay = world.relay().await.to("POST", "/held");
    assert_eq!(relay.header.session_end_block_height, 10);
    let url = world.url();
    let open = tokio::spawn(async move { relay.send(&url).await });
    world.backend.wait_until_asked(1).await;
    world.advance_to(12).await;
    let held = wait_for_watermark(&world, |watermark| watermark.height >= Height(12)).await;
    assert_eq!(held.open_from, Height(10));
    world.backend.release();
    open.await.unwrap().answer("supplier1");
    let passed = wait_for_watermark(&world, |watermark| watermark.open_from > Height(10)).await;
    assert_eq!(passed.open_from, Height(11));
    assert_eq!(world.published("supplier1").await.len(), 1);
    assert_eq!(world.store.watermarks().await.unwrap(), []);
    world.end().await;
}

async fn wait_for_watermark(
    world: &World,
    is_wanted: impl Fn(pocket_store::Watermark) -> bool,
) -> pocket_store::Watermark {
    loop {
        let live = world.store.watermarks().await.unwrap();
        if let Some((_, watermark)) = live.first()
            && is_wanted(*watermark)
        {
            return *watermark;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
