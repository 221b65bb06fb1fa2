//! The shared module's parameters, told to relayers of the Go peer: they keep those of their start until they are told.

use std::time::Duration;

use crate::{Store, StoreError};

impl Store {
    /// Puts the parameters, a `pocket.shared.Params` message, where the fleet looks for them, for `ttl`, and has all forget
    /// those they hold.
    pub async fn tell_shared_params(&self, params: &[u8], ttl: Duration) -> Result<(), StoreError> {
        let mut set = redis::cmd("SET");
        set.arg(self.keys().shared_params()).arg(params);
        set.arg("EX").arg(ttl.as_secs().max(1));
        self.query::<()>(&set).await?;
        // After the key: whoever hears of it reads the new ones.
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(self.keys().shared_params_updates()).arg("{}");
        self.query(&publish).await
    }
}
