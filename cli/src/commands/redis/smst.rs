//! `relay-miner redis smst`.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use pocket_protocol::SessionId;
use pocket_smst::Digest;
use pocket_store::TreeContents;
use serde::Serialize;

use super::target::Target;
use super::words::{left, seconds};
use crate::output::{BOLD, DIM, Output, Table};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  relay-miner redis smst --session ID --limit 20")]
pub struct Arguments {
    /// The session
    #[arg(long, value_name = "ID")]
    session: String,
    /// Nodes to show of each tree
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
}

#[derive(Serialize)]
struct Trees {
    session_id: String,
    trees: Vec<Tree>,
}

#[derive(Serialize)]
struct Tree {
    supplier: String,
    nodes: u64,
    live_root: Option<Root>,
    claimed_root: Option<Root>,
    #[serde(rename = "ttl_seconds", serialize_with = "seconds")]
    ttl: Option<Duration>,
    sample: Vec<Node>,
}

#[derive(Serialize)]
struct Root {
    hash: String,
    relays: u64,
    compute_units: u64,
}

#[derive(Serialize)]
struct Node {
    digest: String,
    bytes: usize,
}

impl From<Digest> for Root {
    fn from(root: Digest) -> Self {
        Self {
            hash: hex::encode(root),
            relays: root.count(),
            compute_units: root.sum(),
        }
    }
}

impl From<TreeContents> for Tree {
    fn from(tree: TreeContents) -> Self {
        let node = |(digest, bytes)| Node { digest, bytes };
        Self {
            supplier: tree.supplier,
            nodes: tree.nodes,
            live_root: tree.roots.live.map(Root::from),
            claimed_root: tree.roots.claimed.map(Root::from),
            ttl: tree.ttl,
            sample: tree.sample.into_iter().map(node).collect(),
        }
    }
}

impl fmt::Display for Trees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.trees.is_empty() {
            return write!(f, "no tree of session {}", self.session_id);
        }
        for (place, tree) in self.trees.iter().enumerate() {
            if place > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{tree}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{BOLD}{}{BOLD:#}", self.supplier)?;
        writeln!(f, "{DIM}nodes{DIM:#}    {}, expire: {}", self.nodes, left(self.ttl))?;
        for (name, root) in [("live   ", &self.live_root), ("claimed", &self.claimed_root)] {
            match root {
                Some(root) => writeln!(
                    f,
                    "{DIM}{name}{DIM:#}  {} relays, {} compute units, {}",
                    root.relays, root.compute_units, root.hash
                )?,
                None => writeln!(f, "{DIM}{name}  -{DIM:#}")?,
            }
        }
        if self.sample.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(["NODE", "BYTES"]);
        for node in &self.sample {
            table.row([node.digest.as_str().into(), (node.bytes as u64).into()]);
        }
        write!(f, "{table}")
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let session = SessionId::from(arguments.session.as_str());
    let trees = target.store.session_trees(&session, arguments.limit).await?;
    output.print(&Trees {
        session_id: arguments.session.clone(),
        trees: trees.into_iter().map(Tree::from).collect(),
    })?;
    Ok(ExitCode::SUCCESS)
}
