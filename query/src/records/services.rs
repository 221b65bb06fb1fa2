//! Services: their record, mining difficulty and price.

use std::sync::Arc;
use std::time::Duration;

use pocket_proto::pocket::{service as proto, shared};
use pocket_protocol::{ComputeUnits, Height};
use proto::query_client::QueryClient;

use super::{LIVE, hold_for};
use crate::cache::{Hold, Key};
use crate::{ChainClient, QueryError};

/// A node that does not know a method is asked again after this time: it may have been upgraded.
const UNKNOWN_METHOD: Hold = Hold::For(Duration::from_mins(1));

impl ChainClient {
    /// A service's record without its metadata, up to 15 s old.
    pub async fn service(&self, id: &str) -> Result<Arc<shared::Service>, QueryError> {
        let ask = || async {
            let ask = |channel| async move {
                let id = id.to_owned();
                let request = proto::QueryGetServiceRequest { id, dehydrated: true };
                QueryClient::new(channel).service(request).await
            };
            let take =
                |answer: proto::QueryGetServiceResponse| answer.service.ok_or_else(|| QueryError::missing("service"));
            let answer = self.ask("service.Service", Height(0), ask, take).await?;
            Ok((Arc::new(answer.value), LIVE))
        };
        self.0.caches.services.get(Key::Of(id.to_owned()), ask).await
    }

    /// The difficulty target of a service in force at a height, big-endian; kept for ever once committed.
    /// A service without history has the base target.
    pub async fn difficulty_target_at(&self, service: &str, height: Height) -> Result<[u8; 32], QueryError> {
        let ask = || async {
            let ask = |channel| async move {
                let request = proto::QueryGetRelayMiningDifficultyAtHeightRequest {
                    service_id: service.to_owned(),
                    block_height: height.0,
                };
                QueryClient::new(channel)
                    .relay_mining_difficulty_at_height(request)
                    .await
            };
            let take = |answer: proto::QueryGetRelayMiningDifficultyAtHeightResponse| {
                let difficulty = answer.relay_mining_difficulty;
                let difficulty = difficulty.ok_or_else(|| QueryError::missing("relayMiningDifficulty"))?;
                let target = <[u8; 32]>::try_from(difficulty.target_hash.as_ref());
                target.map_err(|_| QueryError::Malformed("the target is not 32 bytes".into()))
            };
            let method = "service.RelayMiningDifficultyAtHeight";
            let answer = self.ask(method, Height(0), ask, take).await?;
            self.0.metrics.difficulty(service, &answer.value);
            Ok((answer.value, hold_for(height, answer.read_at)))
        };
        self.0
            .caches
            .difficulty
            .get(Key::OfAt(service.to_owned(), height), ask)
            .await
    }

    /// What one relay of a service costs at a height; kept for ever once committed. Nodes before v0.1.35
    /// do not know the method: then the service's record answers, which may be newer than the height.
    pub async fn compute_units_at(&self, service: &str, height: Height) -> Result<ComputeUnits, QueryError> {
        let ask = || async {
            let ask = |channel| async move {
                let request = proto::QueryComputeUnitsPerRelayAtHeightRequest {
                    service_id: service.to_owned(),
                    block_height: height.0,
                };
                QueryClient::new(channel)
                    .compute_units_per_relay_at_height(request)
                    .await
            };
            let take = |answer: proto::QueryComputeUnitsPerRelayAtHeightResponse| {
                Ok(ComputeUnits(answer.compute_units_per_relay))
            };
            let method = "service.ComputeUnitsPerRelayAtHeight";
            match self.ask(method, Height(0), ask, take).await {
                Ok(answer) => Ok((answer.value, hold_for(height, answer.read_at))),
                Err(QueryError::Unimplemented(_)) => {
                    tracing::warn!(
                        service,
                        "the node does not tell compute units by height: the service's record is used"
                    );
                    let record = self.service(service).await?;
                    Ok((ComputeUnits(record.compute_units_per_relay), UNKNOWN_METHOD))
                }
                Err(error) => Err(error),
            }
        };
        self.0
            .caches
            .compute_units
            .get(Key::OfAt(service.to_owned(), height), ask)
            .await
    }
}
