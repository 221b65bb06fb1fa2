//! Who has staked: applications and suppliers.

use std::sync::Arc;

use pocket_proto::pocket::{application, shared, supplier};
use pocket_protocol::Height;

use super::LIVE;
use crate::cache::Key;
use crate::grpc::LONGEST_ANSWER;
use crate::{ChainClient, QueryError};

impl ChainClient {
    /// An application's record, up to 15 s old.
    pub async fn application(&self, address: &str) -> Result<Arc<application::Application>, QueryError> {
        let ask = || async {
            let ask = |channel| async move {
                let address = address.to_owned();
                let request = application::QueryGetApplicationRequest { address };
                application::query_client::QueryClient::new(channel)
                    .application(request)
                    .await
            };
            let take = |answer: application::QueryGetApplicationResponse| {
                answer.application.ok_or_else(|| QueryError::missing("application"))
            };
            let answer = self.ask("application.Application", Height(0), ask, take).await?;
            Ok((Arc::new(answer.value), LIVE))
        };
        self.0.caches.applications.get(Key::Of(address.to_owned()), ask).await
    }

    /// A supplier's record with its whole service configuration, up to 15 s old.
    pub async fn supplier(&self, operator: &str) -> Result<Arc<shared::Supplier>, QueryError> {
        let ask = || async {
            let ask = |channel| async move {
                let request = supplier::QueryGetSupplierRequest {
                    operator_address: operator.to_owned(),
                    dehydrated: false,
                };
                let client = supplier::query_client::QueryClient::new(channel);
                client.max_decoding_message_size(LONGEST_ANSWER).supplier(request).await
            };
            let take = |answer: supplier::QueryGetSupplierResponse| {
                answer.supplier.ok_or_else(|| QueryError::missing("supplier"))
            };
            let answer = self.ask("supplier.Supplier", Height(0), ask, take).await?;
            Ok((Arc::new(answer.value), LIVE))
        };
        self.0.caches.suppliers.get(Key::Of(operator.to_owned()), ask).await
    }
}
