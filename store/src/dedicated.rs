use std::time::Duration;

use redis::{Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, RedisError, aio::MultiplexedConnection};

use crate::{
    StoreError,
    address::Address,
    link::{RESPONSE_TIMEOUT, connect, connect_to},
};

/// How often a call follows a slot to another node of a Cluster.
const MOST_REDIRECTIONS: usize = 4;

/// A connection of its own for calls that block, since they hold up everything behind them. In a Cluster it leads to
/// the node that has the keys it is used for.
pub(crate) struct Dedicated {
    address: Address,
    /// Bounds one answer.
    longest: Duration,
    connection: Option<MultiplexedConnection>,
    /// The node of a Cluster that we believe to have the keys.
    home: Option<ConnectionInfo>,
    /// The next of the Cluster's first nodes to be asked where they are.
    next: usize,
}

impl Dedicated {
    pub fn new(address: Address, block: Duration) -> Self {
        Self {
            address,
            longest: block + RESPONSE_TIMEOUT,
            connection: None,
            home: None,
            next: 0,
        }
    }

    /// Sends one command. A call that is dropped drops its connection too, so that nothing waits behind it.
    pub async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, StoreError> {
        let mut redirections = 0;
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            match command.query_async(&mut connection).await {
                Ok(answer) => {
                    self.connection = Some(connection);
                    return Ok(answer);
                }
                Err(error) => {
                    let moved = self.address.is_cluster().then(|| self.home_after(&error)).flatten();
                    self.home = moved;
                    if self.home.is_none() || redirections == MOST_REDIRECTIONS {
                        return Err(error.into());
                    }
                    redirections += 1;
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<MultiplexedConnection, StoreError> {
        let Address::Cluster(nodes) = &self.address else {
            return Ok(connect(&self.address, self.longest).await?);
        };
        let node = self.home.take().unwrap_or_else(|| {
            let node = nodes[self.next % nodes.len()].clone();
            self.next += 1;
            node
        });
        let connection = connect_to(node.clone(), self.longest).await?;
        self.home = Some(node);
        Ok(connection)
    }

    /// Where an error says that the keys are.
    fn home_after(&self, error: &RedisError) -> Option<ConnectionInfo> {
        let (address, _) = error.redirect_node()?;
        let (host, port) = address.rsplit_once(':')?;
        let (asked, port) = (self.home.as_ref()?, port.parse().ok()?);
        let host = |asked: &str| if host.is_empty() { asked } else { host }.to_owned();
        let addr = match asked.addr() {
            ConnectionAddr::Tcp(asked, _) => ConnectionAddr::Tcp(host(asked), port),
            ConnectionAddr::TcpTls {
                host: asked,
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host: host(asked),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => return None,
        };
        Some(asked.clone().set_addr(addr))
    }
}
