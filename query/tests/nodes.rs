//! Several nodes: whom a query is asked, and where the block feed goes, when one dies, lags, lies or is of another chain.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use pocket_metrics::{Registry, prometheus};
use pocket_protocol::Height;
use pocket_query::{BlockFeed, ChainClient, FeedTiming, QueryError, QueryMetrics, RetryPolicy};
use support::World;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const TIMING: FeedTiming = FeedTiming {
    poll: Duration::from_millis(5),
    reconnect: RetryPolicy {
        attempts: u32::MAX,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
    },
    silence: Duration::from_mins(10),
};

/// Two nodes at height 20, and a client of both.
async fn two() -> (World, World, ChainClient) {
    let (first, second) = (World::at_height(20).await, World::at_height(20).await);
    let chain = World::client_of(&[&first, &second], |_| ());
    (first, second, chain)
}

struct Following {
    feed: BlockFeed,
    _task: AbortOnDropHandle<()>,
}

impl Following {
    fn start(chain: &ChainClient) -> Self {
        let (feed, task) = BlockFeed::start_with(chain.clone(), TIMING, CancellationToken::new());
        let task = AbortOnDropHandle::new(task);
        Self { feed, _task: task }
    }

    /// Waits for a height; that it comes at all is what is tested.
    async fn reaches(&self, height: i64) {
        let mut blocks = self.feed.subscribe();
        let reached = blocks
            .wait_for(|block| block.height >= Height(height))
            .await
            .unwrap()
            .height;
        assert_eq!(reached, Height(height));
    }
}

async fn until(fact: impl Fn() -> bool) {
    while !fact() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A series of a node's RPC.
fn shown(registry: &Registry, name: &str, rpc: &str) -> i64 {
    let families = registry.gather();
    let family = families
        .iter()
        .find(|family| family.name() == format!("ha_query_node_{name}"));
    let is_its = |series: &&prometheus::proto::Metric| series.get_label().iter().any(|label| label.value() == rpc);
    let series = family.unwrap().get_metric().iter().find(is_its).unwrap();
    (series.get_gauge().get_value() + series.get_counter().get_value()) as i64
}

#[tokio::test]
async fn query_is_answered_by_the_next_node_when_the_first_is_dead() {
    let (first, second, chain) = two().await;
    assert_eq!(chain.shared_params().await.unwrap().num_blocks_per_session, 10);
    assert_eq!((first.asked(), second.asked()), (1, 0));
    first.die();
    chain.shared_params_at(Height(3)).await.unwrap();
    assert_eq!(chain.block(Height(7)).await.unwrap().height, Height(7));
    assert_eq!(second.asked(), 2);
}

#[tokio::test]
async fn query_does_not_wait_for_a_node_that_hangs() {
    let (first, second, chain) = two().await;
    chain.status().await.unwrap();
    first.node.hang.send_replace(true);
    chain.shared_params().await.unwrap();
    chain.status().await.unwrap();
    assert_eq!(second.asked(), 1);
}

#[tokio::test]
async fn nonsense_is_asked_of_another_node() {
    let (first, second, chain) = two().await;
    first.node.nonsense.store(true, Ordering::SeqCst);
    assert_eq!(chain.shared_params().await.unwrap().num_blocks_per_session, 10);
    assert_eq!((first.asked(), second.asked()), (1, 1));
}

#[tokio::test]
async fn lagging_nodes_no_does_not_count_while_another_can_be_asked() {
    let (first, second, chain) = two().await;
    first.node.lag.store(1, Ordering::SeqCst);
    chain.status().await.unwrap();
    assert_eq!(chain.claim("id", "supplier").await, Ok(None));
    assert_eq!((first.asked(), second.asked()), (1, 1));
}

#[tokio::test]
async fn sequence_is_not_read_from_a_node_behind_the_last_transaction() {
    let (first, _second, chain) = two().await;
    first.node.lag.store(2, Ordering::SeqCst);
    assert_eq!(chain.account("a").await.unwrap().sequence, 18);
    assert_eq!(chain.account_since("a", Height(20)).await.unwrap().sequence, 20);
}

#[tokio::test]
async fn block_that_one_node_does_not_have_yet_is_brought_by_another() {
    let (_first, second, chain) = two().await;
    let following = Following::start(&chain);
    following.reaches(20).await;
    second.node.head.send_replace(22);
    following.reaches(22).await;
    assert_eq!(chain.block(Height(22)).await.unwrap().height, Height(22));
}

#[tokio::test]
async fn node_of_another_network_is_never_asked() {
    let (first, second) = (World::at_height(9_000).await, World::at_height(20).await);
    *first.node.network.lock().unwrap() = "pocket-beta".to_owned();
    let chain = World::client_of(&[&first, &second], |config| config.chain_id = Some("pocket".to_owned()));
    assert_eq!(&*chain.chain_id().await.unwrap(), "pocket");
    chain.shared_params().await.unwrap();
    chain.block(Height(7)).await.unwrap();
    assert_eq!((first.asked(), chain.highest_seen()), (0, Height(20)));
    second.die();
    assert!(matches!(
        chain.shared_params_at(Height(3)).await,
        Err(QueryError::Unavailable(_))
    ));
    assert_eq!(first.asked(), 0);
}

#[tokio::test]
async fn nodes_that_are_all_of_another_network_are_told() {
    let (first, second) = (World::at_height(20).await, World::at_height(20).await);
    let chain = World::client_of(&[&first, &second], |config| {
        config.chain_id = Some("pocket-beta".to_owned());
    });
    let (configured, found) = ("pocket-beta".to_owned(), "pocket".to_owned());
    assert_eq!(
        chain.chain_id().await,
        Err(QueryError::WrongChain { configured, found })
    );
}

#[tokio::test]
async fn with_all_nodes_dead_queries_fail_and_then_recover() {
    let (first, second, chain) = two().await;
    chain.status().await.unwrap();
    for node in [&first.node, &second.node] {
        node.failures.store(1_000, Ordering::SeqCst);
    }
    assert!(matches!(chain.shared_params().await, Err(QueryError::Unavailable(_))));
    for node in [&first.node, &second.node] {
        node.failures.store(0, Ordering::SeqCst);
    }
    chain.shared_params().await.unwrap();
}

#[tokio::test]
async fn nodes_that_hang_at_the_start_are_used_as_soon_as_they_answer() {
    let (first, second) = (World::at_height(20).await, World::at_height(20).await);
    for node in [&first.node, &second.node] {
        node.hang.send_replace(true);
    }
    let chain = World::client_of(&[&first, &second], |config| {
        config.query_timeout = Duration::from_millis(100);
    });
    let following = Following::start(&chain);
    assert!(matches!(chain.shared_params().await, Err(QueryError::Unavailable(_))));
    second.node.hang.send_replace(false);
    following.reaches(20).await;
    chain.shared_params().await.unwrap();
}

#[tokio::test]
async fn feed_goes_on_at_the_other_node_without_missing_a_block() {
    let (first, second) = (World::at_height(20).await, World::at_height(20).await);
    let registry = Registry::new();
    let metrics = QueryMetrics::register(&registry).unwrap();
    let chain = World::counted_client_of(&[&first, &second], metrics, |_| ());
    let following = Following::start(&chain);
    until(|| first.node.subscriptions.load(Ordering::SeqCst) == 1).await;
    for height in 21..24 {
        first.node.head.send_replace(height);
        second.node.head.send_replace(height);
        following.reaches(height).await;
    }
    let (dead, left) = (first.rpc_name().to_owned(), second.rpc_name());
    assert_eq!(shown(&registry, "used", &dead), 1);
    // Nobody tells of block 24 but the node that is left.
    first.die();
    second.node.head.send_replace(24);
    following.reaches(24).await;
    until(|| second.node.subscriptions.load(Ordering::SeqCst) == 1).await;
    for height in 25..28 {
        second.node.head.send_replace(height);
        following.reaches(height).await;
    }
    until(|| shown(&registry, "used", left) == 1).await;
    assert_eq!(
        (
            shown(&registry, "up", &dead),
            shown(&registry, "failovers_total", &dead)
        ),
        (0, 1)
    );
    assert_eq!(
        (shown(&registry, "up", left), shown(&registry, "height", left)),
        (1, 27)
    );
}

#[tokio::test]
async fn feed_leaves_a_node_that_hangs() {
    let (first, second, chain) = two().await;
    let chain_of_hanging = World::client_of(&[&first, &second], |config| {
        config.query_timeout = Duration::from_millis(200);
    });
    drop(chain);
    let following = Following::start(&chain_of_hanging);
    until(|| first.node.subscriptions.load(Ordering::SeqCst) == 1).await;
    first.node.hang.send_replace(true);
    second.node.head.send_replace(21);
    following.reaches(21).await;
    until(|| second.node.subscriptions.load(Ordering::SeqCst) == 1).await;
    second.node.mute.store(false, Ordering::SeqCst);
    second.node.head.send_replace(22);
    following.reaches(22).await;
}

#[tokio::test]
async fn feed_leaves_a_node_that_lags() {
    let (first, second, chain) = two().await;
    let following = Following::start(&chain);
    until(|| first.node.subscriptions.load(Ordering::SeqCst) == 1).await;
    for height in 21..30 {
        second.node.head.send_replace(height);
        following.reaches(height).await;
    }
    until(|| second.node.subscriptions.load(Ordering::SeqCst) == 1).await;
    // The old one catches up; nobody goes back for that, and no height comes twice.
    first.node.head.send_replace(29);
    second.node.head.send_replace(30);
    following.reaches(30).await;
    assert_eq!(first.node.subscriptions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn feed_does_not_believe_a_height_that_no_other_node_comes_near() {
    let (first, second, chain) = two().await;
    let following = Following::start(&chain);
    until(|| first.node.subscriptions.load(Ordering::SeqCst) == 1).await;
    following.reaches(20).await;
    first.node.head.send_replace(1_000_000);
    until(|| second.node.subscriptions.load(Ordering::SeqCst) == 1).await;
    second.node.head.send_replace(21);
    following.reaches(21).await;
    assert_eq!(chain.highest_seen(), Height(21));
    assert_eq!(chain.status().await.unwrap().height, Height(21));
}

#[tokio::test]
async fn many_blocks_at_once_are_believed_when_all_nodes_have_them() {
    let (first, second, chain) = two().await;
    let following = Following::start(&chain);
    following.reaches(20).await;
    second.node.head.send_replace(200);
    first.node.head.send_replace(200);
    following.reaches(200).await;
}

#[tokio::test]
async fn feed_waits_for_nodes_that_are_all_gone() {
    let (first, second, chain) = two().await;
    let following = Following::start(&chain);
    following.reaches(20).await;
    for node in [&first.node, &second.node] {
        node.no_socket.store(true, Ordering::SeqCst);
        node.cut.send_replace(1);
    }
    second.node.head.send_replace(21);
    following.reaches(21).await;
    first.die();
    second.node.no_socket.store(false, Ordering::SeqCst);
    until(|| second.node.subscriptions.load(Ordering::SeqCst) > 0).await;
    second.node.head.send_replace(22);
    following.reaches(22).await;
}

#[tokio::test]
async fn transaction_is_offered_to_every_node_and_to_the_next_when_one_is_dead() {
    let (first, second, chain) = two().await;
    let tx = || Bytes::from_static(b"tx");
    let answer = chain.broadcast(tx()).await.unwrap();
    assert_eq!((answer.code, answer.unanswered), (0, 0));
    for node in [&first.node, &second.node] {
        assert_eq!(node.taken.load(Ordering::SeqCst), 1);
    }
    first.die();
    let answer = chain.broadcast(tx()).await.unwrap();
    assert_eq!((answer.code, answer.unanswered), (0, 1));
    assert_eq!(second.node.taken.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn full_mempool_of_one_node_is_no_refusal_and_that_of_all_is() {
    let (first, second, chain) = two().await;
    first.node.refusal.store(20, Ordering::SeqCst);
    assert_eq!(chain.broadcast(Bytes::from_static(b"tx")).await.unwrap().code, 0);
    assert_eq!(second.node.taken.load(Ordering::SeqCst), 1);
    second.node.refusal.store(20, Ordering::SeqCst);
    assert_eq!(chain.broadcast(Bytes::from_static(b"tx")).await.unwrap().code, 20);
}
