use pocket_metrics::Registry;
use proptest::prelude::*;

use super::*;

const SECOND: Moment = 1_000_000_000;
const RULES: HealthRules = HealthRules {
    failures: 1,
    recovery: Some(Duration::from_secs(30)),
};

fn pool(selection: BackendSelection, count: usize) -> Pool<usize> {
    let series = PoolSeries::register(&Registry::new()).unwrap();
    let endpoints = (0..count).map(|index| {
        let name = index.to_string();
        let metrics = series.endpoint("svc:jsonrpc", &name);
        Endpoint::new(name.into(), Arc::new(index), metrics, RULES)
    });
    Pool::new("svc:jsonrpc".into(), selection, None, endpoints)
}

impl Pool<usize> {
    /// The endpoint of the next relay, which comes at `now` and takes `time`.
    fn relay(&self, now: Moment, time: Moment, outcome: Outcome) -> Option<usize> {
        let mut picked = self.pick_at(now, &Tried::default())?;
        picked.report_at(now + time, outcome);
        Some(*picked.endpoint().connection)
    }

    fn relays(&self, count: usize) -> Vec<usize> {
        let relay = |_| self.relay(SECOND, 1, Outcome::Answered).unwrap();
        (0..count).map(relay).collect()
    }
}

#[test]
fn first_healthy_stays_with_the_first_and_comes_back_to_it() {
    let pool = pool(BackendSelection::FirstHealthy, 3);
    assert_eq!(pool.relays(3), [0, 0, 0]);
    assert_eq!(pool.relay(SECOND, 1, Outcome::Failed), Some(0));
    assert_eq!(pool.relays(3), [1, 1, 1]);
    // One tries the first, and as it does well, all follow.
    let picked = pool.pick_at(40 * SECOND, &Tried::default()).unwrap();
    assert_eq!(*picked.endpoint().connection, 0);
    assert_eq!(pool.relay(40 * SECOND, 1, Outcome::Answered), Some(1));
    picked.report(Outcome::Answered);
    assert_eq!(pool.relay(40 * SECOND, 1, Outcome::Answered), Some(0));
}

#[test]
fn round_robin_takes_the_healthy_ones_in_turn() {
    let pool = pool(BackendSelection::RoundRobin, 3);
    assert_eq!(pool.relays(6), [0, 1, 2, 0, 1, 2]);
    assert_eq!(pool.relay(SECOND, 1, Outcome::Failed), Some(0));
    let picked = pool.relays(30);
    assert!(!picked.contains(&0));
    assert!(picked.contains(&1) && picked.contains(&2));
}

#[test]
fn least_latency_prefers_the_fast_one_and_tries_a_slow_one_again_later() {
    let pool = pool(BackendSelection::LeastLatency, 2);
    for _ in 0..2 {
        let mut picked = pool.pick_at(SECOND, &Tried::default()).unwrap();
        let is_slow = *picked.endpoint().connection == 0;
        picked.report_at(SECOND + if is_slow { 40_000_000 } else { 1_000_000 }, Outcome::Answered);
    }
    for step in 0..100 {
        assert_eq!(pool.relay(SECOND + step * 1000, 1_000_000, Outcome::Answered), Some(1));
    }
    // Held by relays in flight, the fast one becomes the dearer one.
    let held: Vec<_> = (0..60)
        .map(|_| pool.pick_at(2 * SECOND, &Tried::default()).unwrap())
        .collect();
    assert!(held.iter().any(|picked| *picked.endpoint().connection == 0));
    drop(held);
    let later = (0..100).map(|step| pool.relay((2 + step) * SECOND, 1_000_000, Outcome::Answered));
    assert!(later.into_iter().any(|index| index == Some(0)));
}

#[test]
fn relay_does_not_go_where_it_has_been() {
    let pool = pool(BackendSelection::FirstHealthy, 2);
    let mut tried = Tried::default();
    for expected in 0..2 {
        let picked = pool.pick_at(SECOND, &tried).unwrap();
        assert_eq!(*picked.endpoint().connection, expected);
        tried.add(&picked);
    }
    assert!(pool.pick_at(SECOND, &tried).is_none());
}

#[test]
fn pool_without_healthy_endpoints_is_not_available_until_one_may_be_tried() {
    let pool = pool(BackendSelection::RoundRobin, 2);
    for _ in 0..2 {
        let picked = pool.pick(&Tried::default()).unwrap();
        picked.report(Outcome::Failed);
    }
    assert!(!pool.is_available());
    assert!(pool.pick(&Tried::default()).is_none());
    assert!(pool.pick_at(pool.now() + 31 * SECOND, &Tried::default()).is_some());
}

#[test]
fn timeouts_and_relays_given_up_leave_the_breaker_closed() {
    let pool = pool(BackendSelection::FirstHealthy, 1);
    for _ in 0..10 {
        pool.relay(SECOND, 1, Outcome::TimedOut);
        pool.relay(SECOND, 1, Outcome::Blameless);
        drop(pool.pick_at(SECOND, &Tried::default()));
    }
    assert_eq!(pool.endpoints()[0].state(SECOND), State::Closed);
}

#[test]
fn endpoint_that_fails_much_is_ejected_but_never_too_many_are() {
    let rule = pocket_config::OutlierEjection {
        enabled: true,
        interval: Duration::from_secs(10),
        min_relays: 10,
        failure_percent: 50,
        ejection_time: Duration::from_secs(30),
        max_ejected_percent: 50,
    };
    let pool = pool(BackendSelection::RoundRobin, 3);
    // The last two time out, one of them always: three endpoints bear one being out.
    for number in 0..60 {
        let mut picked = pool.pick_at(SECOND, &Tried::default()).unwrap();
        let is_bad = match *picked.endpoint().connection {
            0 => false,
            1 => number % 2 == 0,
            _ => true,
        };
        let outcome = if is_bad { Outcome::TimedOut } else { Outcome::Answered };
        picked.report_at(SECOND + 1, outcome);
    }
    pool.eject_outliers(&rule);
    let states = || {
        pool.endpoints()
            .iter()
            .map(|endpoint| endpoint.state(pool.now()))
            .collect::<Vec<_>>()
    };
    assert_eq!(states(), [State::Closed, State::Closed, State::Ejected]);
    let later = pool.now() + 31 * SECOND;
    assert_eq!(pool.endpoints()[2].state(later), State::Closed);
    // What was counted before does not count again.
    pool.eject_outliers(&rule);
    assert_eq!(states(), [State::Closed, State::Closed, State::Ejected]);
}

#[test]
fn nothing_stays_in_flight_when_all_relays_are_over() {
    let pool = pool(BackendSelection::LeastLatency, 2);
    let held: Vec<_> = (0..10)
        .map(|_| pool.pick_at(SECOND, &Tried::default()).unwrap())
        .collect();
    for (number, picked) in held.into_iter().enumerate() {
        if number % 2 == 0 {
            picked.report(Outcome::Answered);
        }
    }
    let now = pool.now();
    // One more relay costs one latency: nobody waits before it.
    for endpoint in pool.endpoints() {
        assert_eq!(endpoint.standing.load.in_flight(), 0, "{}", endpoint.cost(now));
    }
}

proptest! {
    #[test]
    fn pick_is_always_an_endpoint_that_may_be_asked(
        selection in prop_oneof![
            Just(BackendSelection::FirstHealthy),
            Just(BackendSelection::RoundRobin),
            Just(BackendSelection::LeastLatency),
        ],
        count in 1usize..6,
        steps in proptest::collection::vec((0u8..4, 1u64..20), 1..200),
    ) {
        let pool = pool(selection, count);
        let mut now = SECOND;
        for (step, seconds) in steps {
            now += seconds * SECOND;
            let free = pool.endpoints().iter().filter(|endpoint| endpoint.standing.health.may_enter(now)).count();
            let Some(mut picked) = pool.pick_at(now, &Tried::default()) else {
                prop_assert_eq!(free, 0);
                continue;
            };
            prop_assert!(free > 0);
            match step {
                0 => picked.report_at(now + 5, Outcome::Answered),
                1 => picked.report_at(now + 5, Outcome::Failed),
                2 => picked.report_at(now + 5, Outcome::TimedOut),
                _ => drop(picked),
            }
        }
    }
}

/// The pool under a new configuration: its endpoints and one more.
fn renewed(old: &Pool<usize>) -> Pool<usize> {
    let series = PoolSeries::register(&Registry::new()).unwrap();
    let more = old.endpoints().len();
    let kept = old.endpoints().iter();
    let kept =
        kept.map(|endpoint| endpoint.renewed(endpoint.name.clone(), endpoint.connection.clone(), metrics(&series)));
    let new = Endpoint::new("new".into(), Arc::new(more), metrics(&series), RULES);
    Pool::new(old.name.clone(), old.selection, Some(old), kept.chain([new]))
}

fn metrics(series: &PoolSeries) -> EndpointMetrics {
    series.endpoint("svc:jsonrpc", "any")
}

#[test]
fn open_breaker_stays_open_in_the_pool_that_takes_its_endpoint_over() {
    let old = pool(BackendSelection::FirstHealthy, 2);
    assert_eq!(old.relay(SECOND, 1, Outcome::Failed), Some(0));
    let new = renewed(&old);
    new.begin(RULES, false, false);
    assert_eq!(new.endpoints()[0].state(2 * SECOND), State::Open);
    assert_eq!(new.relay(2 * SECOND, 1, Outcome::Answered), Some(1));
    // A relay that began in the old pool counts in the new one.
    let held = old.pick_at(2 * SECOND, &Tried::default()).unwrap();
    assert_eq!(new.endpoints()[1].standing.load.in_flight(), 1);
    drop(held);
    assert_eq!(new.endpoints()[1].standing.load.in_flight(), 0);
}

#[test]
fn endpoint_that_is_no_longer_probed_is_not_down_for_ever() {
    let old = pool(BackendSelection::FirstHealthy, 1);
    old.probed(0, true);
    let new = renewed(&old);
    new.begin(RULES, true, false);
    assert_eq!(new.endpoints()[0].state(SECOND), State::Down);
    new.begin(RULES, false, false);
    assert_eq!(new.endpoints()[0].state(SECOND), State::Closed);
}

#[test]
fn new_rules_hold_for_a_breaker_that_is_open() {
    let pool = pool(BackendSelection::FirstHealthy, 1);
    assert_eq!(pool.relay(SECOND, 0, Outcome::Failed), Some(0));
    let patient = HealthRules {
        failures: 1,
        recovery: None,
    };
    pool.begin(patient, false, false);
    assert_eq!(pool.endpoints()[0].state(32 * SECOND), State::HalfOpen);
    let hasty = HealthRules {
        failures: 1,
        recovery: Some(Duration::from_millis(1)),
    };
    pool.begin(hasty, false, false);
    assert_eq!(pool.endpoints()[0].state(SECOND), State::HalfOpen);
}
