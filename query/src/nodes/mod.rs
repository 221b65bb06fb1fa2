//! The chain's nodes: one or several, each for RPC, gRPC or both; which of them is asked, and whose height counts.

mod look;
mod pool;
mod series;
mod standing;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pocket_protocol::Height;
use time::OffsetDateTime;
use tokio::sync::{Notify, OnceCell, watch};
use tonic::transport::Channel;

use crate::comet::{Comet, NewHeader, NodeStatus};
use crate::{NodeConfig, QueryError, QueryMetrics, grpc};

pub(crate) use pool::{Pool, Reply};
pub(crate) use series::NodeSeries;
pub(crate) use standing::{Network, Sighting};
use standing::{Rules, Standing};

/// Both lists of endpoints. They need not be of the same nodes: each has its own standing.
pub(crate) struct Nodes {
    pub(crate) rpc: Pool<Comet>,
    pub(crate) grpc: Pool<Channel>,
    look_limit: Duration,
    look_every: Duration,
    introduced: OnceCell<()>,
    doubt: Arc<Notify>,
    /// The highest block that any believed answer spoke of.
    highest: AtomicI64,
    metrics: QueryMetrics,
    /// The newest header that is believed; only RPC tells headers.
    newest: watch::Sender<Option<NewHeader>>,
}

/// A node that takes longer to say where it is is not one to ask.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

impl Nodes {
    pub(crate) fn new(config: &NodeConfig, metrics: &QueryMetrics) -> Result<Self, QueryError> {
        let connect = |url: &String| Ok((name_of(url), Comet::new(url, config.query_timeout)?));
        let rpc: Vec<_> = config.rpc_urls.iter().map(connect).collect::<Result<_, QueryError>>()?;
        let connect = |url: &String| Ok((name_of(url), grpc::channel(url, config)?));
        let grpc: Vec<_> = config
            .grpc_urls
            .iter()
            .map(connect)
            .collect::<Result<_, QueryError>>()?;
        if rpc.is_empty() || grpc.is_empty() {
            return Err(QueryError::Malformed("no node is named".into()));
        }
        let is_several = rpc.len() > 1 || grpc.len() > 1;
        let rules = Rules {
            max_lag: config.max_lag,
        };
        let network: Option<Arc<str>> = config.chain_id.as_deref().map(Arc::from);
        let doubt = Arc::new(Notify::new());
        Ok(Self {
            rpc: Pool::new(
                "rpc",
                distinct(rpc),
                Standing::new(config.rpc_urls.len(), rules, network.clone()),
                doubt.clone(),
                metrics.clone(),
            ),
            grpc: Pool::new(
                "grpc",
                distinct(grpc),
                Standing::new(config.grpc_urls.len(), rules, network),
                doubt.clone(),
                metrics.clone(),
            ),
            metrics: metrics.clone(),
            look_limit: if is_several {
                config.query_timeout.min(LONGEST_LOOK)
            } else {
                config.query_timeout
            },
            look_every: if is_several {
                config.look_every
            } else {
                // Nothing is decided by it; metrics show it.
                config.look_every.max(Duration::from_secs(15))
            },
            introduced: OnceCell::new(),
            doubt,
            highest: AtomicI64::new(0),
            newest: watch::Sender::new(None),
        })
    }

    /// The time that a node may take to say where it is.
    pub(crate) fn look_limit(&self) -> Duration {
        self.look_limit
    }

    fn is_several(&self) -> bool {
        self.rpc.is_several() || self.grpc.is_several()
    }

    /// Has every node of several say once where it is and of which network, before the first is asked for anything. A
    /// node that takes too long is left for later.
    pub(crate) async fn introduced(&self) {
        if !self.is_several() {
            return;
        }
        let introduce = async {
            self.look().await;
            self.introduce();
        };
        self.introduced.get_or_init(|| Box::pin(introduce)).await;
    }

    fn introduce(&self) {
        let now = std::time::Instant::now();
        self.rpc.note(None, |standing| standing.introduce(now));
        self.grpc.note(None, |standing| standing.introduce(now));
        self.believe();
    }

    /// The highest block that is believed; never falls.
    pub(crate) fn highest(&self) -> Height {
        Height(self.highest.load(Ordering::Acquire))
    }

    /// Told of each newer header that is believed.
    pub(crate) fn newest(&self) -> watch::Receiver<Option<NewHeader>> {
        self.newest.subscribe()
    }

    /// An RPC endpoint told of its newest block. Whether it is to be believed.
    pub(crate) fn saw_header(&self, index: usize, header: NewHeader) -> bool {
        let is_believed = self.saw(index, header, Sighting::default());
        if !is_believed {
            // The others may have got there too.
            self.doubt.notify_one();
        }
        is_believed
    }

    /// An RPC endpoint told its status. Whether its height is to be believed.
    pub(crate) fn saw_status(&self, index: usize, status: &NodeStatus, latency: Option<Duration>) -> bool {
        let header = NewHeader {
            height: status.height,
            time: status.block_time,
        };
        let sighting = Sighting {
            latency,
            network: Some(Network::Is(status.chain_id.as_str().into())),
            catching_up: Some(status.catching_up),
            ..Sighting::default()
        };
        self.saw(index, header, sighting)
    }

    fn saw(&self, index: usize, header: NewHeader, sighting: Sighting) -> bool {
        let sighting = Sighting {
            height: Some(header.height),
            time: Some(header.time),
            age: Duration::try_from(OffsetDateTime::now_utc() - header.time).ok(),
            ..sighting
        };
        self.rpc.answered(index, &sighting);
        self.believe();
        self.rpc.standing().is_believed(header.height)
    }

    /// A gRPC endpoint answered from the state of a height, if it says so.
    pub(crate) fn saw_state(&self, index: usize, sighting: &Sighting) {
        let interval = self.rpc.standing().interval();
        self.grpc.standing().set_interval(interval);
        self.grpc.answered(index, sighting);
        self.believe();
    }

    /// Takes over what the lists believe.
    fn believe(&self) {
        let rpc = self.rpc.standing().best();
        let grpc = self.grpc.standing().best();
        for header in rpc.iter().chain(&grpc) {
            let before = self.highest.fetch_max(header.height.0, Ordering::AcqRel);
            self.metrics.height(before.max(header.height.0));
        }
        if let Some(header) = rpc {
            self.newest.send_if_modified(|newest| {
                let is_news = newest.is_none_or(|newest| header.height > newest.height);
                if is_news {
                    *newest = Some(header);
                }
                is_news
            });
        }
    }
}

/// `host:port` of a URL, for logs and metrics: the rest of it may hold a password.
fn name_of(url: &str) -> Arc<str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).trim();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match url.split_once("://") {
        Some(("http", _)) if !has_port => format!("{host}:80").into(),
        Some(("https", _)) if !has_port => format!("{host}:443").into(),
        _ => host.into(),
    }
}

/// Names the second and later endpoints of one host and port by their place, since metrics have one series for a name.
fn distinct<N>(mut nodes: Vec<(Arc<str>, N)>) -> Vec<(Arc<str>, N)> {
    for index in 1..nodes.len() {
        let (before, rest) = nodes.split_at_mut(index);
        if before.iter().any(|(name, _)| *name == rest[0].0) {
            rest[0].0 = format!("{}#{}", rest[0].0, index + 1).into();
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_has_neither_password_nor_path() {
        for (url, name) in [
            ("http://a:26657/", "a:26657"),
            ("https://user:secret@node.example/v1/key?k=1", "node.example:443"),
            ("http://node.example", "node.example:80"),
            ("localhost:9090", "localhost:9090"),
            ("tcp://[::1]:9090", "[::1]:9090"),
        ] {
            assert_eq!(&*name_of(url), name, "{url}");
        }
    }

    #[test]
    fn endpoints_of_one_host_have_names_of_their_own() {
        let nodes = ["a:1", "b:1", "a:1", "a:1"].map(|name| (Arc::from(name), ())).to_vec();
        let names: Vec<_> = distinct(nodes).into_iter().map(|(name, ())| name.to_string()).collect();
        assert_eq!(names, ["a:1", "b:1", "a:1#3", "a:1#4"]);
    }
}
