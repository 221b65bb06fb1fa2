//! The store against a real Redis.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use pocket_protocol::{ComputeUnits, Height, ServiceId, SessionId, SupplierAddress};
use pocket_smst::{Changes, Digest, NodeStore};
use pocket_store::{
    BlockEvent, Lease, LeaseKind, Pending, PrivateRedis, PublishGuard, PublisherConfig, RelayPublisher, SessionCommit,
    SessionRecord, SessionState, Store, StoreConfig, StoreError, StreamConsumer, StreamId, Watermark,
};
use tokio_util::sync::CancellationToken;

const TTL: Duration = Duration::from_mins(1);
const BLOCK: Duration = Duration::from_millis(20);

struct World {
    store: Store,
    redis: PrivateRedis,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::start(folder.path(), true).await.unwrap();
        Self {
            store: Store::new(StoreConfig::at(redis.url())).unwrap(),
            redis,
            folder,
        }
    }

    async fn lease(&self, instance: &str) -> Option<Lease> {
        self.store
            .acquire(&LeaseKind::Supplier(supplier()), instance, TTL)
            .await
            .unwrap()
    }

    async fn append(&self, messages: &[&'static str]) {
        let (publisher, task) = publisher(&self.store);
        for message in messages {
            let slot = publisher.try_reserve().unwrap();
            assert!(publisher.publish(slot, supplier(), Bytes::from_static(message.as_bytes()), ()));
        }
        drop(publisher);
        task.await.unwrap();
    }
}

fn publisher<G: PublishGuard>(store: &Store) -> (RelayPublisher<G>, tokio::task::JoinHandle<()>) {
    RelayPublisher::start(store.clone(), PublisherConfig::default(), CancellationToken::new())
}

fn supplier() -> SupplierAddress {
    SupplierAddress::of_public_key(&[2; 33])
}

fn record() -> SessionRecord {
    let service: ServiceId = "svc".parse().unwrap();
    let application = pocket_protocol::AppAddress::of_public_key(&[3; 33]);
    SessionRecord::new(
        supplier(),
        SessionId::from("5e55"),
        service,
        application,
        Height(1),
        Height(10),
    )
}

fn texts(deliveries: &[pocket_store::Delivery]) -> Vec<String> {
    deliveries
        .iter()
        .map(|d| String::from_utf8(d.data.clone().unwrap().to_vec()).unwrap())
        .collect()
}

#[tokio::test]
async fn unacknowledged_relays_come_back_to_the_next_owner() {
    let world = World::new().await;
    world.append(&["a", "b", "c"]).await;

    let mut first = StreamConsumer::new(world.store.clone(), "first", BLOCK);
    assert_eq!(take_over(&first, 10).await, [[""; 0]]);
    let read = first.read(&[supplier()], 2).await.unwrap();
    assert_eq!(texts(&read[0].1), ["a", "b"]);

    let mut second = StreamConsumer::new(world.store.clone(), "second", BLOCK);
    assert!(second.has_strays(&supplier()).await.unwrap());
    assert_eq!(take_over(&second, 10).await, [["a", "b"]]);
    assert!(!second.has_strays(&supplier()).await.unwrap());
    assert_eq!(texts(&second.read(&[supplier()], 10).await.unwrap()[0].1), ["c"]);
    assert!(second.read(&[supplier()], 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn read_that_arrives_after_its_consumers_death_loses_nothing() {
    let world = World::new().await;
    let kind = LeaseKind::Supplier(supplier());
    let lease = async || world.store.acquire(&kind, "miner", TTL).await.unwrap().unwrap();
    let first = lease().await;
    let mut dead = StreamConsumer::new(world.store.clone(), first.name(), BLOCK);
    take_over(&dead, 10).await;

    world.store.release(&first).await.unwrap();
    let second = lease().await;
    let live = StreamConsumer::new(world.store.clone(), second.name(), BLOCK);
    assert_eq!(take_over(&live, 10).await, [[""; 0]]);
    // It was on its way.
    world.append(&["a"]).await;
    dead.read(&[supplier()], 10).await.unwrap();
    assert!(live.has_strays(&supplier()).await.unwrap());
    assert_eq!(take_over(&live, 10).await, [["a"]]);
}

#[tokio::test]
async fn consumers_are_forgotten_when_they_hold_nothing_and_read_no_more() {
    let world = World::new().await;
    world.append(&["a"]).await;
    let mut empty = StreamConsumer::new(world.store.clone(), "empty", BLOCK);
    take_over(&empty, 10).await;
    empty.read(&[supplier()], 10).await.unwrap();
    let live = StreamConsumer::new(world.store.clone(), "live", BLOCK);
    assert_eq!(take_over(&live, 10).await, [["a"]]);
    world.append(&["b"]).await;
    let mut holding = StreamConsumer::new(world.store.clone(), "holding", BLOCK);
    holding.read(&[supplier()], 10).await.unwrap();

    let mut info = redis::cmd("XINFO");
    info.arg("CONSUMERS")
        .arg(world.store.keys().stream(supplier().as_str()))
        .arg(world.store.keys().consumer_group());
    let consumers = async || {
        let client = redis::Client::open(world.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let reply: redis::streams::StreamInfoConsumersReply = info.query_async(&mut connection).await.unwrap();
        reply
            .consumers
            .into_iter()
            .map(|consumer| consumer.name)
            .collect::<Vec<_>>()
    };
    live.forget_consumers(&supplier(), Duration::from_mins(1))
        .await
        .unwrap();
    assert_eq!(consumers().await, ["empty", "holding", "live"]);
    tokio::time::sleep(Duration::from_millis(2)).await;
    live.forget_consumers(&supplier(), Duration::ZERO).await.unwrap();
    assert_eq!(consumers().await, ["holding", "live"]);
}

#[tokio::test]
async fn what_another_left_is_taken_over_in_bounded_batches() {
    let world = World::new().await;
    world.append(&["a", "b", "c", "d", "e"]).await;
    let mut first = StreamConsumer::new(world.store.clone(), "first", BLOCK);
    take_over(&first, 10).await;
    first.read(&[supplier()], 10).await.unwrap();

    let second = StreamConsumer::new(world.store.clone(), "second", BLOCK);
    let batches = take_over(&second, 2).await;
    assert!(batches.iter().all(|batch| batch.len() <= 2), "{batches:?}");
    assert_eq!(batches.concat(), ["a", "b", "c", "d", "e"]);
}

/// The batches of entries that somebody read and did not acknowledge.
async fn take_over(consumer: &StreamConsumer, count: usize) -> Vec<Vec<String>> {
    let (mut pending, mut batches) = (Pending::of(supplier()), Vec::new());
    while let Some(batch) = consumer.take_over(&mut pending, count).await.unwrap() {
        batches.push(texts(&batch));
    }
    batches
}

#[tokio::test]
async fn commit_stores_tree_record_and_acknowledgement_together() {
    let world = World::new().await;
    world.append(&["a", "b"]).await;
    let mut consumer = StreamConsumer::new(world.store.clone(), "one", BLOCK);
    take_over(&consumer, 10).await;
    let deliveries = consumer.read(&[supplier()], 10).await.unwrap().remove(0).1;
    let ids: Vec<StreamId> = deliveries.iter().map(|d| d.id).collect();
    assert_eq!(world.store.last_entry(&supplier()).await.unwrap(), ids[1]);

    let lease = world.lease("one").await.unwrap();
    let record = SessionRecord {
        relays: 2,
        compute_units: ComputeUnits(84),
        ..record()
    };
    let set: Vec<_> = (0..5000u32)
        .map(|i| (digest(i), Bytes::from(vec![i as u8; 3])))
        .collect();
    let root = Digest::new([9; 48]);
    let tree = Changes {
        set,
        removed: Vec::new(),
        root,
    };
    let commit = SessionCommit {
        lease: &lease,
        record: &record,
        tree: Some(&tree),
        base: None,
        acknowledged: &ids,
    };
    // Twice, as after a lost answer.
    world.store.commit(&commit).await.unwrap();
    world.store.commit(&commit).await.unwrap();

    assert_eq!(
        world.store.session(&supplier(), &record.session).await.unwrap(),
        Some(record.clone())
    );
    assert_eq!(
        world.store.sessions(&supplier()).await.unwrap(),
        std::slice::from_ref(&record)
    );
    assert_eq!(world.store.stream_length(&supplier()).await.unwrap(), 0);
    let roots = world.store.tree_roots(&supplier(), &record.session).await.unwrap();
    assert_eq!((roots.live, roots.claimed), (Some(root), None));
    let stored = world.store.tree(&supplier(), &record.session);
    assert_eq!(stored.count().await.unwrap(), 5000);
    let nodes = stored.get_many(&[digest(4999), digest(70_000)]).await.unwrap();
    assert_eq!(nodes, [Some(Bytes::from(vec![4999u32 as u8; 3])), None]);

    let removed: Vec<_> = (0..4500).map(digest).collect();
    let tree = Changes {
        set: Vec::new(),
        removed,
        root,
    };
    world
        .store
        .commit(&SessionCommit {
            tree: Some(&tree),
            ..commit
        })
        .await
        .unwrap();
    assert_eq!(stored.count().await.unwrap(), 500);

    // Redis went back to another tree since this one was read.
    let other = Digest::new([8; 48]);
    for base in [Some(&other), None] {
        let (supplier, session) = (supplier(), &record.session);
        let sealing = world.store.seal_tree(&lease, &supplier, session, &root, base);
        assert!(matches!(sealing.await, Err(StoreError::Diverged)));
    }
    world
        .store
        .seal_tree(&lease, &supplier(), &record.session, &root, Some(&root))
        .await
        .unwrap();
    assert_eq!(
        world
            .store
            .tree_roots(&supplier(), &record.session)
            .await
            .unwrap()
            .claimed,
        Some(root)
    );
    world
        .store
        .delete_tree(&lease, &supplier(), &record.session)
        .await
        .unwrap();
    assert_eq!(stored.count().await.unwrap(), 0);
}

#[tokio::test]
async fn former_owner_can_write_nothing() {
    let world = World::new().await;
    let old = world.lease("one").await.unwrap();
    assert!(world.lease("two").await.is_none());
    world.store.release(&old).await.unwrap();
    // The same instance again: still another acquisition.
    let new = world.lease("one").await.unwrap();

    let record = record();
    let commit = SessionCommit {
        lease: &old,
        record: &record,
        tree: None,
        base: None,
        acknowledged: &[],
    };
    assert!(matches!(world.store.commit(&commit).await, Err(StoreError::Fenced)));
    assert!(matches!(
        world.store.save_session(&old, &record, 9).await,
        Err(StoreError::Fenced)
    ));
    assert!(matches!(world.store.renew(&old, TTL).await, Err(StoreError::Fenced)));
    assert!(matches!(world.store.release(&old).await, Err(StoreError::Fenced)));
    assert_eq!(world.store.session(&supplier(), &record.session).await.unwrap(), None);
    world.store.renew(&new, TTL).await.unwrap();
    let holder = world
        .store
        .lease_holder(&LeaseKind::Supplier(supplier()))
        .await
        .unwrap();
    assert_eq!(holder.as_deref(), Some("one"));
}

#[tokio::test]
async fn instance_that_never_saw_its_lease_gets_it_anew() {
    let world = World::new().await;
    let unseen = world.lease("one").await.unwrap();
    let seen = world.lease("one").await.unwrap();
    assert!(matches!(world.store.renew(&unseen, TTL).await, Err(StoreError::Fenced)));
    world.store.renew(&seen, TTL).await.unwrap();
    assert!(world.lease("on").await.is_none());
}

#[tokio::test]
async fn change_of_a_tree_that_redis_does_not_have_is_refused() {
    let world = World::new().await;
    let lease = world.lease("one").await.unwrap();
    let record = record();
    let change = |root: u8| Changes {
        set: vec![(Digest::new([root; 48]), Bytes::from_static(b"node"))],
        removed: Vec::new(),
        root: Digest::new([root; 48]),
    };
    let (first, second, third) = (change(1), change(2), change(3));
    let commit = |tree, base| SessionCommit {
        lease: &lease,
        record: &record,
        tree: Some(tree),
        base,
        acknowledged: &[],
    };
    let store = &world.store;
    store.commit(&commit(&first, None)).await.unwrap();
    store.commit(&commit(&second, Some(&first.root))).await.unwrap();
    // Again, as after a lost answer.
    store.commit(&commit(&second, Some(&first.root))).await.unwrap();
    for base in [None, Some(&first.root), Some(&third.root)] {
        let refused = store.commit(&commit(&third, base)).await;
        assert!(matches!(refused, Err(StoreError::Diverged)), "{refused:?}");
    }
    assert_eq!(store.tree(&supplier(), &record.session).count().await.unwrap(), 2);
}

#[tokio::test]
async fn user_with_a_password_works_with_what_it_may_and_no_more() {
    let world = World::new().await;
    let mut admin = redis::Client::open(world.redis.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let mut rules = redis::cmd("ACL");
    // What docs/operators.md tells to grant.
    let granted = "~ha:* ~{ha:* &ha:* +@all -@admin -@dangerous +info +role";
    rules.arg("SETUSER").arg("miner").arg("on").arg(">p@ss");
    rules.arg(granted.split(' ').collect::<Vec<_>>());
    rules.query_async::<()>(&mut admin).await.unwrap();
    let at = |user: &str| world.redis.url().replace("redis://", &format!("redis://{user}@"));

    let store = Store::new(StoreConfig::at(at("miner:p%40ss"))).unwrap();
    store.heartbeat("one", TTL).await.unwrap();
    let block = BlockEvent::new(Height(1), &[1; 32], time::OffsetDateTime::UNIX_EPOCH);
    store.publish_block(&block).await.unwrap();
    assert!(store.info("used_memory").await.unwrap().is_some());
    let lease = store
        .acquire(&LeaseKind::Supplier(supplier()), "one", TTL)
        .await
        .unwrap()
        .unwrap();
    store.save_session(&lease, &record(), 60).await.unwrap();
    let (publisher, task) = publisher(&store);
    let slot = publisher.reserve().await;
    assert!(publisher.publish(slot, supplier(), Bytes::from_static(b"relay"), ()));
    drop(publisher);
    task.await.unwrap();
    let mut consumer = StreamConsumer::new(store.clone(), "one", BLOCK);
    take_over(&consumer, 10).await;
    assert_eq!(consumer.read(&[supplier()], 10).await.unwrap().len(), 1);
    let mut elsewhere = StoreConfig::at(at("miner:p%40ss"));
    elsewhere.namespace.base = "other".to_owned();
    let refused = Store::new(elsewhere).unwrap().heartbeat("one", TTL).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    let stranger = Store::new(StoreConfig::at(at("miner:wrong"))).unwrap().ping().await;
    assert!(matches!(stranger, Err(StoreError::Refused(_))), "{stranger:?}");
}

#[tokio::test]
async fn session_record_reads_back_as_it_was_saved() {
    let world = World::new().await;
    let lease = world.lease("one").await.unwrap();
    let saved = SessionRecord {
        state: SessionState::ClaimTxError,
        relays: 7,
        compute_units: ComputeUnits(700),
        claimed_root: Some(Bytes::from_static(&[0xff; 48])),
        claim_tx: Some("AB".into()),
        proof_tx: Some("CD".into()),
        settlement: Some("expired".into()),
        settlement_height: Some(Height(99)),
        reason: Some("the chain said no".into()),
        ..record()
    };
    world.store.save_session(&lease, &record(), 60).await.unwrap();
    world.store.save_session(&lease, &saved, 60).await.unwrap();
    assert_eq!(
        world.store.session(&supplier(), &saved.session).await.unwrap(),
        Some(saved)
    );
}

#[tokio::test]
async fn relays_outlive_a_redis_that_goes_away() {
    let World { store, redis, folder } = World::new().await;
    let port = redis.port();
    let (publisher, task) = publisher::<Arc<()>>(&store);
    let guard = Arc::new(());
    store.ping().await.unwrap();
    drop(redis);
    for _ in 0..100 {
        let slot = publisher.try_reserve().unwrap();
        assert!(publisher.publish(slot, supplier(), Bytes::from_static(b"relay"), guard.clone()));
    }
    while publisher.stats().retries.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        Arc::strong_count(&guard) > 1,
        "a relay that Redis has not confirmed is open"
    );

    let _redis = PrivateRedis::start_on(port, folder.path(), true).await.unwrap();
    drop(publisher);
    task.await.unwrap();
    assert_eq!(Arc::strong_count(&guard), 1);
    assert_eq!(store.stream_length(&supplier()).await.unwrap(), 100);
}

#[tokio::test]
async fn full_queue_refuses_instead_of_losing() {
    let world = World::new().await;
    let config = PublisherConfig {
        queue: 2,
        ..PublisherConfig::default()
    };
    let (publisher, _task) = RelayPublisher::<()>::start(world.store, config, CancellationToken::new());
    let first = publisher.try_reserve().unwrap();
    let _second = publisher.try_reserve().unwrap();
    assert!(publisher.try_reserve().is_none());
    drop(first);
    assert!(publisher.try_reserve().is_some());
}

#[tokio::test]
async fn watermarks_are_those_of_live_relayers() {
    let world = World::new().await;
    let mark = |open| Watermark {
        height: Height(5),
        open_from: Height(open),
    };
    world.store.write_watermark("a", mark(10), TTL).await.unwrap();
    world
        .store
        .write_watermark("b", mark(20), Duration::from_millis(1))
        .await
        .unwrap();
    world.store.write_watermark("c", mark(30), TTL).await.unwrap();
    world.store.remove_watermark("c").await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let relayers = world.store.relayers().await.unwrap();
    assert_eq!(relayers.live, [("a".to_owned(), mark(10))]);
    assert_eq!(relayers.silent, ["b"]);

    world.store.forget_relayers(&relayers.silent).await.unwrap();
    assert_eq!(world.store.relayers().await.unwrap().silent, [""; 0]);
    world.store.write_watermark("b", mark(20), TTL).await.unwrap();
    assert_eq!(world.store.watermarks().await.unwrap().len(), 2);
}

#[tokio::test]
async fn miners_see_each_other_live_and_leave() {
    let world = World::new().await;
    world.store.heartbeat("a", TTL).await.unwrap();
    world.store.heartbeat("b", Duration::from_millis(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(world.store.heartbeat("c", TTL).await.unwrap(), ["a", "c"]);
    world.store.farewell("a").await.unwrap();
    assert_eq!(world.store.heartbeat("c", TTL).await.unwrap(), ["c"]);
}

fn digest(number: u32) -> Digest {
    let mut digest = [0; 48];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    Digest::new(digest)
}
