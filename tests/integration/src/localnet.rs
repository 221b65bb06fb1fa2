use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The harness, see its README.
const HARNESS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../localnet/localnet");

/// What is chosen about the real chain; all else is as the harness has it.
#[derive(Clone, Copy, Debug)]
pub struct LocalnetSettings {
    /// Pause after a block; a block comes a little later.
    pub block_time: Duration,
    /// Suppliers in the genesis.
    pub suppliers: usize,
    /// Share of claims that must be proven.
    pub proof_probability: f64,
    /// Blocks per session.
    pub session_blocks: u64,
    /// Blocks that the claim window stays open.
    pub claim_window: u64,
    /// Blocks that the proof window stays open.
    pub proof_window: u64,
}

impl Default for LocalnetSettings {
    fn default() -> Self {
        Self {
            block_time: Duration::from_millis(500),
            suppliers: 2,
            proof_probability: 1.0,
            session_blocks: 10,
            claim_window: 4,
            proof_window: 4,
        }
    }
}

/// Why there is no real chain.
#[derive(Debug, thiserror::Error)]
pub enum LocalnetError {
    /// The harness needs Python.
    #[error("the harness of the real chain does not run ({0}); it needs python3: apt-get install python3")]
    Harness(#[source] io::Error),
    /// It said why on standard error.
    #[error("the real chain did not start")]
    NotStarted,
    /// It said something else than where the chain is.
    #[error("the harness did not tell where the chain is: {0}")]
    Unclear(String),
}

/// A real chain of one validator on the loopback interface, built when needed. It goes when this is dropped, and
/// when this process ends for whatever reason.
#[derive(Debug)]
pub struct Localnet {
    // Its standard input is what keeps the chain alive.
    harness: Child,
    rpc_url: String,
    grpc_url: String,
}

impl Localnet {
    /// Builds the chain's program unless it is built, which takes minutes, and waits for the first block. What goes
    /// wrong is told on standard error.
    pub fn start(settings: LocalnetSettings) -> Result<Self, LocalnetError> {
        let mut harness = Command::new(HARNESS)
            .arg("run")
            .env("LOCALNET_BLOCK_TIME", format!("{}ms", settings.block_time.as_millis()))
            .env("LOCALNET_SUPPLIERS", settings.suppliers.to_string())
            .env("LOCALNET_PROOF_PROBABILITY", settings.proof_probability.to_string())
            .env("LOCALNET_SESSION_BLOCKS", settings.session_blocks.to_string())
            .env("LOCALNET_CLAIM_WINDOW", settings.claim_window.to_string())
            .env("LOCALNET_PROOF_WINDOW", settings.proof_window.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(LocalnetError::Harness)?;
        let mut line = String::new();
        let output = harness.stdout.take().expect("standard output is piped");
        if BufReader::new(output).read_line(&mut line).unwrap_or(0) == 0 {
            // Its own end, not ours: nothing is left to stop.
            let _ = harness.wait();
            return Err(LocalnetError::NotStarted);
        }
        let told: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let url = |name: &str| told[name].as_str().map(str::to_owned);
        let (Some(rpc_url), Some(grpc_url)) = (url("rpc_url"), url("grpc_url")) else {
            end(&mut harness);
            return Err(LocalnetError::Unclear(line));
        };
        Ok(Self {
            harness,
            rpc_url,
            grpc_url,
        })
    }

    /// `CometBFT` RPC.
    pub fn rpc_url(&self) -> &str {
        &self.rpc_url
    }

    /// gRPC in plain text.
    pub fn grpc_url(&self) -> &str {
        &self.grpc_url
    }
}

impl Drop for Localnet {
    fn drop(&mut self) {
        end(&mut self.harness);
    }
}

/// Closes the harness's input and waits until it has stopped the node and removed its folder.
fn end(harness: &mut Child) {
    drop(harness.stdin.take());
    let _ = harness.wait();
}
