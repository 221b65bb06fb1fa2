//! A backend to relay to: it answers JSON-RPC, REST and `CometBFT` calls, and fails when it is told to.

mod answers;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::http_server::HttpServer;

/// What the backend does with calls; may be changed while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Waits this long before each answer.
    pub delay: Duration,
    /// Answers are made at least this long, by a field or line of padding.
    pub answer_bytes: usize,
    /// What goes wrong.
    pub failure: Failure,
}

/// What goes wrong at the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// Nothing.
    #[default]
    None,
    /// Every nth call is answered with this status and a short text; 1 is all of them, 0 none.
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// Of how many calls one fails.
        one_in: u64,
    },
    /// Every nth call has its connection closed instead of an answer; 1 is all of them, 0 none.
    Hangup {
        /// Of how many calls one fails.
        one_in: u64,
    },
}

/// Where to listen, and how to behave at first.
#[derive(Clone, Debug)]
pub struct SampleBackendConfig {
    /// The socket; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it does with calls.
    pub behaviour: Behaviour,
}

impl Default for SampleBackendConfig {
    /// A free loopback port, and every call is answered at once.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            behaviour: Behaviour::default(),
        }
    }
}

/// Serves until it is dropped.
#[derive(Debug)]
pub struct SampleBackend {
    server: HttpServer,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    behaviour: ArcSwap<Behaviour>,
    received: AtomicU64,
    served: AtomicU64,
}

impl SampleBackend {
    /// Listens and serves.
    pub async fn start(config: SampleBackendConfig) -> io::Result<Self> {
        let state = Arc::new(State {
            behaviour: ArcSwap::from_pointee(config.behaviour),
            received: AtomicU64::new(0),
            served: AtomicU64::new(0),
        });
        let handler = {
            let state = state.clone();
            move |request| state.clone().answer(request)
        };
        let server = HttpServer::start(config.listen, handler).await?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://` and [its address](Self::address).
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Calls that came in, answered or not.
    pub fn received(&self) -> u64 {
        self.state.received.load(Ordering::Relaxed)
    }

    /// Calls that were answered as asked: not those that a [`Failure`] struck.
    pub fn served(&self) -> u64 {
        self.state.served.load(Ordering::Relaxed)
    }

    /// From the next call on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.behaviour.store(Arc::new(behaviour));
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("the backend hangs up, as it was told to")]
    Told,
    #[error("the call broke off: {0}")]
    Broken(#[from] hyper::Error),
}

impl State {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let number = self.received.fetch_add(1, Ordering::Relaxed) + 1;
        let behaviour = self.behaviour.load_full();
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        if !behaviour.delay.is_zero() {
            tokio::time::sleep(behaviour.delay).await;
        }
        let strikes = |one_in: u64| one_in != 0 && number.is_multiple_of(one_in);
        match behaviour.failure {
            Failure::Hangup { one_in } if strikes(one_in) => return Err(NoAnswer::Told),
            Failure::Status { status, one_in } if strikes(one_in) => {
                let mut answer = Response::new(Full::from("the sample backend fails, as it was told to\n"));
                *answer.status_mut() = status;
                return Ok(answer);
            }
            _ => {}
        }
        let answer = answers::answer(&head, &body, number, behaviour.answer_bytes);
        self.served.fetch_add(1, Ordering::Relaxed);
        Ok(answer.map(Full::new))
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use serde_json::{Value, json};

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
}
