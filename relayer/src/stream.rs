//! A relay whose answer is a stream (spec `relay.md` §5.11): signed batch by batch, mined once, when it is complete.
//!
//! One task per stream owns the relay, with its place in the drain and in the publisher's queue, until the stream has
//! ended. The transport takes batches from it one by one; when the transport lets go, the task ends and with it the
//! connection to the backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, Stream, TryStreamExt as _};
use http::{HeaderMap, StatusCode, header};
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Frame;
use pocket_keys::SigningKey;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::answer::{AnsweredRelay, sign, sign_stream};
use crate::backend::{BackendAnswer, BackendStream};
use crate::batches::{Batches, StreamBroken};
use crate::envelope;
use crate::headers::remove_hop_by_hop;
use crate::meter::ChargedRelay;
use crate::metrics::observe;
use crate::outbox::PublishSlot;
use crate::pipeline::Pipeline;
use crate::received::ReceivedRelay;
use crate::refusal::Refusal;
use crate::session_context::SessionContext;
use crate::simulation::Trial;

/// Stands after every batch, the last one too.
const DELIMITER: Bytes = Bytes::from_static(b"||POKT_STREAM||");
/// How long a client may lag behind once the backend's time is over.
const CLIENT_GRACE: Duration = Duration::from_secs(30);

/// The body of a streamed answer. It ends in an error when the stream is not complete.
pub(crate) type SignedStream = UnsyncBoxBody<Bytes, StreamBroken>;

/// A stream as the client gets it.
pub(crate) struct ServedStream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: SignedStream,
}

/// A relay that is being answered.
pub(crate) enum Answering {
    /// Verified and charged already.
    Charged(ChargedRelay),
    /// Of an optimistic service: verified once it is answered.
    Trusted(ReceivedRelay, Arc<SessionContext>),
    /// Simulated: counted apart and not mined.
    Simulated(ReceivedRelay, Trial),
}

impl Answering {
    fn relay(&self) -> &ReceivedRelay {
        match self {
            Self::Charged(charged) => &charged.verified.relay,
            Self::Trusted(relay, _) | Self::Simulated(relay, _) => relay,
        }
    }
}

/// Starts answering with a stream.
pub(crate) fn begin(
    pipeline: &Arc<Pipeline>,
    relay: Answering,
    slot: PublishSlot,
    stream: BackendStream,
) -> Result<ServedStream, Refusal> {
    let key = relay.relay().signing_key.clone().ok_or(Refusal::Unsigned)?;
    let (status, headers) = (stream.status, outer_headers(&stream.headers));
    // One batch waits while the next is made: what the client does not take, the backend is not asked for.
    let (to_client, batches) = mpsc::channel(1);
    let running = Running {
        _counted: pipeline.streams.token(),
        pipeline: pipeline.clone(),
        relay,
        slot,
        key,
        status,
        batches: Batches::new(stream),
        to_client,
        hash: Sha256::new(),
        size: 0,
        started: Instant::now(),
    };
    pipeline.afterwards.spawn(running.run());
    Ok(ServedStream {
        status,
        headers,
        body: body(batches),
    })
}

/// The backend's headers, but for those that describe its own bytes or its own connection.
fn outer_headers(backend: &HeaderMap) -> HeaderMap {
    let mut headers = backend.clone();
    remove_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_ENCODING);
    headers
}

/// What goes from a stream's task to the transport.
enum Piece {
    Batch(Bytes),
    /// The stream is complete. Without it the body does not end well.
    End,
    Broken(StreamBroken),
}

fn body(pieces: mpsc::Receiver<Piece>) -> SignedStream {
    let batches = stream::try_unfold(pieces, |mut pieces| async move {
        match pieces.recv().await {
            Some(Piece::Batch(wire)) => Ok(Some((framed(wire), pieces))),
            Some(Piece::End) => Ok(None),
            Some(Piece::Broken(broken)) => Err(broken),
            None => Err(StreamBroken::Backend),
        }
    });
    UnsyncBoxBody::new(StreamBody::new(batches.try_flatten()))
}

/// A batch with its delimiter, which is not copied behind it.
fn framed(wire: Bytes) -> impl Stream<Item = Result<Frame<Bytes>, StreamBroken>> {
    stream::iter([Ok(Frame::data(wire)), Ok(Frame::data(DELIMITER))])
}

/// A stream's task.
struct Running {
    _counted: TaskTrackerToken,
    pipeline: Arc<Pipeline>,
    relay: Answering,
    slot: PublishSlot,
    key: Arc<SigningKey>,
    status: StatusCode,
    batches: Batches,
    to_client: mpsc::Sender<Piece>,
    /// Over the bodies of all batches: the payload hash of the mined response.
    hash: Sha256,
    /// Bytes sent, in batches.
    size: usize,
    started: Instant,
}

impl Running {
    async fn run(mut self) {
        let to_client = self.to_client.clone();
        let transferred = tokio::select! {
            biased;
            () = to_client.closed() => Err(StreamBroken::ClientLeft),
            transferred = self.transfer() => transferred,
        };
        let service = self.relay.relay().service.clone();
        let metrics = self.pipeline.metrics.clone();
        let is_simulated = matches!(self.relay, Answering::Simulated(..));
        let ended = match transferred {
            Ok(()) => self.complete().await,
            Err(broken) => {
                // The relay and the connection to the backend go first, whatever the client does.
                drop(self);
                Err(broken)
            }
        };
        if let Err(broken) = ended {
            tracing::debug!(%broken, service = service.id.as_str(), "stream not complete: relay dropped");
            if !is_simulated {
                let labels = [service.id.as_str(), broken.label()];
                metrics.dropped.with_label_values(&labels).inc();
            }
            // Fails when a batch still waits or nobody listens; the body breaks off all the same.
            let _ = to_client.try_send(Piece::Broken(broken));
        }
    }

    /// Signs and sends all batches, and waits until the client's connection took the last one.
    async fn transfer(&mut self) -> Result<(), StreamBroken> {
        let last_moment = self.batches.deadline() + CLIENT_GRACE;
        while let Some(batch) = self.batches.next().await? {
            self.send(batch, last_moment).await?;
        }
        if self.size == 0 {
            // An empty answer is an answer: it is signed, too.
            self.send(Bytes::new(), last_moment).await?;
        }
        // A place in the channel is free only when the last batch was taken.
        match tokio::time::timeout_at(last_moment, self.to_client.reserve()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(StreamBroken::ClientLeft),
        }
    }

    async fn send(&mut self, batch: Bytes, last_moment: tokio::time::Instant) -> Result<(), StreamBroken> {
        let relay = self.relay.relay();
        // A relay that can no longer be claimed is not served for free.
        if !relay.in_flight.is_claimable() {
            return Err(StreamBroken::Expired);
        }
        self.hash.update(&batch);
        let answer = BackendAnswer {
            status: self.status,
            headers: HeaderMap::new(),
            body: batch,
        };
        let signed = sign(relay.header(), envelope::encode(&answer), &self.key).ok_or(StreamBroken::Unsigned)?;
        let size = signed.wire.len() + DELIMITER.len();
        self.size += size;
        match tokio::time::timeout_at(last_moment, self.to_client.send(Piece::Batch(signed.wire))).await {
            Ok(Ok(())) => {
                let transports = &self.pipeline.metrics.transports;
                transports.stream_batches.inc();
                transports.stream_bytes.inc_by(size as u64);
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(StreamBroken::ClientLeft),
        }
    }

    /// Mines the relay. The client sees the end of the stream only when the relay is on its way to Redis.
    async fn complete(self) -> Result<(), StreamBroken> {
        let relay = self.relay.relay();
        let signed = sign_stream(relay.header(), self.hash.finalize().into(), &self.key);
        if let Some(route) = relay.service.route(relay.kind)
            && !matches!(self.relay, Answering::Simulated(..))
        {
            let labels = [relay.service.id.as_str(), relay.kind.as_str(), self.status.as_str()];
            self.pipeline.metrics.served.with_label_values(&labels).inc();
            let streams = &self.pipeline.metrics.transports.streams_served;
            streams.with_label_values(&labels[..1]).inc();
            route.metrics.response_size.observe(self.size as f64);
            observe(&route.metrics.relay_latency, self.started.elapsed());
        }
        match self.relay {
            Answering::Charged(charged) => {
                let (answered, _) = AnsweredRelay::of(charged, signed, self.slot);
                if !self.pipeline.mine(answered) {
                    return Err(StreamBroken::PublisherEnded);
                }
                let _ = self.to_client.try_send(Piece::End);
            }
            Answering::Simulated(_, trial) => {
                trial.succeeded();
                let _ = self.to_client.try_send(Piece::End);
            }
            Answering::Trusted(relay, context) => {
                let noted = self.pipeline.note(&relay, &signed, &context);
                let _ = self.to_client.try_send(Piece::End);
                drop(self.batches);
                self.pipeline.settle(relay, signed, self.slot, noted).await;
            }
        }
        Ok(())
    }
}
