//! What else the gRPC port understands: gRPC-Web, calls that are none, health and reflection.

mod common;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use common::client::{self, Reply, verified};
use common::grpc::{GrpcBackend, call, channel, framed, world};
use common::{World, WorldConfig};
use futures::StreamExt as _;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const PATH: &str = "/pocket.service.RelayService/SendRelay";

/// Sends bytes as the body of a call.
async fn post(
    world: &World,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
    http2: bool,
) -> (Reply, http::HeaderMap) {
    let mut request = Request::post(format!("{}{path}", world.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client::exchange_with_headers(request.body(Full::new(body)).unwrap(), http2).await
}

#[tokio::test]
async fn what_is_no_call_of_the_relay_service_gets_a_status_alone() {
    let (world, _backend) = world().await;
    let native = ("content-type", "application/grpc");
    let relay = call(&world.relay().await, "Say", b"x");
    let two = [framed(&relay.bytes()), framed(b"")].concat().into();
    let table = [
        ("/pocket.service.RelayService/Other", vec![native], Bytes::new(), "12"),
        (PATH, vec![native], Bytes::new(), "3"),
        (PATH, vec![native], Bytes::from_static(b"\0\0\0\0\x09x"), "3"),
        (PATH, vec![native], two, "3"),
        (PATH, vec![native, ("grpc-encoding", "snappy")], framed(b""), "12"),
    ];
    for (path, headers, body, status) in table {
        let (reply, head) = post(&world, path, &headers, body, true).await;
        assert_eq!(reply.status.as_u16(), 200);
        assert_eq!(reply.content_type, "application/grpc");
        assert_eq!(head["grpc-status"], status, "{head:?}");
        assert!(reply.body.is_empty());
    }
    let (reply, _) = post(&world, PATH, &[native], framed(&relay.bytes()), false).await;
    assert_eq!(reply.status.as_u16(), 505);
    world.end().await;
}

/// The messages and trailers of a gRPC-Web body.
fn frames(mut body: &[u8]) -> (Vec<Bytes>, String) {
    let mut messages = Vec::new();
    while let [flag, a, b, c, d, rest @ ..] = body {
        let (message, after) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        if *flag == 0x80 {
            assert!(after.is_empty());
            return (messages, String::from_utf8(message.to_vec()).unwrap());
        }
        assert_eq!(*flag, 0);
        messages.push(Bytes::copy_from_slice(message));
        body = after;
    }
    panic!("no trailers: {messages:?}")
}

#[tokio::test]
async fn browsers_relay_is_answered_signed_and_mined_over_http1_and_http2_binary_and_text() {
    let (mut world, _backend) = world().await;
    let relay = world.relay().await;
    let path = format!("/some/prefix{PATH}");
    for (number, (is_text, http2)) in [(false, false), (false, true), (true, false), (true, true)]
        .into_iter()
        .enumerate()
    {
        let said = format!("from a browser {number}");
        let wire = framed(&call(&relay, "Say", said.as_bytes()).bytes());
        // Browsers write text in pieces.
        let (kind, body) = if is_text {
            let pieces = wire.chunks(100).map(|piece| STANDARD.encode(piece)).collect::<String>();
            ("application/grpc-web-text", pieces.into())
        } else {
            ("application/grpc-web+proto", wire)
        };
        let headers = [("content-type", kind), ("origin", "https://dapp.example")];
        let (reply, head) = post(&world, &path, &headers, body, http2).await;
        assert_eq!(reply.status.as_u16(), 200);
        assert_eq!(head["access-control-allow-origin"], "https://dapp.example");
        let body = if is_text {
            assert_eq!(reply.content_type, "application/grpc-web-text+proto");
            let pieces = reply.body.split_inclusive(|byte| *byte == b'=');
            let mut bytes = Vec::new();
            let mut text = Vec::new();
            for piece in pieces {
                text.extend_from_slice(piece);
                if text.len() % 4 == 0 {
                    STANDARD.decode_vec(&text, &mut bytes).unwrap();
                    text.clear();
                }
            }
            assert!(text.is_empty());
            bytes
        } else {
            reply.body.to_vec()
        };
        let (messages, trailers) = frames(&body);
        assert_eq!(trailers, "grpc-status:0\r\n");
        assert_eq!(verified(&messages[0], "supplier1").body_bz, framed(said.as_bytes()));
    }
    assert_eq!(world.published("supplier1").await.len(), 4);
    world.end().await;
}

#[tokio::test]
async fn browsers_relay_that_is_not_believed_is_refused_with_a_status_and_not_mined() {
    let (mut world, backend) = world().await;
    let mut forged = call(&world.relay().await, "Say", b"x");
    forged.signer = "gateway9".to_owned();
    forged.ring = vec!["app1".to_owned(), "gateway9".to_owned()];
    let web = [("content-type", "application/grpc-web+proto")];
    let (reply, head) = post(&world, PATH, &web, framed(&forged.bytes()), false).await;
    assert_eq!(
        (reply.status.as_u16(), &head["grpc-status"]),
        (200, &"7".parse().unwrap())
    );
    let text = [("content-type", "application/grpc-web-text+proto")];
    let (_, head) = post(&world, PATH, &text, Bytes::from_static(b"no base64"), false).await;
    assert_eq!(head["grpc-status"], "3");
    assert!(backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn browser_that_asks_first_may_call() {
    let (world, _backend) = world().await;
    let headers = [
        ("origin", "https://dapp.example".to_owned()),
        ("access-control-request-method", "POST".to_owned()),
        ("access-control-request-headers", "content-type,x-grpc-web".to_owned()),
    ];
    let url = format!("{}{PATH}", world.url());
    let reply = client::send(&url, Method::OPTIONS, &headers, Bytes::new()).await;
    assert_eq!(reply.status.as_u16(), 204);
    world.end().await;
}

#[tokio::test]
async fn health_is_told_for_the_process_and_for_each_service_and_ends_with_it() {
    let (mut world, _backend) = world().await;
    let mut health = HealthClient::new(channel(&world).await);
    let asked = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    for service in ["", "pocket.service.RelayService", "svc-http"] {
        let told = health.check(asked(service)).await.unwrap().into_inner();
        assert_eq!(told.status(), ServingStatus::Serving, "{service}");
    }
    assert_eq!(
        health.check(asked("svc-none")).await.unwrap_err().code(),
        Code::NotFound
    );

    let mut unknown = health.watch(asked("svc-none")).await.unwrap().into_inner();
    assert_eq!(
        unknown.next().await.unwrap().unwrap().status(),
        ServingStatus::ServiceUnknown
    );
    let mut watched = health.watch(asked("svc-http")).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    // Ends the relayer, which does not wait for those who watch.
    world.published("supplier1").await;
    assert_eq!(
        watched.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    assert!(watched.next().await.is_none());
    world.end().await;
}

#[tokio::test]
async fn one_who_watches_health_is_not_taken_for_one_who_takes_no_answer() {
    let backend = GrpcBackend::start().await;
    let mut world = World::with(WorldConfig {
        grpc: Some(backend.url.clone()),
        top_level: "inbound: {stall_timeout_seconds: 1}
default_request_timeout_seconds: 1
timeout_profiles: {fast: {}}"
            .to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let mut health = HealthClient::new(channel(&world).await);
    let service = "svc-http".to_owned();
    let mut watched = health.watch(HealthCheckRequest { service }).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::Serving);

    // Another comes later, takes no answer, and is cut off for it.
    let large = call(&world.relay().await, "Large", b"").bytes();
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .http2_initial_stream_window_size(1000)
        .build_http();
    let request = Request::post(format!("{}{PATH}", world.url()))
        .header("content-type", "application/grpc")
        .header("rpc-type", "1")
        .body(Full::new(framed(&large)))
        .unwrap();
    let untaken = client.request(request).await.unwrap();
    while world.gauge("ha_relayer_active_connections") > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(untaken.into_body().collect().await.is_err());

    // The first is told what happens still.
    assert_eq!(world.published("supplier1").await.len(), 1);
    assert_eq!(
        watched.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    world.end().await;
}

#[tokio::test]
async fn reflection_describes_the_relay_service() {
    let (world, _backend) = world().await;
    let mut reflection = ServerReflectionClient::new(channel(&world).await);
    let ask = |message| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let symbol = "pocket.service.RelayService.SendRelay".to_owned();
    let asked = futures::stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(symbol)),
    ]);
    let mut told = reflection.server_reflection_info(asked).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = told.next().await.unwrap().unwrap().message_response else {
        panic!("no list");
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"pocket.service.RelayService"), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    let described = told.next().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::FileDescriptorResponse(files)) = described else {
        panic!("{described:?}");
    };
    assert!(!files.file_descriptor_proto.is_empty());
    world.end().await;
}

#[tokio::test]
async fn open_conversation_does_not_hold_up_the_shutdown() {
    let (mut world, _backend) = world().await;
    let mut reflection = ServerReflectionClient::new(channel(&world).await);
    let (asks, asked) = futures::channel::mpsc::unbounded();
    let mut told = reflection.server_reflection_info(asked).await.unwrap().into_inner();
    world.published("supplier1").await;
    assert!(told.next().await.is_none());
    drop(asks);
    world.end().await;
}
