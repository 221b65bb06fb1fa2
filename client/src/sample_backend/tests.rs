//! The backend as its callers see it.

use futures::{SinkExt as _, StreamExt as _};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::*;

async fn call(backend: &SampleBackend, request: http::request::Builder, body: &str) -> Option<(StatusCode, Bytes)> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = request.body(Full::<Bytes>::from(body.to_owned())).unwrap();
    let answer = client.request(request).await.ok()?;
    assert!(backend.received() > 0);
    Some((answer.status(), answer.into_body().collect().await.unwrap().to_bytes()))
}

async fn post(backend: &SampleBackend, body: &str) -> (StatusCode, Value) {
    let (status, body) = call(backend, Request::post(backend.url()), body).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn backend(behaviour: Behaviour) -> SampleBackend {
    let config = SampleBackendConfig {
        behaviour,
        ..Default::default()
    };
    SampleBackend::start(config).await.unwrap()
}

#[tokio::test]
async fn json_rpc_call_is_answered_with_its_id() {
    let backend = backend(Behaviour::default()).await;
    let (status, answer) = post(&backend, r#"{"jsonrpc":"2.0","id":"a","method":"eth_blockNumber"}"#).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": "a", "result": "0x1"}));
    let (_, answer) = post(&backend, r#"{"id":2,"method":"echo","params":[1,{"a":null}]}"#).await;
    assert_eq!(answer["result"], json!([1, {"a": null}]));
    assert_eq!(backend.served(), 2);
}

#[tokio::test]
async fn json_rpc_batch_and_nonsense_are_answered_too() {
    let backend = backend(Behaviour::default()).await;
    let (_, answer) = post(&backend, r#"[{"id":1,"method":"a"},{"id":2,"method":"b"}]"#).await;
    assert_eq!((answer[0]["id"].as_u64(), answer[1]["id"].as_u64()), (Some(1), Some(2)));
    let (status, answer) = post(&backend, "{").await;
    assert_eq!(
        (status, answer["error"]["code"].as_i64()),
        (StatusCode::OK, Some(-32700))
    );
    let (_, answer) = post(&backend, r#"{"id":1}"#).await;
    assert_eq!(answer["error"]["code"], -32600);
}

#[tokio::test]
async fn status_is_that_of_a_comet_node() {
    let backend = backend(Behaviour::default()).await;
    let (_, answer) = post(&backend, r#"{"jsonrpc":"2.0","id":1,"method":"status","params":[]}"#).await;
    assert!(answer["result"]["sync_info"]["latest_block_height"].is_string());
    let (_, body) = call(&backend, Request::get(format!("{}/status", backend.url())), "")
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["result"]["sync_info"]["catching_up"], false);
}

#[tokio::test]
async fn rest_call_is_told_what_it_was() {
    let backend = backend(Behaviour::default()).await;
    let request = Request::put(format!("{}/a%2Fb?x=1&y", backend.url()))
        .header("x-a", "1")
        .header("x-a", "2");
    let (_, body) = call(&backend, request, "hello").await.unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["method"], "PUT");
    assert_eq!(answer["path"], "/a%2Fb");
    assert_eq!(answer["query"], "x=1&y");
    assert_eq!(answer["headers"]["x-a"], json!(["1", "2"]));
    assert_eq!(answer["body"], "hello");
}

#[tokio::test]
async fn every_third_call_fails() {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let failure = Failure::Status { status, one_in: 3 };
    let backend = backend(Behaviour {
        failure,
        ..Default::default()
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(
            call(&backend, Request::get(backend.url()), "")
                .await
                .unwrap()
                .0
                .as_u16(),
        );
    }
    assert_eq!(statuses, [200, 200, 500, 200, 200, 500]);
    assert_eq!((backend.received(), backend.served()), (6, 4));
}

#[tokio::test]
async fn hung_up_call_has_no_answer_and_the_next_behaviour_has() {
    let failure = Failure::Hangup { one_in: 1 };
    let backend = backend(Behaviour {
        failure,
        ..Default::default()
    })
    .await;
    assert_eq!(call(&backend, Request::get(backend.url()), "").await, None);
    backend.behave(Behaviour::default());
    assert!(call(&backend, Request::get(backend.url()), "").await.is_some());
    assert_eq!(backend.served(), 1);
}

#[tokio::test]
async fn answers_are_padded_to_the_wanted_size() {
    let answer_bytes = 100_000;
    let backend = backend(Behaviour {
        answer_bytes,
        ..Default::default()
    })
    .await;
    let (_, body) = call(&backend, Request::get(backend.url()), "").await.unwrap();
    assert!(
        (answer_bytes..answer_bytes + 200).contains(&body.len()),
        "{}",
        body.len()
    );
    assert!(serde_json::from_slice::<Value>(&body).is_ok());
    let (_, body) = call(
        &backend,
        Request::post(backend.url()),
        r#"{"id":1,"method":"eth_blockNumber"}"#,
    )
    .await
    .unwrap();
    assert!(
        (answer_bytes..answer_bytes + 200).contains(&body.len()),
        "{}",
        body.len()
    );
}

#[tokio::test]
async fn stream_comes_batch_by_batch_in_the_form_that_is_asked_for() {
    let backend = backend(Behaviour {
        batch_pause: Duration::ZERO,
        ..Default::default()
    })
    .await;
    let post = |path: &str| Request::post(format!("{}{path}", backend.url()));
    let said = |body: Bytes| String::from_utf8(body.to_vec()).unwrap();
    let asked_in_body = r#"{"id":7,"batches":2}"#;
    let (_, events) = call(&backend, post("/"), asked_in_body).await.unwrap();
    assert_eq!(
        said(events),
        "data: {\"id\":7,\"jsonrpc\":\"2.0\",\"result\":{\"batch\":1,\"call\":1,\"of\":2}}\n\n\
         data: {\"id\":7,\"jsonrpc\":\"2.0\",\"result\":{\"batch\":2,\"call\":1,\"of\":2}}\n\n"
    );
    let accepting = post("/").header("accept", "application/x-ndjson");
    let (_, lines) = call(&backend, accepting, "{}").await.unwrap();
    assert_eq!(said(lines).lines().count(), 3);
    let (_, events) = call(&backend, Request::get(format!("{}/stream/sse", backend.url())), "")
        .await
        .unwrap();
    assert_eq!(said(events).matches("data: ").count(), 3);
}

/// The messages and the status of a call.
async fn grpc(backend: &SampleBackend, method: &str, message: &[u8]) -> (Vec<u8>, String) {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let mut body = vec![0, 0, 0, 0, message.len() as u8];
    body.extend(message);
    let request = Request::post(format!("{}{method}", backend.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::<Bytes>::from(body))
        .unwrap();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().unwrap_or(&head.headers);
    let status = trailers["grpc-status"].to_str().unwrap().to_owned();
    (body.to_bytes().to_vec(), status)
}

#[tokio::test]
async fn grpc_call_has_one_answer_or_a_stream_of_them_and_a_status() {
    let backend = backend(Behaviour::default()).await;
    let (body, status) = grpc(&backend, "/demo.DemoService/GetBlockHeight", &[]).await;
    assert_eq!((&body[..], status.as_str()), (&[0, 0, 0, 0, 2, 8, 1][..], "0"));
    let (body, status) = grpc(&backend, "/demo.DemoService/StreamBlockHeights", &[8, 2]).await;
    assert_eq!(
        (&body[..], status.as_str()),
        (&[0, 0, 0, 0, 2, 8, 2, 0, 0, 0, 0, 2, 8, 3][..], "0")
    );
    let (body, status) = grpc(&backend, "/demo.DemoService/Nothing", &[]).await;
    assert_eq!((body.len(), status.as_str()), (0, "12"));
    let (_, status) = grpc(&backend, "/demo.DemoService/GetBlockHeight", &[0xff]).await;
    assert_eq!(status, "3");
}

async fn socket(backend: &SampleBackend) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    tokio_tungstenite::connect_async(backend.socket_url()).await.unwrap().0
}

#[tokio::test]
async fn messages_are_answered_in_text_and_what_is_no_call_is_said_again() {
    let backend = backend(Behaviour::default()).await;
    let mut socket = socket(&backend).await;
    let call = r#"{"jsonrpc":"2.0","id":4,"method":"eth_blockNumber"}"#;
    socket.send(Message::binary(call)).await.unwrap();
    let Some(Ok(Message::Text(answer))) = socket.next().await else {
        panic!("JSON is text")
    };
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 4, "result": "0x1"}));
    socket.send(Message::binary("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary("hello"));
    assert_eq!((backend.received(), backend.served()), (2, 2));
}

#[tokio::test]
async fn subscription_pushes_as_often_as_it_is_told() {
    let backend = backend(Behaviour::default()).await;
    let mut socket = socket(&backend).await;
    let call = r#"{"id":1,"method":"eth_subscribe","params":["newHeads",{"pushes":2}]}"#;
    socket.send(Message::text(call)).await.unwrap();
    socket.send(Message::text("end")).await.unwrap();
    let mut said = Vec::new();
    while said.last().is_none_or(|last| last != "end") {
        said.push(socket.next().await.unwrap().unwrap().into_text().unwrap().to_string());
    }
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[0].contains("\"result\":\"0x1\""), "{said:?}");
    assert!(said[1].contains("eth_subscription") && said[1] != said[2], "{said:?}");
}

#[tokio::test]
async fn sockets_fail_as_calls_do_and_end_with_the_backend() {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let failure = Failure::Status { status, one_in: 1 };
    let backend = backend(Behaviour {
        failure,
        ..Default::default()
    })
    .await;
    let mut first = socket(&backend).await;
    first.send(Message::text("{}")).await.unwrap();
    let Some(Ok(Message::Close(Some(close)))) = first.next().await else {
        panic!("a close")
    };
    assert_eq!(u16::from(close.code), 1011);
    let mut second = socket(&backend).await;
    drop(backend);
    assert!(!matches!(second.next().await, Some(Ok(_))));
}
