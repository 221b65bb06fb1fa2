use proptest::prelude::*;
use time::OffsetDateTime;

use super::*;

const RULES: Rules = Rules { max_lag: 3 };

/// Endpoints of the network `pocket`, and a clock that the test turns.
struct World {
    standing: Standing,
    now: Instant,
}

impl World {
    fn of(endpoints: usize) -> Self {
        Self {
            standing: Standing::new(endpoints, RULES, Some("pocket".into())),
            now: Instant::now() + Duration::from_hours(1),
        }
    }

    /// Every endpoint has told of this height.
    fn at(endpoints: usize, height: i64) -> Self {
        let mut world = Self::of(endpoints);
        for index in 0..endpoints {
            world.says(index, height);
        }
        world.standing.introduce(world.now);
        world
    }

    fn says(&mut self, index: usize, height: i64) -> Option<Switch> {
        self.tells(index, "pocket", height, Duration::from_millis(10))
    }

    fn tells(&mut self, index: usize, network: &str, height: i64, latency: Duration) -> Option<Switch> {
        let sighting = Sighting {
            height: Some(Height(height)),
            // A block a second.
            time: Some(OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(height)),
            latency: Some(latency),
            network: Some(Network::Is(network.into())),
            catching_up: Some(false),
            age: None,
        };
        self.standing.answered(index, &sighting, self.now)
    }

    fn fails(&mut self, index: usize) -> Option<Switch> {
        self.standing.failed(index, 1, self.now)
    }

    fn best(&self) -> i64 {
        self.standing.best().map_or(0, |best| best.height.0)
    }

    fn condition(&self, index: usize) -> Condition {
        self.standing.endpoints()[index].condition
    }
}

#[test]
fn endpoint_is_left_at_its_second_failure_in_a_row() {
    let mut world = World::at(2, 100);
    assert_eq!(world.fails(0), None);
    world.says(0, 100);
    assert_eq!(world.fails(0), None);
    assert_eq!(world.fails(0), Some(Switch { from: 0, to: 1 }));
    assert_eq!(world.standing.endpoints()[0].left, 1);
}

#[test]
fn endpoint_that_came_back_is_not_returned_to_while_the_other_is_as_good() {
    let mut world = World::at(2, 100);
    world.fails(0);
    world.fails(0);
    assert_eq!(world.says(0, 101), None);
    assert_eq!((world.standing.used(), world.condition(0)), (1, Condition::Good));
    world.fails(1);
    assert_eq!(world.fails(1), Some(Switch { from: 1, to: 0 }));
}

#[test]
fn lagging_endpoint_is_left_and_asked_last() {
    let mut world = World::at(2, 100);
    world.says(1, 104);
    assert_eq!(world.says(0, 101), None);
    assert_eq!(world.says(0, 100), Some(Switch { from: 0, to: 1 }));
    assert_eq!(world.condition(0), Condition::Behind);
    assert_eq!(world.standing.candidates(), [1, 0]);
}

#[test]
fn height_far_above_the_other_is_not_believed_and_its_teller_is_left() {
    let mut world = World::at(2, 100);
    assert_eq!(world.says(0, 10_000), Some(Switch { from: 0, to: 1 }));
    assert_eq!((world.best(), world.condition(0)), (100, Condition::Ahead));
    world.says(1, 101);
    assert_eq!((world.best(), world.standing.used()), (101, 1));
}

#[test]
fn liar_does_not_get_further_by_small_steps() {
    let mut world = World::at(2, 100);
    for height in 101..200 {
        world.says(0, height);
    }
    assert!(world.best() <= 100 + RULES.max_lag, "{}", world.best());
}

#[test]
fn liar_that_is_heard_first_is_not_believed_before_the_others_were() {
    let mut world = World::of(2);
    world.says(0, 10_000);
    assert_eq!(world.best(), 0);
    world.says(1, 100);
    world.standing.introduce(world.now);
    assert_eq!(world.best(), 100);
}

#[test]
fn two_of_three_are_believed() {
    let mut world = World::at(3, 100);
    world.says(1, 150);
    assert_eq!(world.best(), 100);
    world.says(2, 150);
    assert_eq!(world.best(), 150);
    world.says(0, 101);
    assert_eq!((world.condition(0), world.standing.used()), (Condition::Behind, 1));
}

#[test]
fn endpoint_that_is_stuck_does_not_hold_the_others_back() {
    let mut world = World::at(2, 100);
    for height in 101..160 {
        world.now += Duration::from_secs(1);
        world.says(0, 100);
        world.says(1, height);
        assert_eq!(world.best(), height);
    }
    assert_eq!(world.standing.used(), 1);
}

#[test]
fn endpoint_whose_last_block_is_old_is_no_measure_at_the_start() {
    let mut world = World::of(2);
    let stuck = Sighting {
        age: Some(Duration::from_mins(30)),
        height: Some(Height(100)),
        network: Some(Network::Is("pocket".into())),
        ..Sighting::default()
    };
    world.standing.answered(0, &stuck, world.now);
    world.says(1, 1_000);
    world.standing.introduce(world.now);
    assert_eq!(world.best(), 1_000);
}

#[test]
fn dead_endpoint_is_no_measure() {
    let mut world = World::at(2, 100);
    world.fails(0);
    world.fails(0);
    world.says(1, 5_000);
    assert_eq!(world.best(), 5_000);
}

#[test]
fn endpoint_of_another_network_is_never_asked() {
    let mut world = World::of(2);
    world.tells(0, "pocket-beta", 9_000, Duration::from_millis(1));
    world.says(1, 100);
    world.standing.introduce(world.now);
    assert_eq!((world.best(), world.standing.used()), (100, 1));
    for _ in 0..5 {
        world.fails(1);
    }
    assert_eq!(world.standing.candidates(), [1]);
    world.tells(1, "pocket-beta", 9_000, Duration::from_millis(1));
    assert!(world.standing.candidates().is_empty());
    assert_eq!(world.standing.only_wrong().as_deref(), Some("pocket-beta"));
}

#[test]
fn endpoint_that_did_not_tell_its_network_is_not_asked() {
    let mut world = World::of(2);
    world.says(0, 100);
    world.standing.introduce(world.now);
    assert_eq!(world.standing.candidates(), [0]);
    world.fails(1);
    world.fails(1);
    assert_eq!(world.standing.candidates(), [0]);
}

#[test]
fn first_network_of_the_list_counts_when_none_is_configured() {
    let mut world = World::of(2);
    world.standing = Standing::new(2, RULES, None);
    world.tells(1, "pocket-beta", 9_000, Duration::from_millis(1));
    world.says(0, 100);
    world.standing.introduce(world.now);
    assert_eq!(world.best(), 0);
    let network = world.standing.told_network().unwrap();
    assert_eq!(&*network, "pocket");
    world.standing.set_network(network, world.now);
    assert_eq!((world.best(), world.condition(1)), (100, Condition::WrongChain));
}

#[test]
fn endpoint_that_still_fetches_blocks_is_left_and_says_nothing_of_the_height() {
    let mut world = World::at(2, 100);
    let fetching = Sighting {
        height: Some(Height(103)),
        catching_up: Some(true),
        ..Sighting::default()
    };
    let switch = world.standing.answered(0, &fetching, world.now);
    assert_eq!(switch, Some(Switch { from: 0, to: 1 }));
    assert_eq!(world.best(), 100);
}

#[test]
fn faster_endpoint_is_used_only_when_it_stays_faster() {
    let mut world = World::at(2, 100);
    let mut moved = None;
    for look in 0..100 {
        world.tells(0, "pocket", 100, Duration::from_millis(100));
        // Now and then it is slow.
        let latency = if look < 50 && look % 5 == 0 { 500 } else { 10 };
        let switch = world.tells(1, "pocket", 100, Duration::from_millis(latency));
        moved = moved.or(switch.map(|_| look));
    }
    assert!(moved.is_some_and(|look| look > 50), "{moved:?}");
    assert_eq!(world.standing.endpoints()[0].left, 1);
}

#[test]
fn only_endpoint_is_believed_and_asked_whatever_it_does() {
    let mut world = World::of(1);
    world.says(0, 100);
    world.says(0, 10_000);
    world.fails(0);
    world.fails(0);
    assert_eq!((world.best(), world.condition(0)), (10_000, Condition::Down));
    assert_eq!(world.standing.candidates(), [0]);
}

proptest! {
    /// Whatever happens, the height never falls, and no endpoint of another network is used beside one of ours.
    #[test]
    fn height_never_falls_and_no_other_network_is_used(
        events in prop::collection::vec((0..3_usize, 0..4_u8, 1..400_i64, 0..3_u64), 1..200)
    ) {
        let mut world = World::of(3);
        world.standing.introduce(world.now);
        for (index, kind, height, seconds) in events {
            let before = world.best();
            world.now += Duration::from_secs(seconds);
            match kind {
                0 => world.fails(index),
                1 if index == 2 => world.tells(index, "pocket-beta", height * 1000, Duration::ZERO),
                _ if index == 2 => None,
                _ => world.says(index, height),
            };
            prop_assert!(world.best() >= before && world.best() < 400);
            prop_assert!(world.condition(2) != Condition::WrongChain || !world.standing.candidates().contains(&2));
        }
    }
}
