//! The chain's node: whether it is there, on the right chain, and at its head.

use std::time::{Duration, SystemTime};

use pocket_config::PocketNodeConfig;
use pocket_query::{ChainClient, NodeStatus, QueryError};
use url::Url;

use super::Finding;
use crate::parts;

const ABOUT: &str = "chain";
/// So many times the time between blocks without a block is too long.
const LATE: u32 = 10;

/// A node that answers.
pub type Node = Option<ChainClient>;

/// Asks each node over its RPC and over gRPC. `block_time` is what is expected between blocks.
pub async fn chain(config: &PocketNodeConfig, block_time: Duration) -> (Node, Vec<Finding>) {
    let client = match parts::open_chain(config) {
        Ok(client) => client,
        Err(error) => {
            let remedy = "correct the addresses in pocket_node";
            return (None, vec![Finding::error(ABOUT, error.to_string(), remedy)]);
        }
    };
    let mut findings = Vec::new();
    for rpc in &config.query_node_rpc_urls {
        findings.extend(of_rpc(config, rpc, block_time).await);
    }
    let mut answers = false;
    for grpc in &config.query_node_grpc_urls {
        match alone(config, &config.query_node_rpc_urls[0], grpc) {
            Ok(node) => match node.shared_params().await {
                Ok(_) => {
                    findings.push(Finding::ok(ABOUT, format!("{grpc} answers queries")));
                    answers = true;
                }
                Err(error) => findings.push(of_grpc(config, grpc, &error)),
            },
            Err(error) => findings.push(of_grpc(config, grpc, &error)),
        }
    }
    (answers.then_some(client), findings)
}

/// A client of one node: with several, an answer would not tell whose it is.
fn alone(config: &PocketNodeConfig, rpc: &Url, grpc: &str) -> Result<ChainClient, QueryError> {
    parts::open_chain(&PocketNodeConfig {
        query_node_rpc_urls: vec![rpc.clone()],
        query_node_grpc_urls: vec![grpc.to_owned()],
        // A node of another chain is to say so, not to be refused.
        chain_id: None,
        ..config.clone()
    })
}

async fn of_rpc(config: &PocketNodeConfig, rpc: &Url, block_time: Duration) -> Vec<Finding> {
    let status = match alone(config, rpc, &config.query_node_grpc_urls[0]) {
        Ok(node) => node.status().await,
        Err(error) => Err(error),
    };
    match status {
        Ok(status) => of_status(config, rpc, &status, block_time),
        Err(error) => {
            let remedy = "start it, or correct the address (the environment's POCKET_NODE_RPC_URL goes first)";
            let what = format!("{rpc}: {error}");
            vec![Finding::error(ABOUT, what, remedy).at_key("pocket_node.query_node_rpc_url")]
        }
    }
}

fn of_status(config: &PocketNodeConfig, rpc: &Url, status: &NodeStatus, block_time: Duration) -> Vec<Finding> {
    let NodeStatus { chain_id, height, .. } = status;
    let at = format!("{rpc} is at block {height} of the chain {chain_id}");
    let mut findings = vec![match &config.chain_id {
        Some(wanted) if wanted != chain_id => {
            let what = format!("the node is on chain {chain_id:?}, the configuration says {wanted:?}");
            let remedy = "set the chain you mean, or take it out to use the node's; or name another node";
            Finding::error(ABOUT, what, remedy).at_key("pocket_node.chain_id")
        }
        _ => Finding::ok(ABOUT, at),
    }];
    if status.catching_up {
        let remedy = "wait until it is done: sessions and windows are wrong until then";
        findings.push(Finding::error(ABOUT, "the node is still fetching old blocks", remedy));
    } else if let Ok(age) = SystemTime::now().duration_since(status.block_time.into())
        && age > block_time * LATE
    {
        let what = format!("its newest block is {} s old", age.as_secs());
        let remedy = "look at the node's peers and at this machine's clock, or name another node";
        findings.push(Finding::warning(ABOUT, what, remedy));
    }
    findings
}

fn of_grpc(config: &PocketNodeConfig, grpc: &str, error: &QueryError) -> Finding {
    let remedy = if config.grpc_insecure {
        "start it, or correct the address (the environment's POCKET_NODE_GRPC_URL goes first); for a node with TLS \
         set grpc_insecure: false"
    } else {
        "start it, or correct the address (the environment's POCKET_NODE_GRPC_URL goes first); for a node without TLS \
         set grpc_insecure: true"
    };
    let what = format!("{grpc}: {error}");
    Finding::error(ABOUT, what, remedy).at_key("pocket_node.query_node_grpc_url")
}
