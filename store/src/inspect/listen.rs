//! Listening on channels.

use futures::StreamExt as _;
use redis::{Client, ConnectionInfo};

use crate::address::Address;
use crate::link::primary_address;
use crate::{Store, StoreError};

/// Something that was said on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where.
    pub channel: String,
    /// What; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// An open ear, on a connection of its own. It ends when the connection does.
pub struct Subscription {
    heard: redis::aio::PubSub,
}

impl Store {
    /// Listens on channels, and on all that match a name with `*` or `?`. In a Cluster any node hears everything.
    pub async fn listen(&self, channels: &[String]) -> Result<Subscription, StoreError> {
        let server: ConnectionInfo = match self.address() {
            Address::Cluster(nodes) => nodes.first().expect("an address names a node").clone(),
            address => primary_address(address).await?,
        };
        let mut heard = Client::open(server)?.get_async_pubsub().await?;
        for channel in channels {
            if channel.contains(['*', '?', '[']) {
                heard.psubscribe(channel).await?;
            } else {
                heard.subscribe(channel).await?;
            }
        }
        Ok(Subscription { heard })
    }
}

impl Subscription {
    /// What is said next; `None` when the connection is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        let message = self.heard.on_message().next().await?;
        Some(Heard {
            channel: message.get_channel_name().to_owned(),
            text: String::from_utf8_lossy(message.get_payload_bytes()).into_owned(),
        })
    }
}
