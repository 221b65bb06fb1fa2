//! The same mistakes at start: what cannot be mended by waiting ends the program, the rest is told in its log.

use pocket_devnet::Actor;

use super::super::log_tells;
use super::{SERVICE, World, assert_says};

const HALVES: [&str; 2] = ["relayer", "miner"];

/// Runs a half until its log has all of `words`.
async fn tells(world: &World, half: &'static str, words: &[&str]) {
    let config = world.path(&format!("{half}.yaml"));
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let reading = move || log_tells(half, &config, &words.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(reading).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_and_wrong_type_end_the_start() {
    let world = World::new().await;
    world.configure(|good| format!("{good}loging: {{}}\nlogging: {{ async: maybe }}\n"));
    for half in HALVES {
        let output = world.start(half).await;
        assert_says(
            &output,
            2,
            &[
                "loging: unknown key; did you mean \"logging\"?",
                "logging.async: expected true or false, found maybe",
                "write true or false",
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_chain_ends_the_start() {
    let world = World::new().await;
    world.configure(|good| good.replace("chain_id: pocket", "chain_id: pocket-beta"));
    for half in HALVES {
        let output = world.start(half).await;
        assert_says(
            &output,
            1,
            &["\"pocket\"", "\"pocket-beta\"", "set pocket_node.chain_id"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_of_redis_ends_the_start() {
    let world = World::new().await;
    world.configure(|good| good.replace("redis://", "redis://:wrong@"));
    for half in HALVES {
        assert_says(
            &world.start(half).await,
            1,
            &["Redis refuses us", "password in redis.url"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_redis_is_waited_for_and_told() {
    let mut world = World::new().await;
    world.redis = None;
    world.configure(str::to_owned);
    for half in HALVES {
        tells(
            &world,
            half,
            &["Redis does not answer yet; is redis.url right and the server running?"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_without_funds_is_told_at_start() {
    let world = World::with(|genesis| {
        let address = Actor::named("supplier1").address;
        let account = genesis.accounts.iter_mut().find(|account| account.address == address);
        account.unwrap().balance = 0;
    });
    let world = world.await;
    let address = world.supplier.address.clone();
    tells(
        &world,
        "miner",
        &[
            "the balance is too low for fees: send upokt to the operator's address",
            &address,
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_without_a_stake_is_told_at_start() {
    let world = World::new().await;
    let nobody = Actor::named("nobody");
    world.write("keys.yaml", &format!("keys: [\"{}\"]", super::hex(&nobody.private_key)));
    for half in HALVES {
        tells(
            &world,
            half,
            &[
                "is not staked: it gets no relays",
                "stake it as a supplier, or take its key out",
            ],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_without_a_stake_is_told_at_start() {
    let world = World::new().await;
    world.configure(|good| good.replace(&format!("  {SERVICE}:"), "  eth:"));
    let words = [
        "no supplier is staked for it: it gets no relays",
        "services.eth.backends.jsonrpc",
        "add services.svc-http.backends.websocket with its url",
    ];
    tells(&world, "relayer", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variable_that_stands_for_no_key_is_told_at_start() {
    let world = World::new().await;
    let config = world.path("relayer.yaml");
    let reading = move || {
        let mut command = super::command(&["relayer", "--config", config.to_str().unwrap()]);
        command.env("RELAYER_LISTEN_ADR", "127.0.0.1:0");
        super::super::log_of(command, &["RELAYER_LISTEN_ADR", "did you mean RELAYER_LISTEN_ADDR?"]);
    };
    tokio::task::spawn_blocking(reading).await.unwrap();
}
