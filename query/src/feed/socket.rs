//! A subscription to new block headers over WebSocket.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::QueryError;
use crate::comet::{Comet, NewHeader, header_of_event};
use crate::error::chain_of;

const SUBSCRIBE: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"query":"tm.event='NewBlockHeader'"}}"#;

/// An open subscription; dropped, it is over.
pub(crate) struct Subscription {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// A header that came before the node's answer to the subscription.
    early: Option<NewHeader>,
}

impl Subscription {
    /// Connects and subscribes. Every block after the return is told: the node has confirmed the subscription.
    pub(crate) async fn open(node: &Comet, limit: Duration) -> Result<Self, QueryError> {
        let url = node.socket_url();
        let unavailable = |error: &Error| QueryError::Unavailable(format!("subscribe: {}", chain_of(error)));
        let open = async {
            let (mut socket, _) = tokio_tungstenite::connect_async(url.as_str())
                .await
                .map_err(|error| unavailable(&error))?;
            socket
                .send(Message::text(SUBSCRIBE))
                .await
                .map_err(|error| unavailable(&error))?;
            let early = loop {
                let message = next_value(&mut socket).await?;
                let header = header_of_event(&message)?;
                if header.is_some() || message.get("result").is_some() {
                    break header;
                }
            };
            Ok(Self { socket, early })
        };
        tokio::time::timeout(limit, open)
            .await
            .map_err(|_| QueryError::Unavailable("subscribe: no answer in time".into()))?
    }

    /// The next header. The library answers the node's pings.
    pub(crate) async fn next(&mut self) -> Result<NewHeader, QueryError> {
        if let Some(header) = self.early.take() {
            return Ok(header);
        }
        loop {
            if let Some(header) = header_of_event(&next_value(&mut self.socket).await?)? {
                return Ok(header);
            }
        }
    }
}

async fn next_value(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Result<Value, QueryError> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text)
                    .map_err(|error| QueryError::Malformed(format!("block event: {error}")));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(QueryError::Unavailable(chain_of(&error))),
            None => return Err(QueryError::Unavailable("the node closed the socket".into())),
        }
    }
}
