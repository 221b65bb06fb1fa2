//! The client that all rooms share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use pocket_protocol::Height;
use tokio::sync::OnceCell;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::comet::Comet;
use crate::records::Caches;
use crate::{NodeConfig, QueryError, QueryMetrics, grpc};

/// A full node, asked over gRPC and the `CometBFT` RPC. Clones share connections and caches.
#[derive(Clone)]
pub struct ChainClient(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: NodeConfig,
    pub(crate) comet: Comet,
    pub(crate) caches: Caches,
    pub(crate) metrics: QueryMetrics,
    channel: Channel,
    chain_id: OnceCell<Arc<str>>,
    /// The highest block that any answer spoke of.
    highest: AtomicI64,
}

/// A gRPC answer, and the height of the state it was read from.
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    pub(crate) read_at: Height,
}

impl ChainClient {
    /// Checks the URLs and connects at the first query: a node that is down fails the query, not the start.
    /// Must be called within a tokio runtime.
    pub fn new(config: NodeConfig) -> Result<Self, QueryError> {
        Self::with_metrics(config, QueryMetrics::default())
    }

    /// The same, and counts what is asked.
    pub fn with_metrics(config: NodeConfig, metrics: QueryMetrics) -> Result<Self, QueryError> {
        Ok(Self(Arc::new(Inner {
            channel: grpc::channel(&config)?,
            comet: Comet::new(&config)?,
            caches: Caches::new(&metrics),
            metrics,
            chain_id: OnceCell::new(),
            highest: AtomicI64::new(0),
            config,
        })))
    }

    /// The chain's id, from the node; compared with the configured one (spec `chain.md` §14.19).
    pub async fn chain_id(&self) -> Result<Arc<str>, QueryError> {
        let read = || async {
            let found = self.status().await?.chain_id;
            match &self.0.config.chain_id {
                Some(configured) if *configured != found => Err(QueryError::WrongChain {
                    configured: configured.clone(),
                    found,
                }),
                _ => Ok(found.into()),
            }
        };
        self.0.chain_id.get_or_try_init(read).await.cloned()
    }

    /// The highest block that any answer or the block feed spoke of; 0 before the first. Never falls.
    pub fn highest_seen(&self) -> Height {
        Height(self.0.highest.load(Ordering::Acquire))
    }

    pub(crate) fn saw(&self, height: Height) {
        let before = self.0.highest.fetch_max(height.0, Ordering::AcqRel);
        self.0.metrics.height(before.max(height.0));
    }

    /// One gRPC query, asked again while nothing is known. A "no" counts only from a node that has at
    /// least the blocks known when it was asked, and `needed`: a node behind a balancer may lag.
    pub(crate) async fn ask<T, F>(
        &self,
        method: &'static str,
        needed: Height,
        send: impl Fn(Channel) -> F,
    ) -> Result<Answer<T>, QueryError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.0
            .config
            .retry
            .run(|| Box::pin(self.ask_once(method, needed, send(self.0.channel.clone()))))
            .await
    }

    /// One attempt at a gRPC query.
    pub(crate) async fn ask_once<T>(
        &self,
        method: &'static str,
        needed: Height,
        sent: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Answer<T>, QueryError> {
        let began = Instant::now();
        let answer = self.judge(method, needed, sent).await;
        self.0.metrics.asked(method, began.elapsed(), answer.as_ref().err());
        answer
    }

    /// What an attempt's answer is worth.
    async fn judge<T>(
        &self,
        method: &'static str,
        needed: Height,
        sent: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Answer<T>, QueryError> {
        let known = self.highest_seen().max(needed);
        let answer = tokio::time::timeout(self.0.config.query_timeout, sent)
            .await
            .map_err(|_| QueryError::Unavailable(format!("{method}: no answer in time")))?;
        let metadata = match &answer {
            Ok(response) => response.metadata(),
            Err(status) => status.metadata(),
        };
        let said = grpc::answered_at(metadata);
        if let Some(height) = said {
            self.saw(height);
        }
        match answer {
            Ok(response) => Ok(Answer {
                value: response.into_inner(),
                read_at: said.unwrap_or(known),
            }),
            Err(status) => match said {
                Some(height) if height < known && status.code() != Code::InvalidArgument => {
                    Err(QueryError::behind(height, known))
                }
                _ => Err(QueryError::from_status(method, &status)),
            },
        }
    }

    /// The channel, for queries that must be sent once.
    pub(crate) fn channel(&self) -> Channel {
        self.0.channel.clone()
    }
}
