use std::{sync::Arc, time::Duration};

use redis::{
    Client, Cmd, FromRedisValue, Pipeline,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};

use crate::{Keys, Namespace, StoreError};

/// Longest time that one answer of Redis may take before it counts as unavailable.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest pause between two attempts to connect again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// Where Redis is and how keys are named.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `redis://[user[:password]@]host:port[/database]`.
    pub url: String,
    /// Prefixes of all keys.
    pub namespace: Namespace,
}

impl StoreConfig {
    /// The default key names at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: Namespace::default(),
        }
    }
}

/// One Redis, shared by all of a process: clones share one multiplexed connection that reconnects by itself.
#[derive(Clone)]
pub struct Store {
    client: Client,
    connection: ConnectionManager,
    keys: Arc<Keys>,
}

impl std::fmt::Debug for Store {
    // The URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Prepares a connection. A Redis that is away is an error of the first call, not of this one;
    /// must be called inside a tokio runtime.
    pub fn new(config: StoreConfig) -> Result<Self, StoreError> {
        let client = Client::open(config.url)?;
        let manager = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_max_delay(LONGEST_BACKOFF)
            .set_number_of_retries(2);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), manager)?;
        Ok(Self {
            client,
            connection,
            keys: Arc::new(Keys::new(config.namespace)),
        })
    }

    /// Names of all keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// One round trip, to learn whether Redis is there.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.query(&redis::cmd("PING")).await
    }

    /// Value of one field of `INFO`, such as `used_memory`, or `None` if this Redis does not tell it.
    pub async fn info(&self, field: &str) -> Result<Option<String>, StoreError> {
        let info: redis::InfoDict = self.query(&redis::cmd("INFO")).await?;
        Ok(info.get(field))
    }

    /// Sends one command.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Sends a pipeline: one round trip.
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        Ok(pipeline.query_async(&mut self.connection.clone()).await?)
    }

    /// Runs a script.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        Ok(script.invoke_async(&mut self.connection.clone()).await?)
    }

    /// A connection of its own, for calls that block; `longest` bounds one answer.
    pub(crate) async fn dedicated(&self, longest: Duration) -> Result<MultiplexedConnection, StoreError> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(longest + RESPONSE_TIMEOUT));
        Ok(self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?)
    }
}
