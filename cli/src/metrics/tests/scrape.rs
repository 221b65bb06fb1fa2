//! What a relayer and a miner at work really show: scraped over HTTP while they serve, claim and prove.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use pocket_demo::{Plan, Stage, World, run};
use pocket_devnet::{Devnet, DevnetConfig, Localnet};
use pocket_observability::{ProbePort, Shown};
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata};
use pocket_proto::pocket::session::SessionHeader;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::exported;
use super::promql::Series;

/// What a whole way of relays must have left behind, in either half and on each hop.
const COUNTED: [&str; 30] = [
    "ha_relayer_relays_received_total",
    "ha_relayer_relays_served_total",
    "ha_relayer_relay_latency_seconds_count",
    "ha_relayer_relay_pre_backend_seconds_count",
    "ha_relayer_relay_post_backend_seconds_count",
    "ha_relayer_backend_requests_total",
    "ha_relayer_backend_latency_seconds_count",
    "ha_relayer_relays_mined_total",
    "ha_relayer_relays_published_total",
    "ha_relayer_relays_confirmed_total",
    "ha_observability_redis_operations_total",
    "ha_observability_redis_operation_duration_seconds_count",
    "ha_observability_onchain_queries_total",
    "ha_observability_onchain_query_duration_seconds_count",
    "ha_query_cache_hits_total",
    "ha_transport_redis_consumed_total",
    "ha_transport_redis_end_to_end_latency_seconds_count",
    "ha_miner_relays_added_to_smst_total",
    "ha_miner_batch_duration_seconds_count",
    "ha_miner_session_state_transitions_total",
    "ha_miner_claims_submitted_total",
    "ha_miner_upokt_claimed_total",
    "ha_miner_claim_submission_latency_blocks_count",
    "ha_miner_proof_requirement_required_total",
    "ha_miner_proofs_submitted_total",
    "ha_miner_upokt_proved_total",
    "ha_miner_claims_settled_by_status_total",
    "ha_miner_upokt_earned_total",
    "ha_tx_broadcasts_total",
    "ha_observability_tx_submission_duration_seconds_count",
];

/// One line of a scrape.
struct Sample {
    name: String,
    labels: BTreeSet<String>,
    value: f64,
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn scrape(address: SocketAddr) -> Vec<Sample> {
    let request = b"GET /metrics HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n";
    let answer = exchange(address, request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    body.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split("\",");
    Sample {
        name: name.to_owned(),
        labels: labels
            .filter_map(|label| Some(label.split_once("=\"")?.0.to_owned()))
            .collect(),
        value: value.parse().unwrap(),
    }
}

/// How many series a relayer has.
fn relayers(samples: &[Sample]) -> usize {
    samples
        .iter()
        .filter(|sample| sample.name.starts_with("ha_relayer_"))
        .count()
}

/// A relay of a service, supplier, application and session that nobody knows.
fn unknown_relay(number: u32) -> Vec<u8> {
    let relay = RelayRequest {
        meta: Some(RelayRequestMetadata {
            session_header: Some(SessionHeader {
                application_address: format!("pokt1application{number}"),
                service_id: format!("service-{number}"),
                session_id: format!("{number:064x}"),
                session_start_block_height: 1,
                session_end_block_height: 10,
            }),
            signature: vec![1; 64].into(),
            supplier_operator_address: format!("pokt1supplier{number}"),
        }),
        payload: vec![2; 8].into(),
    };
    let body = relay.encode_to_vec();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: relayer\r\nconnection: close\r\nrpc-type: {number}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_shows_in_what_is_scraped_and_strangers_add_no_series() {
    let genesis = Localnet {
        suppliers: 2,
        ..Localnet::default()
    };
    let config = DevnetConfig {
        genesis: genesis.genesis(),
        block_time: Some(std::time::Duration::from_millis(400)),
        ..DevnetConfig::default()
    };
    let chain = Devnet::start(config).await.unwrap();
    let stage = Stage::start(World::devnet(&chain, 2)).await.unwrap();
    let cancel = CancellationToken::new();
    let port = ProbePort::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let shown = Shown {
        registry: stage.metrics().clone(),
        ready: Arc::new(|| Ok(())),
        status: None,
        services: None,
    };
    let probes = port.serve(shown, cancel.clone()).unwrap();
    let plan = Plan {
        relays: 100,
        sessions: 1,
    };
    run(&stage, plan, |_| {}).await.unwrap();

    let described = exported();
    let series = Series::of(&described);
    let mut sums = BTreeMap::<String, f64>::new();
    for sample in scrape(probes.local_addr()).await {
        let unknown = sample.labels.iter().find(|label| !series.has(&sample.name, label));
        assert_eq!(unknown, None, "{}", sample.name);
        *sums.entry(sample.name).or_default() += sample.value;
    }
    for name in COUNTED {
        assert!(
            sums.get(name).is_some_and(|sum| *sum > 0.0),
            "{name}: {:?}",
            sums.get(name)
        );
    }
    for name in sums.keys() {
        assert!(series.knows(name), "{name} is not described");
    }

    let relayer = stage.relayer_url().socket_addrs(|| None).unwrap()[0];
    exchange(relayer, &unknown_relay(0)).await;
    let before = relayers(&scrape(probes.local_addr()).await);
    for number in 1..50 {
        let answer = exchange(relayer, &unknown_relay(number)).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(relayers(&scrape(probes.local_addr()).await), before);

    stage.stop().await;
    cancel.cancel();
    probes.stopped().await;
    chain.shutdown().await;
}
