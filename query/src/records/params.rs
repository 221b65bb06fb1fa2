//! Parameters of the modules.

use std::sync::Arc;
use std::time::Duration;

use pocket_proto::pocket::{proof, session, shared, supplier};
use pocket_protocol::Height;

use super::{LIVE, hold_for};
use crate::cache::{Hold, Key};
use crate::{ChainClient, QueryError};

/// Live parameters of a module: the same question in each.
macro_rules! live_params {
    ($client:expr, $module:ident, $method:literal) => {{
        let ask = |channel| async move {
            let mut client = $module::query_client::QueryClient::new(channel);
            client.params($module::QueryParamsRequest {}).await
        };
        let take = |answer: $module::QueryParamsResponse| answer.params.ok_or_else(|| QueryError::missing("params"));
        Arc::new($client.ask($method, Height(0), ask, take).await?.value)
    }};
}

impl ChainClient {
    /// The shared module's live parameters, up to 15 s old. For anything about a session use
    /// [`shared_params_at`](Self::shared_params_at) (spec `sessions.md` §1.4).
    pub async fn shared_params(&self) -> Result<Arc<shared::Params>, QueryError> {
        let ask = || async { Ok((live_params!(self, shared, "shared.Params"), LIVE)) };
        self.0.caches.shared.get(Key::One, ask).await
    }

    /// The shared module's parameters in force at a height; kept for ever once the height is committed.
    pub async fn shared_params_at(&self, height: Height) -> Result<Arc<shared::Params>, QueryError> {
        let ask = || async {
            let request = shared::QueryParamsAtHeightRequest { height: height.0 };
            let ask = |channel| async move {
                let mut client = shared::query_client::QueryClient::new(channel);
                client.params_at_height(request).await
            };
            let take = |answer: shared::QueryParamsAtHeightResponse| {
                answer.params.ok_or_else(|| QueryError::missing("params"))
            };
            let answer = self.ask("shared.ParamsAtHeight", Height(0), ask, take).await?;
            Ok((Arc::new(answer.value), hold_for(height, answer.read_at)))
        };
        self.0.caches.shared_at.get(Key::At(height), ask).await
    }

    /// The session module's live parameters, up to 15 s old.
    pub async fn session_params(&self) -> Result<Arc<session::Params>, QueryError> {
        let ask = || async { Ok((live_params!(self, session, "session.Params"), LIVE)) };
        self.0.caches.session_params.get(Key::One, ask).await
    }

    /// The supplier module's live parameters, up to 15 s old.
    pub async fn supplier_params(&self) -> Result<Arc<supplier::Params>, QueryError> {
        let ask = || async { Ok((live_params!(self, supplier, "supplier.Params"), LIVE)) };
        self.0.caches.supplier_params.get(Key::One, ask).await
    }

    /// The proof module's live parameters, kept until the next block is seen: there is no query of their
    /// history, and a proof must be decided with those of the moment.
    pub async fn proof_params(&self) -> Result<Arc<proof::Params>, QueryError> {
        let briefly = Hold::For(Duration::from_secs(5));
        let ask = || async { Ok((live_params!(self, proof, "proof.Params"), briefly)) };
        self.0.caches.proof_params.get(Key::At(self.highest_seen()), ask).await
    }
}
