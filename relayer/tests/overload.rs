//! More than can be served: refused early and cheaply, and nothing lost of what was taken.

mod common;

use std::time::Duration;

use common::client::{self, Relay};
use common::{World, WorldConfig};
use http::Method;
use pocket_devnet::{Actor, Localnet};
use pocket_proto::pocket::session::SessionHeader;
use prost::Message as _;
use tokio::task::JoinSet;

const BUSY: &str = r#"{"error":"service temporarily unavailable","service":"svc-http"}"#;

/// A relay of an application that the chain does not know, for a session that could be.
fn of_nobody(header: &SessionHeader, number: usize) -> Relay {
    let mut header = header.clone();
    header.application_address = Actor::named(&format!("nobody{number}")).address;
    Relay::new(header, "supplier1")
}

#[tokio::test]
async fn relays_over_a_services_bound_are_refused_at_once_and_none_is_lost() {
    let mut world = World::with_service("validation_mode: eager\nmax_relays_in_flight: 2").await;
    let held = world.relay().await.to("POST", "/held");
    let mut sending = JoinSet::new();
    for _ in 0..2 {
        let (relay, url) = (held.clone(), world.url());
        sending.spawn(async move { relay.send(&url).await });
    }
    world.backend.wait_until_asked(2).await;
    let reply = held.send(&world.url()).await;
    assert_eq!(reply.refusal(), (503, BUSY));
    assert_eq!(reply.retry_after.as_deref(), Some("1"));
    let labels = [("reason", "overloaded")];
    assert_eq!(world.counted("ha_relayer_relays_rejected_total", &labels), 1);
    for _ in 0..2 {
        world.backend.release();
    }
    for reply in sending.join_all().await {
        reply.answer("supplier1");
    }
    // The places are free again.
    world.relay().await.send(&world.url()).await.answer("supplier1");
    assert_eq!(world.published("supplier1").await.len(), 3);
    world.end().await;
}

#[tokio::test]
async fn relay_over_the_bound_of_all_services_is_refused_before_it_is_read() {
    let world = World::with(WorldConfig {
        top_level: "max_relays_in_flight: 1".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let (held, url) = (world.relay().await.to("POST", "/held"), world.url());
    let first = tokio::spawn(async move { held.send(&url).await });
    world.backend.wait_until_asked(1).await;
    let reply = client::send(&world.url(), Method::POST, &[], "no relay at all".into()).await;
    assert_eq!(reply.refusal(), (503, r#"{"error":"relayer overloaded"}"#));
    assert_eq!(reply.retry_after.as_deref(), Some("1"));
    world.backend.release();
    first.await.unwrap().answer("supplier1");
    world.end().await;
}

#[tokio::test]
async fn burst_is_served_or_refused_and_all_that_is_answered_is_mined() {
    let mut world = World::with_service("validation_mode: eager\nmax_relays_in_flight: 8").await;
    let relay = world.relay().await;
    let mut sending = JoinSet::new();
    for number in 0..200 {
        let (relay, url) = (relay.clone().to("POST", &format!("/{number}")), world.url());
        sending.spawn(async move { relay.send(&url).await });
    }
    let replies = sending.join_all().await;
    let served = replies.iter().filter(|reply| reply.status == 200).count();
    for refused in replies.iter().filter(|reply| reply.status != 200) {
        assert_eq!(refused.refusal(), (503, BUSY));
    }
    assert!(served >= 8, "{served}");
    assert_eq!(world.published("supplier1").await.len(), served);
    world.end().await;
}

#[tokio::test]
async fn sessions_that_do_not_exist_cost_a_bounded_number_of_queries() {
    let world = World::new().await;
    let relay = world.relay().await;
    relay.send(&world.url()).await.answer("supplier1");
    let before = world.devnet.queries();
    let mut spent = 0;
    let began = std::time::Instant::now();
    for batch in 0..20 {
        let mut sending = JoinSet::new();
        for number in 0..40 {
            let bytes = of_nobody(&relay.header, 40 * batch + number).bytes();
            let url = world.url();
            sending.spawn(async move { client::send(&url, Method::POST, &[], bytes).await });
        }
        for reply in sending.join_all().await {
            match reply.status.as_u16() {
                403 => {}
                503 => {
                    assert_eq!(reply.refusal(), (503, BUSY));
                    spent += 1;
                }
                other => panic!("{other}: {}", reply.text()),
            }
        }
    }
    // 256 at once and 50 a second, one query each; some more for parameters.
    let bound = 256 + 50 * (began.elapsed().as_secs() + 1) + 10;
    let asked = world.devnet.queries() - before;
    assert!(asked <= bound, "{asked} queries, {bound} allowed");
    assert!(spent > 0 && asked < 800, "{asked} queries, {spent} relays without one");
    // Those that are known are served all the same, also by a supplier that was not asked for before.
    relay.send(&world.url()).await.answer("supplier1");
    let other = Relay::new(relay.header.clone(), "supplier2");
    other.send(&world.url()).await.answer("supplier2");
    world.end().await;
}

#[tokio::test]
async fn heights_of_no_session_cost_no_query() {
    let world = World::with(WorldConfig {
        localnet: Localnet {
            session_blocks: 10,
            ..Localnet::default()
        },
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    relay.send(&world.url()).await.answer("supplier1");
    // The first one may ask for the parameters of the block.
    let mut before = None;
    for number in 0..200 {
        let mut forged = of_nobody(&relay.header, number);
        // Before, around and after the session 1 to 10, none of them on the grid.
        forged.header.session_start_block_height = 2 + number as i64;
        forged.header.session_end_block_height = 12 + 2 * number as i64;
        let reply = forged.send(&world.url()).await;
        assert_eq!(reply.status, 403, "{}", reply.text());
        before.get_or_insert_with(|| world.devnet.queries());
    }
    assert_eq!(before, Some(world.devnet.queries()));
    world.end().await;
}

#[tokio::test]
async fn session_that_was_refused_once_does_not_use_up_what_others_may_ask() {
    let world = World::new().await;
    let bytes = of_nobody(&world.session().await, 0).bytes();
    for _ in 0..20 {
        let mut sending = JoinSet::new();
        for _ in 0..50 {
            let (bytes, url) = (bytes.clone(), world.url());
            sending.spawn(async move { client::send(&url, Method::POST, &[], bytes).await });
        }
        assert!(sending.join_all().await.iter().all(|reply| reply.status == 403));
    }
    world.relay().await.send(&world.url()).await.answer("supplier1");
    world.end().await;
}

#[tokio::test]
async fn forged_signature_is_refused_without_a_query_and_before_any_arithmetic() {
    let world = World::new().await;
    let relay = world.relay().await;
    // Of a session that is not known: whatever is no signature is refused before the chain is asked.
    let before = world.devnet.queries();
    let mut request = relay.request();
    if let Some(meta) = &mut request.meta {
        meta.signature = vec![7; 199].into();
    }
    let reply = client::send(&world.url(), Method::POST, &[], request.encode_to_vec().into()).await;
    assert_eq!(reply.status, 403);
    assert_eq!(world.devnet.queries(), before);
    // Of a known one: a stranger's signature is good, but nobody does the sums.
    relay.send(&world.url()).await.answer("supplier1");
    let before = (
        world.devnet.queries(),
        world.counted("ha_relayer_ring_verifications_total", &[]),
    );
    assert_eq!(before.1, 1);
    let mut stranger = relay.clone();
    stranger.signer = "gateway9".to_owned();
    stranger.ring = vec!["app1".to_owned(), "gateway9".to_owned()];
    for _ in 0..10 {
        assert_eq!(stranger.send(&world.url()).await.status, 403);
    }
    let after = (
        world.devnet.queries(),
        world.counted("ha_relayer_ring_verifications_total", &[]),
    );
    assert_eq!(before, after);
    world.end().await;
}

#[tokio::test]
async fn session_that_begins_before_its_block_is_seen_here_is_served() {
    let world = World::new().await;
    world.relay().await.send(&world.url()).await.answer("supplier1");
    // The chain goes on to the next session; the relay comes with the block's news or before.
    world.devnet.advance_to(11);
    let relay = Relay::new(world.session().await, "supplier1");
    assert_eq!(relay.header.session_start_block_height, 11);
    let mut reply = relay.send(&world.url()).await;
    while reply.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        reply = relay.send(&world.url()).await;
    }
    reply.answer("supplier1");
    world.end().await;
}
