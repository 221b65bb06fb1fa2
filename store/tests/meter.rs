//! Metering against a real Redis.

use std::time::Duration;

use pocket_store::{MeterGrant, MeterRecord, MeterVisit, PrivateRedis, ServiceFactors, Store, StoreConfig};

const TTL: Duration = Duration::from_mins(2);

struct World {
    store: Store,
    redis: PrivateRedis,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::start(folder.path(), false).await.unwrap();
        Self {
            store: Store::new(StoreConfig::at(redis.url())).unwrap(),
            redis,
            _folder: folder,
        }
    }

    async fn visit(&self, visit: &MeterVisit) -> MeterGrant {
        let grants = self.store.visit_meters("ha", std::slice::from_ref(visit), TTL).await;
        grants.unwrap()[0]
    }

    async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.unwrap()
    }
}

fn visit(limit: i64, cost: u64, told: i64, wanted: u64) -> MeterVisit {
    MeterVisit {
        record: MeterRecord {
            session_id: "5e55".to_owned(),
            app_address: "pokt1app".to_owned(),
            service_id: "eth".to_owned(),
            supplier_address: "pokt1sup".to_owned(),
            session_end_height: 60,
            max_stake_upokt: limit,
            created_at: 1_700_000_000,
            created_with_factor: 0.0,
            created_with_app_stake: 1_000_000,
        },
        replace: false,
        cost,
        told,
        wanted,
    }
}

#[tokio::test]
async fn leases_of_many_relayers_never_pass_the_limit_and_use_all_of_it() {
    let world = World::new().await;
    let mut visits = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = world.store.clone();
        visits.spawn(async move {
            let mut relays = 0;
            loop {
                let asked = [visit(100_050, 100, 0, 64)];
                let grant = store.visit_meters("ha", &asked, TTL).await.unwrap()[0];
                if grant.relays == 0 {
                    return relays;
                }
                assert!(grant.relays <= 64 && grant.consumed <= 100_050);
                relays += grant.relays;
            }
        });
    }
    // 1000 relays, and 50 upokt that pay none.
    assert_eq!(visits.join_all().await.iter().sum::<u64>(), 1000);
    assert_eq!(
        world.ask::<i64>(&["GET", "ha:meter:5e55:pokt1sup:consumed"]).await,
        100_000
    );
}

#[tokio::test]
async fn lease_is_an_eighth_of_what_is_left_and_the_last_relays_go_one_by_one() {
    let world = World::new().await;
    let mut grants = Vec::new();
    loop {
        let grant = world.visit(&visit(40, 1, 0, 1000)).await;
        if grant.relays == 0 {
            break;
        }
        grants.push(grant.relays);
    }
    assert_eq!(grants[..6], [5, 4, 3, 3, 3, 2]);
    assert_eq!(grants.iter().sum::<u64>(), 40);
    assert_eq!(grants.last(), Some(&1));
}

#[tokio::test]
async fn what_is_told_counts_over_the_limit_and_what_is_given_back_can_be_leased_again() {
    let world = World::new().await;
    let grant = world.visit(&visit(100, 10, 13, 5)).await;
    assert_eq!((grant.relays, grant.consumed), (0, 130));
    let grant = world.visit(&visit(100, 10, -4, 5)).await;
    assert_eq!((grant.relays, grant.consumed), (1, 100));
    // More than was taken leaves nothing, not less.
    let grant = world.visit(&visit(100, 10, -40, 0)).await;
    assert_eq!((grant.relays, grant.consumed), (0, 0));
}

#[tokio::test]
async fn amounts_near_the_largest_are_exact() {
    let world = World::new().await;
    let largest = (1 << 53) - 1;
    let cost = 3_002_399_751_580_331;
    let first = world.visit(&visit(i64::MAX, cost, 0, 9)).await;
    let second = world.visit(&visit(i64::MAX, cost, 0, 9)).await;
    assert_eq!((first.relays, first.consumed), (1, cost));
    assert_eq!((second.relays, second.consumed), (1, 2 * cost));
    let rest = largest - 2 * cost;
    assert_eq!(world.visit(&visit(i64::MAX, rest + 1, 0, 1)).await.relays, 0);
    assert_eq!(world.visit(&visit(i64::MAX, rest, 0, 1)).await.consumed, largest);
}

#[tokio::test]
async fn peer_finds_its_record_and_keys_expire() {
    let world = World::new().await;
    world.visit(&visit(500, 10, 0, 1)).await;
    let record: String = world.ask(&["GET", "ha:meter:5e55:pokt1sup:meta"]).await;
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let theirs = serde_json::json!({
        "session_id": "5e55", "app_address": "pokt1app", "service_id": "eth", "supplier_address": "pokt1sup",
        "session_end_height": 60, "max_stake_upokt": 500, "created_at": 1_700_000_000_i64,
        "created_with_factor": 0.0, "created_with_app_stake": 1_000_000,
    });
    assert_eq!(record, theirs);
    let members: Vec<String> = world.ask(&["SMEMBERS", "ha:meter:active_sessions"]).await;
    assert_eq!(members, ["5e55|pokt1sup"]);
    for key in [
        "meter:5e55:pokt1sup:consumed",
        "meter:5e55:pokt1sup:meta",
        "meter:active_sessions",
    ] {
        let left: i64 = world.ask(&["TTL", &format!("ha:{key}")]).await;
        assert!((1..=120).contains(&left), "{key}: {left}");
    }
    // Another budget stands only when it is said to be newer.
    let limit_in_redis = async || {
        let record: String = world.ask(&["GET", "ha:meter:5e55:pokt1sup:meta"]).await;
        serde_json::from_str::<MeterRecord>(&record).unwrap().max_stake_upokt
    };
    let mut newer = visit(700, 10, 0, 0);
    world.visit(&newer).await;
    assert_eq!(limit_in_redis().await, 500);
    newer.replace = true;
    world.visit(&newer).await;
    assert_eq!(limit_in_redis().await, 700);
}

#[tokio::test]
async fn closed_meter_leaves_no_key() {
    let world = World::new().await;
    world.visit(&visit(500, 10, 0, 1)).await;
    let sessions = [("5e55".to_owned(), "pokt1sup".to_owned())];
    world.store.close_meters("ha", &sessions).await.unwrap();
    assert!(world.ask::<Vec<String>>(&["KEYS", "*"]).await.is_empty());
}

#[tokio::test]
async fn factors_of_the_peer_are_read() {
    let world = World::new().await;
    let none = world.store.service_factors(["eth", "llm"]).await.unwrap();
    assert_eq!(none, ServiceFactors::default());
    let set = async |key: &str, text: &str| world.ask::<String>(&["SET", key, text]).await;
    set("ha:service_factor:default", r#"{"factor":0.5,"updated_at":5}"#).await;
    set("ha:service_factor:service:eth", r#"{"factor":2,"updated_at":5}"#).await;
    let factors = world.store.service_factors(["eth", "llm"]).await.unwrap();
    assert_eq!((factors.of("eth"), factors.of("llm")), (Some(2.0), Some(0.5)));
}

#[tokio::test]
async fn factors_that_a_miner_tells_are_read_and_expire() {
    let world = World::new().await;
    let told = ServiceFactors {
        default: Some(0.25),
        by_service: [("eth".to_owned(), 1.5)].into(),
    };
    let store = &world.store;
    store
        .write_service_factors(&told, TTL, 1_700_000_000, true)
        .await
        .unwrap();
    assert_eq!(store.service_factors(["eth", "llm"]).await.unwrap(), told);
    let left: i64 = world.ask(&["TTL", "ha:service_factor:service:eth"]).await;
    assert!((1..=120).contains(&left), "{left}");
}

#[tokio::test]
async fn simulated_relay_is_noted_once() {
    let world = World::new().await;
    assert!(world.store.note_simulated(&[7; 32], TTL).await.unwrap());
    assert!(!world.store.note_simulated(&[7; 32], TTL).await.unwrap());
    assert!(world.store.note_simulated(&[8; 32], TTL).await.unwrap());
}
