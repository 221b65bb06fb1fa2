//! A subscription to new block headers over WebSocket.

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::comet::{NewHeader, header_of_event};
use crate::error::chain_of;
use crate::{ChainClient, QueryError};

const SUBSCRIBE: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"query":"tm.event='NewBlockHeader'"}}"#;

/// An open subscription; dropped, it is over.
pub(crate) struct Subscription(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Subscription {
    /// Connects and subscribes; the node's answer to that is the first message.
    pub(crate) async fn open(chain: &ChainClient) -> Result<Self, QueryError> {
        let url = chain.0.comet.socket_url();
        let open = async {
            let (mut socket, _) = tokio_tungstenite::connect_async(url.as_str()).await?;
            socket.send(Message::text(SUBSCRIBE)).await?;
            Ok(Self(socket))
        };
        tokio::time::timeout(chain.0.config.query_timeout, open)
            .await
            .map_err(|_| QueryError::Unavailable(format!("{url}: no answer in time")))?
            .map_err(|error: tokio_tungstenite::tungstenite::Error| {
                QueryError::Unavailable(format!("{url}: {}", chain_of(&error)))
            })
    }

    /// The next header. The library answers the node's pings.
    pub(crate) async fn next(&mut self) -> Result<NewHeader, QueryError> {
        loop {
            let message = match self.0.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(QueryError::Unavailable(chain_of(&error))),
                None => return Err(QueryError::Unavailable("the node closed the socket".into())),
            };
            if let Message::Text(text) = message {
                let value = serde_json::from_str(&text)
                    .map_err(|error| QueryError::Malformed(format!("block event: {error}")))?;
                if let Some(header) = header_of_event(&value)? {
                    return Ok(header);
                }
            }
        }
    }
}
