//! `relay-miner top`, beside real processes.

use super::fleet::{Fleet, command, get, run};

async fn top(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command();
    command.arg("top").args(arguments);
    let output = run(command).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn top_shows_processes_services_sessions_and_redis() {
    let fleet = Fleet::start().await;
    fleet.serve(5).await;
    let relayer = format!("http://127.0.0.1:{}", fleet.relayer_port);
    let miner = format!("127.0.0.1:{}", fleet.miner_port);
    // No terminal: one frame.
    let redis = fleet.redis_url();
    let (code, text, error) = top(&["--relayer", &relayer, "--miner", &miner, "--redis", &redis]).await;
    assert_eq!((code, &*error), (Some(0), ""), "{text}");
    let line = |words: &[&str]| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["relayer", &fleet.relayer_port.to_string(), "ready"]), "{text}");
    assert!(line(&["svc-http", "5", "ms"]), "{text}");
    assert!(line(&["<img src=x", "healthy"]), "{text}");
    assert!(line(&["svc-http", "active", "5", "upokt", "ends in"]), "{text}");
    assert!(line(&["Redis", "leader: ", "relayers: 1"]), "{text}");
    assert!(!text.contains('\x1b'), "{text}");

    // The files of both name ports and Redis.
    let (relayer, miner) = (fleet.config("relayer"), fleet.config("miner"));
    let (code, json, error) = top(&["--config", &relayer, "--config", &miner, "--output", "json"]).await;
    assert_eq!((code, &*error), (Some(0), ""), "{json}");
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(told["relayers"][0]["status"]["relays"]["answered"], 5);
    assert_eq!(told["miners"][0]["status"]["sessions"][0]["relays"], 5);
    assert_eq!(told["redis"]["relayers"].as_array().unwrap().len(), 1);

    // What probes and the page of the same port say.
    assert_eq!(get(fleet.relayer_port, "/ready").await.as_deref(), Some("READY"));
    assert!(
        get(fleet.relayer_port, "/ready/svc-http")
            .await
            .unwrap()
            .contains("\"ready\":true")
    );
    assert_eq!(get(fleet.miner_port, "/ready").await.as_deref(), Some("READY"));
}

#[tokio::test]
async fn who_does_not_answer_is_named_and_the_exit_code_tells() {
    let (code, text, _) = top(&["--relayer", "127.0.0.1:1", "--once"]).await;
    assert_eq!(code, Some(1));
    assert!(text.contains("127.0.0.1:1") && text.contains("no answer"), "{text}");
    let (code, _, error) = top(&["--relayer", "https://h", "--once"]).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("write http://"), "{error}");
    let (code, _, error) = top(&["--config", "/nowhere.yaml", "--once"]).await;
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("/nowhere.yaml"), "{error}");
}
