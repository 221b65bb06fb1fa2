//! The client: sign, send, believe.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use pocket_protocol::ServiceId;
use url::Url;

use crate::answer::Expected;
use crate::transport::Transport;
use crate::{Answer, Check, Mode, Payload, ReceivedAnswer, RelayError, RelaySession, SessionSupplier, Sessions};

/// Where relays go, and what is waited for.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The relayer, `http` or `https`, or the same as `ws` or `wss`. The service's id is added to its path, for logs in
    /// between.
    pub relayer_url: Url,
    /// The service.
    pub service: ServiceId,
    /// HTTP/2 with prior knowledge instead of HTTP/1.1. gRPC is always that, and a WebSocket never.
    pub http2: bool,
    /// From sending to the answer's last byte.
    pub timeout: Duration,
    /// Longest answer that is read.
    pub max_answer_bytes: usize,
}

impl ClientConfig {
    /// HTTP/1.1, 120 seconds, 256 MiB.
    pub fn new(relayer_url: Url, service: ServiceId) -> Self {
        Self {
            relayer_url,
            service,
            http2: false,
            timeout: Duration::from_mins(2),
            max_answer_bytes: 256 << 20,
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not a URL that relays can be posted to.
    #[error("{0}: relays are sent to http://, https://, ws:// or wss:// URLs")]
    Url(Url),
    /// The system's root certificates cannot be read.
    #[error("the system's root certificates: {0}")]
    Roots(#[from] io::Error),
}

/// Signs relays, sends them, and believes answers that the supplier signed. Clones share connections and session.
#[derive(Clone)]
pub struct RelayClient(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    transport: Transport,
}

/// A request ready to be sent, once.
#[derive(Clone)]
pub struct SignedRelay {
    session: Arc<RelaySession>,
    supplier: usize,
    mode: Mode,
    answers: usize,
    /// The encoded `RelayRequest`.
    pub bytes: Bytes,
}

impl RelayClient {
    /// Connects at the first relay.
    pub fn new(config: &ClientConfig, sessions: Sessions) -> Result<Self, ClientError> {
        let uri = relay_uri(config).ok_or_else(|| ClientError::Url(config.relayer_url.clone()))?;
        let transport = Transport::new(uri, config.http2, config.timeout, config.max_answer_bytes)?;
        Ok(Self(Arc::new(Inner { sessions, transport })))
    }

    /// Where the sessions come from.
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// One whole relay, to the supplier whose turn it is.
    pub async fn relay(&self, payload: &Payload) -> Result<Answer, RelayError> {
        let session = self.0.sessions.current().await?;
        let relay = SignedRelay::new(session, payload);
        let received = self.send(&relay).await?;
        relay.read(received, Check::All)?.whole()
    }

    /// Sends the relay by what its mode travels on. What the relayer itself says instead of an answer is an error; an
    /// answer that broke off is one that is [cut off](ReceivedAnswer::cut_off), if anything of it came.
    pub async fn send(&self, relay: &SignedRelay) -> Result<ReceivedAnswer, RelayError> {
        self.0.transport.send(relay).await
    }

    /// Says goodbye on sockets that are open. Those of relays on their way, or sent later, stay.
    pub async fn close(&self) {
        self.0.transport.close().await;
    }
}

impl SignedRelay {
    /// Signs for the supplier whose turn it is.
    pub fn new(session: Arc<RelaySession>, payload: &Payload) -> Self {
        let supplier = session.next_supplier();
        Self {
            bytes: session.signed_request(supplier, &payload.bytes),
            session,
            supplier,
            mode: payload.mode,
            answers: payload.answers,
        }
    }

    /// The session it is of.
    pub fn session(&self) -> &Arc<RelaySession> {
        &self.session
    }

    /// The supplier it is for.
    pub fn supplier(&self) -> &SessionSupplier {
        &self.session.suppliers()[self.supplier]
    }

    pub(crate) fn supplier_index(&self) -> usize {
        self.supplier
    }

    /// What the backend speaks.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Messages that answer it.
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    /// The answer to this relay, as far as it came and can be believed; an error if nothing of it can.
    pub fn read(&self, received: ReceivedAnswer, check: Check) -> Result<Answer, RelayError> {
        let expected = Expected {
            mode: self.mode,
            session: self.session.header(),
            supplier: &self.supplier().public_key,
            check,
        };
        Answer::read(received, &expected)
    }
}

fn relay_uri(config: &ClientConfig) -> Option<Uri> {
    let mut url = config.relayer_url.clone();
    if !url.has_host() {
        return None;
    }
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .push(config.service.as_str());
    let (scheme, rest) = url.as_str().split_once("://")?;
    let scheme = match scheme {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return None,
    };
    format!("{scheme}://{rest}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_relayer::{FakeRelayer, Manner, SHORT};
    use crate::{BackendCall, ErrorKind};

    fn uri(url: &str) -> Option<String> {
        let config = ClientConfig::new(url.parse().unwrap(), "svc-http".parse().unwrap());
        relay_uri(&config).map(|uri| uri.to_string())
    }

    #[test]
    fn service_is_added_to_the_relayers_path() {
        assert_eq!(uri("http://a:1").as_deref(), Some("http://a:1/svc-http"));
        assert_eq!(uri("https://a/b/").as_deref(), Some("https://a/b/svc-http"));
    }

    #[test]
    fn address_of_a_socket_is_the_same_relayers() {
        assert_eq!(uri("ws://a:1").as_deref(), Some("http://a:1/svc-http"));
        assert_eq!(uri("wss://a").as_deref(), Some("https://a/svc-http"));
        assert_eq!(uri("file:///a"), None);
        assert_eq!(uri("ftp://a"), None);
    }

    fn payload() -> Payload {
        BackendCall::usual(Mode::JsonRpc).payload()
    }

    async fn error_of(manner: Manner) -> RelayError {
        FakeRelayer::start(manner, 1)
            .await
            .client()
            .relay(&payload())
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn backends_answer_comes_through() {
        for http2 in [false, true] {
            let relayer = FakeRelayer::start(Manner::Honest(404), 1).await;
            let config = ClientConfig {
                http2,
                ..relayer.config()
            };
            let client = RelayClient::new(&config, relayer.sessions()).unwrap();
            let answer = client.relay(&payload()).await.unwrap();
            assert_eq!(answer.status, Some(404));
            assert!(answer.body().starts_with(b"{\"jsonrpc\""));
            assert_eq!(answer.backend_error(Mode::JsonRpc).as_deref(), Some("status 404"));
        }
    }

    #[tokio::test]
    async fn relay_says_what_it_is_for() {
        let relayer = FakeRelayer::start(Manner::Honest(200), 2).await;
        let client = relayer.client();
        let payload = BackendCall::usual(Mode::CometBft).payload();
        for _ in 0..4 {
            client.relay(&payload).await.unwrap();
        }
        let arrived = relayer.arrived.lock().unwrap();
        let suppliers = arrived
            .iter()
            .map(|relay| relay.request.meta.as_ref().unwrap().supplier_operator_address.as_str());
        let [first, second] = &relayer.suppliers[..] else {
            panic!("two suppliers")
        };
        let [first, second] = [first, second].map(|key| key.address().as_str());
        assert_eq!(suppliers.collect::<Vec<_>>(), [first, second, first, second]);
        for relay in arrived.iter() {
            assert_eq!(relay.path, "/svc-http");
            assert_eq!(relay.headers["rpc-type"], "5");
            assert_eq!(relay.headers["content-type"], "application/x-protobuf");
            assert_eq!(relay.request.payload, payload.bytes);
        }
    }

    #[tokio::test]
    async fn response_without_payload_hash_is_believed_if_its_payload_is_signed() {
        let relayer = FakeRelayer::start(Manner::WithoutPayloadHash, 1).await;
        assert_eq!(relayer.client().relay(&payload()).await.unwrap().status, Some(200));
    }

    #[tokio::test]
    async fn answer_that_the_supplier_did_not_sign_is_not_believed() {
        assert_eq!(error_of(Manner::OtherSigner).await.kind(), ErrorKind::WrongSignature);
        assert_eq!(
            error_of(Manner::SwappedPayload).await.kind(),
            ErrorKind::WrongPayloadHash
        );
        assert_eq!(error_of(Manner::OtherSession).await.kind(), ErrorKind::OtherSession);
        assert_eq!(error_of(Manner::Unsigned).await.kind(), ErrorKind::Malformed);
    }

    #[tokio::test]
    async fn form_alone_is_checked_if_that_is_asked() {
        let relayer = FakeRelayer::start(Manner::OtherSigner, 1).await;
        let client = relayer.client();
        let relay = SignedRelay::new(client.sessions().current().await.unwrap(), &payload());
        let received = client.send(&relay).await.unwrap();
        assert!(relay.read(received.clone(), Check::Form).is_ok());
        assert!(relay.read(received, Check::All).is_err());
    }

    #[tokio::test]
    async fn relayers_own_errors_are_told_apart() {
        for manner in [Manner::SignedError, Manner::UnsignedError] {
            let error = error_of(manner).await;
            assert!(
                matches!(&error, RelayError::Failed { code: 7, description } if description == "too many"),
                "{error}"
            );
        }
        let error = error_of(Manner::Refuse(503)).await;
        assert!(
            matches!(&error, RelayError::Refused { status: 503, body } if body.contains("no")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn nonsense_is_malformed() {
        for manner in [Manner::Garbage, Manner::GarbagePayload] {
            assert_eq!(error_of(manner).await.kind(), ErrorKind::Malformed, "{manner:?}");
        }
    }

    #[tokio::test]
    async fn silence_is_a_timeout_and_a_closed_connection_is_not() {
        let relayer = FakeRelayer::start(Manner::Silent, 1).await;
        let config = ClientConfig {
            timeout: SHORT,
            ..relayer.config()
        };
        let client = RelayClient::new(&config, relayer.sessions()).unwrap();
        assert_eq!(client.relay(&payload()).await.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(error_of(Manner::Hangup).await.kind(), ErrorKind::Connection);
    }

    #[tokio::test]
    async fn answer_over_the_limit_is_not_read() {
        let relayer = FakeRelayer::start(Manner::Honest(200), 1).await;
        let config = ClientConfig {
            max_answer_bytes: 100,
            ..relayer.config()
        };
        let client = RelayClient::new(&config, relayer.sessions()).unwrap();
        assert!(matches!(client.relay(&payload()).await, Err(RelayError::TooLong(100))));
    }
}
