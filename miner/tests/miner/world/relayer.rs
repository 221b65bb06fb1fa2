//! Relays as a relayer appends them, without clients and backends.

use std::time::Duration;

use bytes::Bytes;
use pocket_devnet::{Actor, RelayMaker};
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::Height;
use pocket_smst::Leaf;
use pocket_store::{PublisherConfig, RelayPublisher, Store, Watermark};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use super::{Part, World};

/// Compute units of one relay on the local network.
const UNITS: u64 = 100;

pub struct Relayer {
    store: Store,
    publisher: RelayPublisher<()>,
    served: usize,
}

impl Relayer {
    pub fn new(store: Store) -> Self {
        let (publisher, task) =
            RelayPublisher::start(store.clone(), PublisherConfig::default(), CancellationToken::new());
        // It ends when the publisher is dropped.
        drop(task);
        Self {
            store,
            publisher,
            served: 0,
        }
    }

    /// Serves `relays` relays of the application's present session, all different; returns when they are in Redis.
    pub async fn serve(&mut self, world: &mut World, supplier: &str, application: &str, relays: usize) -> Part {
        let header = session(world, application);
        self.serve_in(world, &header, supplier, application, relays).await
    }

    /// Serves relays of a session that may be over.
    pub async fn serve_in(
        &mut self,
        world: &mut World,
        header: &SessionHeader,
        supplier: &str,
        application: &str,
        relays: usize,
    ) -> Part {
        let messages = self.mine(header, supplier, application, relays);
        let part = Self::remember(world, header, supplier, &messages);
        self.append_relays(supplier, &messages).await;
        part
    }

    pub async fn append_relays(&self, supplier: &str, relays: &[MinedRelayMessage]) {
        self.append(supplier, relays.iter().map(|relay| relay.encode_to_vec().into()))
            .await;
    }

    /// Relays as [`Self::serve`] makes them, not yet appended.
    pub fn mine(
        &mut self,
        header: &SessionHeader,
        supplier: &str,
        application: &str,
        relays: usize,
    ) -> Vec<MinedRelayMessage> {
        let maker = RelayMaker::new(header.clone(), application, supplier, UNITS);
        let first = self.served;
        self.served += relays;
        let text = |kind: &str, number: usize| format!("{kind} {number}").into();
        (first..self.served)
            .map(|number| maker.mined(text("request", number), text("response", number)))
            .collect()
    }

    /// Counts relays as answered.
    pub fn remember(world: &mut World, header: &SessionHeader, supplier: &str, messages: &[MinedRelayMessage]) -> Part {
        let part = Part {
            supplier: Actor::named(supplier).address,
            session: header.session_id.clone(),
            end: header.session_end_block_height,
        };
        let leaves = world.served.entry(part.clone()).or_default();
        leaves.extend(messages.iter().map(|message| {
            let hash = message.relay_hash.as_ref().try_into().unwrap();
            Leaf::of_relay(hash, &message.relay_bytes, UNITS)
        }));
        part
    }

    /// Appends entries to a supplier's stream and waits until Redis has them.
    pub async fn append(&self, supplier: &str, entries: impl IntoIterator<Item = Bytes>) {
        let address = super::address(supplier);
        for entry in entries {
            let slot = self.publisher.try_reserve().expect("the queue is not full");
            assert!(self.publisher.publish(slot, address.clone(), entry, ()));
        }
        while self.publisher.free() < PublisherConfig::default().queue {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Tells that sessions that end before `open_from` are done here.
    pub async fn tell_open_from(&self, height: i64, open_from: i64) {
        self.tell_for(height, open_from, Duration::from_mins(5)).await;
    }

    /// The same, with a word that counts for so long.
    pub async fn tell_for(&self, height: i64, open_from: i64, ttl: Duration) {
        let watermark = Watermark {
            height: Height(height),
            open_from: Height(open_from),
        };
        self.store.write_watermark("relayer", watermark, ttl).await.unwrap();
    }
}

/// The application's session that contains the last block.
pub fn session(world: &World, application: &str) -> SessionHeader {
    let (address, service) = (Actor::named(application).address, service_of(application));
    let session = world.devnet.read(|chain| {
        let view = chain.view();
        pocket_devnet::chain::session::get_session(view.state, &view.context, &address, service, 0).unwrap()
    });
    session.header.unwrap()
}

fn service_of(application: &str) -> &'static str {
    match application {
        "app1" => "svc-http",
        "app2" => "svc-ws",
        "app3" => "svc-grpc",
        "app4" => "svc-rest",
        other => panic!("{other} has no service here"),
    }
}
