//! Relays over gRPC, and backends that speak it.

mod common;

use bytes::Bytes;
use common::client::{QUESTION, verified};
use common::grpc::{GrpcBackend, call, channel, framed, world, world_with};
use common::{NOWHERE, World, WorldConfig};
use futures::StreamExt as _;
use pocket_devnet::Actor;
use pocket_proto::pocket::service::relay_service_client::RelayServiceClient;
use pocket_proto::pocket::service::{Relay as MinedRelay, RelayRequest, RelayResponse};
use pocket_proto::sdk::types::PokthttpResponse;
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Sends a relay as a gRPC client does. `rpc_type` is metadata.
async fn send(world: &World, request: RelayRequest, rpc_type: Option<&'static str>) -> Result<RelayResponse, Status> {
    let mut request = tonic::Request::new(request);
    if let Some(rpc_type) = rpc_type {
        request.metadata_mut().insert("rpc-type", rpc_type.parse().unwrap());
    }
    let mut client = RelayServiceClient::new(channel(world).await);
    client.send_relay(request).await.map(tonic::Response::into_inner)
}

async fn answered(world: &World, request: RelayRequest) -> PokthttpResponse {
    let response = send(world, request, Some("1")).await.unwrap();
    verified(&response.encode_to_vec(), "supplier1")
}

fn value<'a>(answer: &'a PokthttpResponse, name: &str) -> &'a str {
    answer.header[name].values[0].as_str()
}

#[tokio::test]
async fn call_is_answered_signed_and_mined_with_metadata_and_trailers() {
    let (mut world, backend) = world().await;
    let request = call(&world.relay().await, "Say", b"hello").request();
    let response = send(&world, request.clone(), Some("1")).await.unwrap();

    let answer = verified(&response.encode_to_vec(), "supplier1");
    assert_eq!(answer.status_code, 200);
    assert_eq!(answer.body_bz, framed(b"hello"));
    assert_eq!(value(&answer, "Content-Type"), "application/grpc");
    assert_eq!(value(&answer, "X-Before"), "leading");
    assert_eq!(value(&answer, "X-After"), "trailing");
    assert_eq!(value(&answer, "Grpc-Status"), "0");

    let asked = &backend.asked()[0];
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/demo.Echo/Say")
    );
    assert_eq!(asked.body, framed(b"hello"));
    for (name, said) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("x-said", "so"),
        ("pocket-service", "svc-http"),
        ("pocket-supplier", Actor::named("supplier1").address.as_str()),
        ("pocket-application", Actor::named("app1").address.as_str()),
    ] {
        assert_eq!(asked.headers[name], said);
    }
    // What the gateway told the relayer is not the backend's.
    assert!(!asked.headers.contains_key("rpc-type") && !asked.headers.contains_key("accept-encoding"));

    let published = world.published("supplier1").await;
    assert_eq!(published.len(), 1);
    let mined = MinedRelay::decode(published[0].relay_bytes.clone()).unwrap();
    assert_eq!(mined.req.unwrap(), request);
    assert_eq!(mined.res.unwrap().payload_hash, response.payload_hash);
    world.end().await;
}

#[tokio::test]
async fn rpc_type_is_that_of_the_metadata_then_of_the_inner_request_then_the_services() {
    let (mut world, backend) = world().await;
    let relay = world.relay().await;
    let json = verified(
        &send(&world, relay.request(), None).await.unwrap().encode_to_vec(),
        "supplier1",
    );
    assert_eq!(&json.body_bz[..], QUESTION);
    assert_eq!(world.backend.asked()[0].headers["content-type"], "application/json");

    let inner = call(&relay, "Say", b"inner").request();
    send(&world, inner, None).await.unwrap();
    assert_eq!(backend.asked().len(), 1);

    let rest = call(&relay, "Say", b"rest").request();
    send(&world, rest, Some("4")).await.unwrap();
    assert_eq!(world.backend.asked()[1].target, "/rest/demo.Echo/Say");
    assert_eq!(world.published("supplier1").await.len(), 3);
    world.end().await;
}

#[tokio::test]
async fn grpc_backend_is_reached_by_plain_relays_too() {
    let (mut world, backend) = world().await;
    let relay = call(&world.relay().await, "Say", b"over HTTP").with_outer("rpc-type", "1");
    let answer = relay.send(&world.url()).await.answer("supplier1");
    assert_eq!(value(&answer, "Grpc-Status"), "0");
    assert_eq!(backend.asked()[0].headers["te"], "trailers");
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn all_messages_of_a_streaming_method_are_answered_in_one_relay() {
    let (mut world, _backend) = world().await;
    let request = call(&world.relay().await, "Repeat", b"again").request();
    let answer = answered(&world, request).await;
    assert_eq!(
        answer.body_bz,
        [framed(b"again"), framed(b"again"), framed(b"again")].concat()
    );
    assert_eq!(value(&answer, "Grpc-Status"), "0");
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn error_of_the_backends_method_is_a_relay_and_carried_with_its_message() {
    let (mut world, _backend) = world().await;
    let relay = world.relay().await;
    let early = answered(&world, call(&relay, "Fail", b"").request()).await;
    assert_eq!(
        (value(&early, "Grpc-Status"), value(&early, "Grpc-Message")),
        ("5", "no such thing")
    );
    let late = answered(&world, call(&relay, "FailLate", b"x").request()).await;
    assert_eq!(
        (value(&late, "Grpc-Status"), value(&late, "Grpc-Message")),
        ("13", "broke%20down")
    );
    assert_eq!(late.body_bz, framed(b"x"));
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn backend_that_gives_no_answer_is_told_in_a_signed_response_that_is_not_mined() {
    let service = "validation_mode: eager\nmax_body_size_bytes: 100000";
    let mut backend = GrpcBackend::start().await;
    let mut world = World::with(WorldConfig {
        grpc: Some(backend.url.clone()),
        service: service.to_owned(),
        top_level: "default_max_body_size_bytes: 100000".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    let failed = async |method: &str| {
        let response = send(&world, call(&relay, method, b"x").request(), Some("1"))
            .await
            .unwrap();
        let answer = verified(&response.encode_to_vec(), "supplier1");
        let error = response.relay_miner_error.unwrap();
        assert_eq!((answer.status_code, error.code), (500, 500));
        let told: serde_json::Value = serde_json::from_slice(&answer.body_bz).unwrap();
        assert_eq!(told["error"], error.description);
        error.description
    };
    assert_eq!(failed("Break").await, "backend error: unreachable");
    assert_eq!(failed("Large").await, "backend error: answer too large");
    backend.stop().await;
    assert_eq!(failed("Say").await, "backend error: unreachable");
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn backend_that_is_too_slow_is_told_in_a_signed_response() {
    let backend = GrpcBackend::start().await;
    let mut world = World::with(WorldConfig {
        grpc: Some(backend.url.clone()),
        service: "validation_mode: eager\ntimeout_profile: hasty".to_owned(),
        top_level: "timeout_profiles:
  hasty: { request_timeout_seconds: 1 }"
            .to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let request = call(&world.relay().await, "Never", b"x").request();
    let response = send(&world, request, Some("1")).await.unwrap();
    assert_eq!(
        response.relay_miner_error.unwrap().description,
        "backend error: timeout"
    );
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn server_error_of_the_backend_is_a_status_and_not_mined() {
    let (mut world, _backend) = world().await;
    let request = call(&world.relay().await, "Down", b"").request();
    let status = send(&world, request, Some("1")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "backend service error: HTTP 503")
    );
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn relay_that_is_not_believed_is_refused_before_the_backend_even_by_an_optimistic_service() {
    let backend = GrpcBackend::start().await;
    let mut world = world_with(&backend.url, "validation_mode: optimistic").await;
    let good = call(&world.relay().await, "Say", b"x");
    let mut forged = good.clone();
    forged.signer = "gateway9".to_owned();
    forged.ring = vec!["app1".to_owned(), "gateway9".to_owned()];
    let mut changed = good.request();
    changed.payload = good
        .clone()
        .to("POST", "/demo.Echo/Other")
        .envelope
        .encode_to_vec()
        .into();
    for request in [forged.request(), changed] {
        let status = send(&world, request, Some("1")).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().starts_with("relay validation failed: "), "{status}");
    }
    assert!(backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn refusals_have_the_statuses_of_the_spec() {
    let (mut world, _backend) = world().await;
    let relay = call(&world.relay().await, "Say", b"x");
    let mut unknown = relay.request();
    let header = |request: &mut RelayRequest| request.meta.as_mut().unwrap().session_header.clone().unwrap();
    let mut elsewhere = header(&mut unknown);
    elsewhere.service_id = "svc-none".to_owned();
    unknown.meta.as_mut().unwrap().session_header = Some(elsewhere);
    let mut nobody = relay.request();
    nobody.meta.as_mut().unwrap().supplier_operator_address.clear();
    let mut stranger = relay.clone();
    stranger.supplier = Actor::named("supplier9").address;
    let mut no_envelope = relay.request();
    no_envelope.payload = Bytes::from_static(b"\xff\xff");
    let table = [
        (unknown, "1", Code::NotFound, "unknown service: svc-none".to_owned()),
        (
            nobody,
            "1",
            Code::InvalidArgument,
            "missing supplier operator address in relay request".to_owned(),
        ),
        (
            stranger.request(),
            "1",
            Code::FailedPrecondition,
            format!("no signer for supplier {}", stranger.supplier),
        ),
        (
            no_envelope,
            "1",
            Code::InvalidArgument,
            "invalid relay request: body must be a valid RelayRequest protobuf".to_owned(),
        ),
        (
            relay.request(),
            "5",
            Code::Unavailable,
            "all backends unhealthy for service svc-http".to_owned(),
        ),
        (
            relay.request(),
            "2",
            Code::InvalidArgument,
            "websocket relays need a WebSocket connection".to_owned(),
        ),
    ];
    for (request, rpc_type, code, message) in table {
        let status = send(&world, request, Some(rpc_type)).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message.as_str()));
    }
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn message_over_the_limit_is_refused_and_four_mebibytes_are_not_a_limit() {
    let (mut world, _backend) = world().await;
    let relay = world.relay().await;
    let large = call(&relay, "Say", &vec![1; 5 << 20]).request();
    let mut client = RelayServiceClient::new(channel(&world).await).max_decoding_message_size(usize::MAX);
    let response = client.send_relay(large).await.unwrap().into_inner();
    assert_eq!(
        verified(&response.encode_to_vec(), "supplier1").body_bz.len(),
        5 + (5 << 20)
    );

    let too_large = call(&relay, "Say", &vec![1; 11 << 20]).request();
    let status = client.send_relay(too_large).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn gzip_is_understood_and_mirrored() {
    let (mut world, _backend) = world().await;
    let message = vec![b'x'; 100_000];
    let request = call(&world.relay().await, "Say", &message).request();
    let mut client = RelayServiceClient::new(channel(&world).await)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let response = client.send_relay(request).await.unwrap();
    assert_eq!(response.metadata().get("grpc-encoding").unwrap(), "gzip");
    let answer = verified(&response.into_inner().encode_to_vec(), "supplier1");
    assert_eq!(answer.body_bz, framed(&message));
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn calls_share_a_connection_and_are_all_mined() {
    let (mut world, backend) = world().await;
    let relay = world.relay().await;
    let client = RelayServiceClient::new(channel(&world).await);
    let calls = (0..200).map(|number| {
        let said = format!("call {number}");
        let request = call(&relay, "Say", said.as_bytes()).request();
        let mut client = client.clone();
        async move {
            let mut request = tonic::Request::new(request);
            request.metadata_mut().insert("rpc-type", "grpc".parse().unwrap());
            let response = client.send_relay(request).await.unwrap().into_inner();
            let answer = verified(&response.encode_to_vec(), "supplier1");
            assert_eq!(answer.body_bz, framed(said.as_bytes()));
        }
    });
    futures::future::join_all(calls).await;
    assert_eq!(backend.asked().len(), 200);
    assert_eq!(world.published("supplier1").await.len(), 200);
    world.end().await;
}

#[tokio::test]
async fn relay_of_a_client_that_leaves_is_not_mined_and_holds_nothing_up() {
    let (mut world, backend) = world().await;
    let request = call(&world.relay().await, "Never", b"x").request();
    let left = tokio::select! {
        _ = send(&world, request, Some("1")) => false,
        () = backend.wait_until_asked(1) => true,
    };
    assert!(left);
    assert!(world.published("supplier1").await.is_empty());
    assert_eq!(world.counted("ha_relayer_relays_served_total", &[]), 0);
    world.end().await;
}

#[tokio::test]
async fn service_whose_only_backend_fails_is_unavailable_and_not_serving() {
    let config = WorldConfig {
        backends: Some(format!(
            "grpc:\n  url: {NOWHERE}\n  health_check: {{ unhealthy_threshold: 1 }}"
        )),
        ..WorldConfig::default()
    };
    let mut world = World::with(config).await;
    let relay = world.relay().await;
    let mut health = HealthClient::new(channel(&world).await);
    let service = "svc-http".to_owned();
    let mut watched = health.watch(HealthCheckRequest { service }).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let response = send(&world, call(&relay, "Say", b"x").request(), Some("1"))
        .await
        .unwrap();
    assert_eq!(
        response.relay_miner_error.unwrap().description,
        "backend error: unreachable"
    );
    assert_eq!(
        watched.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    let status = send(&world, call(&relay, "Say", b"y").request(), Some("1"))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "all backends unhealthy for service svc-http")
    );
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}
