//! Looking where each node is: its height, its network, and how long it takes to say so.

use std::time::{Duration, Instant};

use futures::future::join_all;
use pocket_proto::cosmos::base::tendermint::v1beta1 as node;
use tokio::time::{sleep, timeout};

use super::standing::FAILURES;
use super::{Network, Nodes, Sighting};
use crate::comet::read_status;
use crate::{QueryError, grpc};

/// Between two looks, whatever gives reason for doubt.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

impl Nodes {
    /// Looks at every node from time to time, and at once when something about one is odd.
    pub(crate) async fn watch(&self) {
        self.introduced().await;
        loop {
            self.look().await;
            sleep(SHORTEST_PAUSE.min(self.look_every)).await;
            // A wake or the end of the pause: both mean to look again.
            let _ = timeout(self.look_every, self.doubt.notified()).await;
        }
    }

    /// Looks at every node once.
    pub(crate) async fn look(&self) {
        let grpc = (0..self.grpc.len()).map(|index| self.look_at_grpc(index));
        // What failed is in each endpoint's standing.
        let (_, _) = tokio::join!(self.look_at_heads(), join_all(grpc));
        self.find_network();
    }

    /// Looks at every RPC endpoint once; whether any answered.
    pub(crate) async fn look_at_heads(&self) -> Result<(), QueryError> {
        let looks = (0..self.rpc.len()).map(|index| self.look_at_rpc(index));
        let mut found = Err(QueryError::Unavailable("no node is named".into()));
        for look in join_all(looks).await {
            if found.is_err() {
                found = look;
            }
        }
        found
    }

    async fn look_at_rpc(&self, index: usize) -> Result<(), QueryError> {
        let asked = Instant::now();
        let answer = timeout(self.look_limit, self.rpc.node(index).get("status")).await;
        let answer = answer.unwrap_or_else(|_| Err(QueryError::Unavailable("status: no answer in time".into())));
        match answer.and_then(|answer| read_status(&answer)) {
            Ok(status) => {
                self.saw_status(index, &status, Some(asked.elapsed()));
                Ok(())
            }
            Err(error) => {
                self.rpc.failed(index, FAILURES, &error);
                Err(error)
            }
        }
    }

    async fn look_at_grpc(&self, index: usize) {
        let asked = Instant::now();
        let mut client = node::service_client::ServiceClient::new(self.grpc.node(index).clone());
        let answer = timeout(self.look_limit, client.get_node_info(node::GetNodeInfoRequest {})).await;
        let mut sighting = Sighting {
            latency: Some(asked.elapsed()),
            ..Sighting::default()
        };
        match answer {
            Ok(Ok(answer)) => {
                sighting.height = grpc::answered_at(answer.metadata());
                let info = answer.into_inner().default_node_info;
                sighting.network = Some(match info {
                    Some(info) if !info.network.is_empty() => Network::Is(info.network.into()),
                    _ => Network::Unknowable,
                });
                self.saw_state(index, &sighting);
            }
            // Something that speaks gRPC, but does not serve this: a proxy with a list of methods, perhaps.
            Ok(Err(status)) if status.code() == tonic::Code::Unimplemented => {
                sighting.network = Some(Network::Unknowable);
                self.saw_state(index, &sighting);
            }
            Ok(Err(status)) => {
                let error = QueryError::from_status("GetNodeInfo", &status);
                self.grpc.failed(index, FAILURES, &error);
            }
            Err(_) => {
                let error = QueryError::Unavailable("GetNodeInfo: no answer in time".into());
                self.grpc.failed(index, FAILURES, &error);
            }
        }
    }

    /// Without a configured network, the first node of the list that tells one decides.
    fn find_network(&self) {
        if self.rpc.standing().network().is_some() {
            return;
        }
        let told = self.rpc.standing().told_network();
        let told = told.or_else(|| self.grpc.standing().told_network());
        if let Some(network) = told {
            let now = Instant::now();
            self.rpc
                .note(None, |standing| standing.set_network(network.clone(), now));
            self.grpc.note(None, |standing| standing.set_network(network, now));
        }
    }
}
