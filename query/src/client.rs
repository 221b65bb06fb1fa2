//! The client that all rooms share.

use std::sync::Arc;

use pocket_protocol::Height;
use tokio::sync::OnceCell;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::nodes::{Nodes, Reply, Sighting};
use crate::records::Caches;
use crate::{NodeConfig, QueryError, QueryMetrics, grpc};

/// A full node, or several that stand in for each other, asked over gRPC and the `CometBFT` RPC. Clones share
/// connections and caches.
#[derive(Clone)]
pub struct ChainClient(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: NodeConfig,
    pub(crate) nodes: Nodes,
    pub(crate) caches: Caches,
    pub(crate) metrics: QueryMetrics,
    chain_id: OnceCell<Arc<str>>,
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
            nodes: Nodes::new(&config, &metrics)?,
            caches: Caches::new(&metrics),
            metrics,
            chain_id: OnceCell::new(),
            config,
        })))
    }

    /// The chain's id, from a node; compared with the configured one (spec `chain.md` §14.19).
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

    /// The highest block that any believed answer or the block feed spoke of; 0 before the first. Never falls.
    pub fn highest_seen(&self) -> Height {
        self.0.nodes.highest()
    }

    /// One gRPC query, asked of one node after the other, and again while nothing is known. A "no" counts only from a
    /// node that has at least the blocks known when it was asked, and an answer from one that has `needed`: a node
    /// may lag. `take` finds in the answer what was asked for; what makes no sense to it, another node may tell.
    pub(crate) async fn ask<T, U, F>(
        &self,
        method: &'static str,
        needed: Height,
        send: impl Fn(Channel) -> F + Sync,
        take: impl Fn(T) -> Result<U, QueryError> + Sync,
    ) -> Result<Answer<U>, QueryError>
    where
        T: Send,
        U: Send + 'static,
        F: Future<Output = Result<Response<T>, Status>> + Send,
    {
        let (nodes, config) = (&self.0.nodes, &self.0.config);
        nodes.introduced().await;
        let ask_one = |index: usize| self.reply(index, method, needed, send(nodes.grpc.node(index).clone()), &take);
        let told = nodes.grpc.ask(method, config.query_timeout, &config.retry, ask_one);
        Ok(told.await?.value)
    }

    /// What one node says to a gRPC query.
    pub(crate) async fn reply<T, U>(
        &self,
        index: usize,
        method: &'static str,
        needed: Height,
        sent: impl Future<Output = Result<Response<T>, Status>>,
        take: impl Fn(T) -> Result<U, QueryError>,
    ) -> Reply<Answer<U>> {
        let nodes = &self.0.nodes;
        let known = nodes.highest().max(needed);
        let answer = sent.await;
        let said = grpc::answered_at(match &answer {
            Ok(response) => response.metadata(),
            Err(status) => status.metadata(),
        });
        if answer.is_ok() || said.is_some() {
            let sighting = Sighting {
                height: said,
                ..Sighting::default()
            };
            nodes.saw_state(index, &sighting);
        }
        let status = match answer {
            Ok(response) => {
                if let Some(height) = said.filter(|height| *height < needed) {
                    return Reply::Weak(QueryError::behind(height, needed));
                }
                // A height that is not believed makes no answer final.
                let read_at = said.map_or(known, |height| height.min(nodes.highest()));
                return match take(response.into_inner()) {
                    Ok(value) => Reply::Answer(Answer { value, read_at }),
                    Err(error) => Reply::Weak(error),
                };
            }
            Err(status) => status,
        };
        match (said, QueryError::from_status(method, &status)) {
            (Some(height), _) if height < known && status.code() != Code::InvalidArgument => {
                Reply::Weak(QueryError::behind(height, known))
            }
            (None, error @ QueryError::Unavailable(_)) => Reply::Lost(error),
            // What the chain itself says, it says of a height.
            (Some(_), error @ (QueryError::NotFound(_) | QueryError::Refused { .. })) => Reply::Final(error),
            (_, error) => Reply::Weak(error),
        }
    }
}
