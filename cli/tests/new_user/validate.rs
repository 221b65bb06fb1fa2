//! `relayer validate` and `miner validate`.

use pocket_devnet::Actor;
use pocket_store::PrivateRedis;

use super::{SERVICE, World, assert_says, command, ended, text};

const HALVES: [&str; 2] = ["relayer", "miner"];

#[tokio::test(flavor = "multi_thread")]
async fn good_configuration_is_good_in_text_and_json() {
    let world = World::new().await;
    for half in HALVES {
        let output = world.validate(half, &["--check-stake"]).await;
        assert_says(
            &output,
            0,
            &[
                "no errors, no warnings",
                &world.supplier.address,
                "Redis 7",
                "of the chain pocket",
            ],
        );
        assert!(!text(&output).contains('\x1b'), "colours are for terminals");
        let output = world.validate(half, &["--check-stake", "--output", "json"]).await;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["ok"], &report["errors"]), (&true.into(), &0.into()));
        assert!(
            report["findings"]
                .as_array()
                .unwrap()
                .iter()
                .all(|finding| finding["severity"] == "ok"),
            "{report}"
        );
    }
    let output = world.validate("relayer", &[]).await;
    assert_says(
        &output,
        0,
        &[
            "services.svc-http.backends.jsonrpc",
            "services.svc-http.backends.websocket",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_and_wrong_type_are_told_with_line_and_remedy() {
    let world = World::new().await;
    world.configure(|good| format!("{good}loging: {{}}\nlogging: {{ async: maybe }}\n"));
    for half in HALVES {
        let output = world.validate(half, &["--offline"]).await;
        assert_says(
            &output,
            1,
            &[
                "loging: unknown key",
                "did you mean \"logging\"?",
                "logging.async: expected true or false, found maybe",
                "write true or false",
                "line ",
            ],
        );
        let output = world.validate(half, &["--offline", "--output", "json"]).await;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let finding = &report["findings"][0];
        assert_eq!(
            (&finding["severity"], &finding["key"]),
            (&"error".into(), &"loging".into())
        );
        assert!(
            finding["line"].as_u64().is_some_and(|line| line > 4) && finding["remedy"].is_string(),
            "{finding}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_cannot_be_read_is_wrong_use() {
    for half in HALVES {
        let output = ended(command(&[half, "validate", "--config", "/nowhere.yaml"])).await;
        assert_says(&output, 2, &["/nowhere.yaml", "check the path"]);
        assert_says(&ended(command(&[half, "validate"])).await, 2, &["--config"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_away_is_told_at_once() {
    let mut world = World::new().await;
    world.redis = None;
    let backend = world.backend.url();
    world.configure(|good| {
        let good = good.replace(&world.devnet.rpc_url(), "http://127.0.0.1:1");
        good.replace(&world.devnet.grpc_url(), "127.0.0.1:1")
            .replace(&backend, "http://127.0.0.1:1")
    });
    for half in HALVES {
        let output = world.validate(half, &[]).await;
        let words = [
            "redis.url: redis://127.0.0.1:1",
            "REDIS_URL",
            "pocket_node.query_node_rpc_url",
            "pocket_node.query_node_grpc_url",
            "POCKET_NODE_GRPC_URL",
        ];
        assert_says(&output, 1, &words);
    }
    let output = world.validate("relayer", &[]).await;
    let words = [
        "services.svc-http.backends.jsonrpc: http://127.0.0.1:1 cannot be reached",
        "refused",
        "correct the URL",
    ];
    assert_says(&output, 1, &words);
    assert_says(&world.validate("relayer", &["--offline"]).await, 0, &["no errors"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_forgets_or_refuses_is_told() {
    let mut world = World::new().await;
    let forgetful = tempfile::tempdir().unwrap();
    world.redis = Some(PrivateRedis::start(forgetful.path(), false).await.unwrap());
    world.configure(str::to_owned);
    assert_says(
        &world.validate("miner", &[]).await,
        0,
        &["append-only file is off", "appendonly yes", "1 warning"],
    );
    world.configure(|good| good.replace("redis://", "redis://:wrong@"));
    assert_says(&world.validate("miner", &[]).await, 1, &["redis.url", "the password"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_chain_is_told_with_both_names() {
    let world = World::new().await;
    world.configure(|good| good.replace("chain_id: pocket", "chain_id: pocket-beta"));
    for half in HALVES {
        let output = world.validate(half, &[]).await;
        assert_says(
            &output,
            1,
            &[
                "pocket_node.chain_id",
                "\"pocket\"",
                "\"pocket-beta\"",
                "name another node",
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_without_funds_is_told_what_to_send_where() {
    let world = World::with(|genesis| {
        let address = Actor::named("supplier1").address;
        let account = genesis.accounts.iter_mut().find(|account| account.address == address);
        account.unwrap().balance = 0;
    });
    let world = world.await;
    let remedy = format!("send upokt to {}", world.supplier.address);
    assert_says(
        &world.validate("miner", &["--check-stake"]).await,
        1,
        &["has 0 upokt", &remedy],
    );
    assert_says(&world.validate("miner", &[]).await, 0, &["no errors"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_with_little_is_warned() {
    let world = World::new().await;
    world.configure(|good| format!("{good}balance_monitor: {{ balance_threshold_upokt: 1000000000001 }}\n"));
    let output = world.validate("miner", &["--check-stake"]).await;
    assert_says(&output, 0, &["balance_threshold_upokt", "send upokt to", "1 warning"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_without_a_stake_is_an_error() {
    let world = World::new().await;
    let nobody = Actor::named("nobody");
    world.write("keys.yaml", &format!("keys: [\"{}\"]", super::hex(&nobody.private_key)));
    for half in HALVES {
        let output = world.validate(half, &["--check-stake"]).await;
        let what = format!("{} is not staked", nobody.address);
        assert_says(&output, 1, &[&what, "take its key out"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stakes_are_held_beside_backends() {
    let world = World::new().await;
    world.configure(|good| good.replace("websocket:", "rest:").replace("ws://", "http://"));
    let output = world.validate("relayer", &["--check-stake"]).await;
    let missing = format!("is staked for {SERVICE} with websocket, which has no backend");
    let idle = format!("services.{SERVICE}.backends.rest: no supplier is staked for it");
    assert_says(
        &output,
        1,
        &[
            &missing,
            "add services.svc-http.backends.websocket",
            &idle,
            "1 error, 1 warning",
        ],
    );

    world.configure(|good| good.replace(&format!("  {SERVICE}:"), "  eth:"));
    let output = world.validate("relayer", &["--check-stake"]).await;
    let missing = format!("is staked for {SERVICE} (jsonrpc), which has no backend");
    assert_says(
        &output,
        1,
        &[
            &missing,
            "services.eth.backends.jsonrpc: no supplier is staked",
            "2 errors, 2 warnings",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn node_and_redis_can_be_named_beside_the_file() {
    let world = World::new().await;
    let output = world.validate("relayer", &["--node", "127.0.0.1:1"]).await;
    assert_says(&output, 1, &["pocket_node.query_node_grpc_url: 127.0.0.1:1"]);
    let output = world.validate("relayer", &["--redis-url", "redis://127.0.0.1:1"]).await;
    assert_says(&output, 1, &["redis.url: redis://127.0.0.1:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn backend_that_speaks_otherwise_is_told() {
    let world = World::new().await;
    // Whoever listens here says nothing of HTTP.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let ending = std::thread::spawn(move || {
        for connection in silent.incoming().take(4) {
            drop(connection);
        }
    });
    world.configure(|good| good.replace(&world.backend.url(), &format!("http://{address}")));
    assert_says(
        &world.validate("relayer", &[]).await,
        1,
        &["does not speak its type's protocol"],
    );
    while !ending.is_finished() {
        let _ = std::net::TcpStream::connect(address);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variable_that_stands_for_no_key_is_told() {
    let world = World::new().await;
    let config = world.path("miner.yaml");
    let run = async |name: &str, value: &str| {
        let mut command = command(&["miner", "validate", "--offline", "--config", config.to_str().unwrap()]);
        command.env(name, value);
        ended(command).await
    };
    let output = run("MINER_BATCHSIZE", "10").await;
    assert_says(
        &output,
        0,
        &[
            "MINER_BATCHSIZE stands for no key",
            "did you mean MINER_BATCH_SIZE?",
            "1 warning",
        ],
    );
    assert_says(
        &run("MINER_REDIS__URI", "x").await,
        1,
        &["MINER_REDIS__URI", "did you mean MINER_REDIS__URL?"],
    );
    assert_says(
        &run("MINER_BATCH_SIZE", "ten").await,
        1,
        &["variable MINER_BATCH_SIZE: expected a whole number"],
    );
    assert_says(&run("MINER_SERVICE_PORT", "8080").await, 0, &["no errors, no warnings"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_do_nothing_are_named() {
    let world = World::new().await;
    world.configure(|good| good.replace("metrics:", "pprof: { enabled: false }\nmetrics:"));
    let output = world.validate("miner", &["--offline"]).await;
    assert_says(&output, 0, &["pprof.enabled: without effect", "no errors, no warnings"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_text_does_not_show_is_told() {
    let world = World::new().await;
    world.configure(|good| {
        format!(
            "{good}tls: {{ cert_file: /nowhere/tls.crt, key_file: /nowhere/tls.key }}\n\
             simulation:\n  identities:\n    - {{ key_id: old, enabled: true, not_after: '2020-01-01T00:00:00Z' }}\n"
        )
    });
    let output = world.validate("relayer", &["--offline"]).await;
    assert_says(
        &output,
        1,
        &[
            "/nowhere/tls.crt",
            "correct the path",
            "\"old\" is over",
            "set a later not_after",
        ],
    );
}
