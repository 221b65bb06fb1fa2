//! The block feed through cuts, silence and a node without a socket.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use pocket_protocol::Height;
use pocket_query::{BlockFeed, FeedTiming, RetryPolicy};
use support::World;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Waits that do not slow a test.
const FAST: FeedTiming = FeedTiming {
    poll: Duration::from_millis(5),
    reconnect: RetryPolicy {
        attempts: u32::MAX,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
    },
    silence: Duration::from_mins(10),
};

struct Following {
    feed: BlockFeed,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Following {
    fn start(world: &World, timing: FeedTiming) -> Self {
        let cancel = CancellationToken::new();
        let (feed, task) = BlockFeed::start_with(world.chain.clone(), timing, cancel.clone());
        Self { feed, cancel, task }
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
        assert_eq!(self.feed.height(), Height(height));
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

async fn subscribed(world: &World, times: u32) {
    while world.node.subscriptions.load(Ordering::SeqCst) < times {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn blocks_come_over_the_socket() {
    let world = World::at_height(20).await;
    let following = Following::start(&world, FAST);
    subscribed(&world, 1).await;
    following.reaches(20).await;
    world.node.head.send_replace(21);
    following.reaches(21).await;
    assert_eq!(world.chain.highest_seen(), Height(21));
    following.stop().await;
}

#[tokio::test]
async fn cut_socket_is_opened_again_and_missed_blocks_are_seen() {
    let world = World::at_height(20).await;
    let following = Following::start(&world, FAST);
    subscribed(&world, 1).await;
    following.reaches(20).await;
    world.node.mute.store(true, Ordering::SeqCst);
    world.node.head.send_replace(25);
    world.node.cut.send_replace(1);
    following.reaches(25).await;
    subscribed(&world, 2).await;
    following.stop().await;
}

#[tokio::test]
async fn silent_socket_is_found_out() {
    let world = World::at_height(20).await;
    world.node.mute.store(true, Ordering::SeqCst);
    let silence = Duration::from_millis(20);
    let following = Following::start(&world, FeedTiming { silence, ..FAST });
    subscribed(&world, 1).await;
    following.reaches(20).await;
    // The first may have been seen when the socket was opened.
    for height in [21, 22] {
        world.node.head.send_replace(height);
        following.reaches(height).await;
    }
    subscribed(&world, 2).await;
    following.stop().await;
}

#[tokio::test]
async fn node_without_a_socket_is_polled() {
    let world = World::at_height(20).await;
    world.node.no_socket.store(true, Ordering::SeqCst);
    let following = Following::start(&world, FAST);
    following.reaches(20).await;
    world.node.head.send_replace(21);
    following.reaches(21).await;
    following.stop().await;
}

#[tokio::test]
async fn height_never_falls() {
    let world = World::at_height(20).await;
    let following = Following::start(&world, FAST);
    subscribed(&world, 1).await;
    following.reaches(20).await;
    world.node.head.send_replace(10);
    world.node.cut.send_replace(1);
    subscribed(&world, 2).await;
    assert_eq!(following.feed.height(), Height(20));
    world.node.head.send_replace(21);
    following.reaches(21).await;
    following.stop().await;
}
