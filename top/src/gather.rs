//! Asking everybody at once.

use pocket_status::{MinerStatus, RelayerStatus, Status};
use pocket_store::Store;
use serde::Serialize;
use time::OffsetDateTime;

use crate::RedisView;
use crate::endpoint::{Asking, Endpoint};
use crate::redis;

/// Who is asked. Clones share connections.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    asking: Asking,
    endpoints: Vec<Endpoint>,
    redis: Option<Store>,
}

impl Sources {
    /// These processes, and Redis if it is to be asked.
    pub fn new(endpoints: Vec<Endpoint>, redis: Option<Store>) -> Self {
        Self {
            asking: Asking::default(),
            endpoints,
            redis,
        }
    }
}

/// What one process said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heard<T> {
    /// Host and port.
    pub from: String,
    /// Its status.
    pub status: T,
}

/// What everybody said at a moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// The moment.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Relayers.
    pub relayers: Vec<Heard<RelayerStatus>>,
    /// Miners.
    pub miners: Vec<Heard<MinerStatus>>,
    /// Those who did not answer, and why.
    pub away: Vec<Heard<String>>,
    /// Redis; nothing if it was not to be asked.
    pub redis: Option<RedisView>,
}

impl Snapshot {
    /// A moment at which nobody was asked yet.
    pub fn empty(at: OffsetDateTime) -> Self {
        Self {
            at,
            relayers: Vec::new(),
            miners: Vec::new(),
            away: Vec::new(),
            redis: None,
        }
    }
}

/// Asks all of them. It takes as long as the slowest, three seconds at most.
pub async fn gather(sources: &Sources) -> Snapshot {
    let asked = sources.endpoints.iter().map(|endpoint| async move {
        let told = sources.asking.status(endpoint).await;
        (endpoint.to_string(), told)
    });
    let looked = async {
        match &sources.redis {
            Some(store) => Some(redis::look(store).await),
            None => None,
        }
    };
    let (told, redis) = tokio::join!(futures::future::join_all(asked), looked);
    let mut snapshot = Snapshot::empty(OffsetDateTime::now_utc());
    for (from, told) in told {
        match told {
            Ok(Status::Relayer(status)) => snapshot.relayers.push(Heard { from, status }),
            Ok(Status::Miner(status)) => snapshot.miners.push(Heard { from, status }),
            Err(status) => snapshot.away.push(Heard { from, status }),
        }
    }
    match redis {
        Some(Ok(view)) => snapshot.redis = Some(view),
        Some(Err(status)) => snapshot.away.push(Heard {
            from: "Redis".to_owned(),
            status,
        }),
        None => {}
    }
    snapshot
}
