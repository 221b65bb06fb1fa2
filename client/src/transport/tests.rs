//! Streams, calls and sockets to a relayer that answers as it is told.

use crate::fake_relayer::{FakeRelayer, Manner, SHORT};
use crate::{Answer, BackendCall, Check, ClientConfig, ErrorKind, Mode, Payload, RelayClient, RelayError, SignedRelay};

fn usual(mode: Mode) -> Payload {
    BackendCall::usual(mode).payload()
}

/// Answered with three messages.
fn subscription() -> Payload {
    Payload::message("subscribe".into()).with_pushes(2)
}

async fn ask(client: &RelayClient, payload: &Payload) -> Result<Answer, RelayError> {
    let relay = SignedRelay::new(client.sessions().current().await?, payload);
    let received = client.send(&relay).await?;
    relay.read(received, Check::All)
}

async fn answer_of(manner: Manner, payload: &Payload) -> Result<Answer, RelayError> {
    ask(&FakeRelayer::start(manner, 1).await.client(), payload).await
}

async fn error_of(manner: Manner, payload: &Payload) -> ErrorKind {
    answer_of(manner, payload).await.unwrap_err().kind()
}

#[tokio::test]
async fn every_piece_of_a_stream_and_of_a_subscription_is_believed() {
    for (payload, status) in [(usual(Mode::Stream), Some(200)), (subscription(), None)] {
        let answer = answer_of(Manner::Honest(200), &payload).await.unwrap().whole().unwrap();
        assert_eq!((answer.bodies.len(), answer.status), (3, status));
        assert_eq!(
            answer.body().len(),
            answer.bodies.iter().map(bytes::Bytes::len).sum::<usize>()
        );
    }
}

#[tokio::test]
async fn later_piece_that_another_signed_ends_the_answer_before_it() {
    for payload in [usual(Mode::Stream), subscription()] {
        let answer = answer_of(Manner::LaterOtherSigner, &payload).await.unwrap();
        assert_eq!(answer.bodies.len(), 1);
        assert_eq!(answer.whole().unwrap_err().kind(), ErrorKind::WrongSignature);
    }
}

#[tokio::test]
async fn piece_that_another_signed_is_not_believed_whatever_carries_it() {
    for payload in [usual(Mode::Stream), usual(Mode::Grpc), usual(Mode::WebSocket)] {
        assert_eq!(error_of(Manner::OtherSigner, &payload).await, ErrorKind::WrongSignature);
        assert_eq!(
            error_of(Manner::SwappedPayload, &payload).await,
            ErrorKind::WrongPayloadHash
        );
        assert_eq!(error_of(Manner::OtherSession, &payload).await, ErrorKind::OtherSession);
        assert_eq!(error_of(Manner::SignedError, &payload).await, ErrorKind::Failed(7));
    }
}

#[tokio::test]
async fn answer_that_breaks_off_keeps_what_came_and_says_why_there_is_no_more() {
    let answer = answer_of(Manner::BreakOff, &usual(Mode::Stream)).await.unwrap();
    assert_eq!(answer.bodies.len(), 2);
    assert_eq!(answer.whole().unwrap_err().kind(), ErrorKind::Connection);
    let answer = answer_of(Manner::BreakOff, &subscription()).await.unwrap();
    assert_eq!(answer.bodies.len(), 2);
    let error = answer.whole().unwrap_err();
    assert!(
        matches!(&error, RelayError::Closed { code: 4000, reason } if reason == "why"),
        "{error}"
    );
}

#[tokio::test]
async fn call_goes_to_the_relay_service_with_its_type() {
    let relayer = FakeRelayer::start(Manner::Honest(200), 1).await;
    let answer = ask(&relayer.client(), &usual(Mode::Grpc)).await.unwrap();
    assert_eq!(answer.status, Some(200));
    // The fake's backend says nothing of gRPC.
    assert_eq!(answer.backend_error(Mode::Grpc).as_deref(), Some("no gRPC status"));
    let arrived = relayer.arrived.lock().unwrap();
    assert_eq!(arrived[0].path, "/pocket.service.RelayService/SendRelay");
    assert_eq!(arrived[0].headers["rpc-type"], "1");
    assert_eq!(arrived[0].headers["te"], "trailers");
}

#[tokio::test]
async fn refusals_are_told_in_the_carriers_own_words() {
    assert_eq!(
        error_of(Manner::Refuse(7), &usual(Mode::Grpc)).await,
        ErrorKind::Status(7)
    );
    for payload in [usual(Mode::Stream), usual(Mode::WebSocket)] {
        assert_eq!(error_of(Manner::Refuse(503), &payload).await, ErrorKind::Refused(503));
    }
}

#[tokio::test]
async fn silent_socket_is_a_timeout() {
    let relayer = FakeRelayer::start(Manner::Silent, 1).await;
    let config = ClientConfig {
        timeout: SHORT,
        ..relayer.config()
    };
    let client = RelayClient::new(&config, relayer.sessions()).unwrap();
    for payload in [usual(Mode::WebSocket), usual(Mode::Grpc)] {
        assert_eq!(ask(&client, &payload).await.unwrap_err().kind(), ErrorKind::Timeout);
    }
}

#[tokio::test]
async fn socket_is_used_again_by_the_next_relay_for_the_same_supplier() {
    let relayer = FakeRelayer::start(Manner::Honest(200), 2).await;
    let client = relayer.client();
    for _ in 0..6 {
        ask(&client, &usual(Mode::WebSocket)).await.unwrap();
    }
    assert_eq!(relayer.arrived.lock().unwrap().len(), 6);
    assert_eq!(relayer.sockets(), 2);
}

#[tokio::test]
async fn messages_that_nobody_waited_for_are_no_answer_to_the_next_relay() {
    let relayer = FakeRelayer::start(Manner::Honest(200), 1).await;
    let client = relayer.client();
    // Two more messages come than are waited for.
    ask(&client, &Payload::message("subscribe".into())).await.unwrap();
    relayer.said_all().await;
    // The runtime looks at its sockets once in a while.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let answer = ask(&client, &usual(Mode::WebSocket)).await.unwrap();
    assert_eq!(&answer.body()[..], br#"{"jsonrpc":"2.0","id":1,"result":0}"#);
    assert_eq!(relayer.sockets(), 2);
}
