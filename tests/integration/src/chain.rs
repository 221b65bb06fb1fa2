use clap::ValueEnum;
use pocket_demo::World;
use pocket_devnet::{Devnet, DevnetConfig};

use crate::{Localnet, LocalnetSettings};

/// Which chain judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChainKind {
    /// pocketd, built from Go modules.
    Real,
    /// The devnet of this project.
    Devnet,
}

/// A chain that makes blocks by itself.
pub enum Chain {
    /// See [`ChainKind::Real`].
    Real(Localnet),
    /// See [`ChainKind::Devnet`].
    Devnet(Devnet),
}

impl Chain {
    /// Starts one and waits for its first block.
    pub async fn start(kind: ChainKind, settings: LocalnetSettings) -> anyhow::Result<Self> {
        Ok(match kind {
            ChainKind::Real => Self::Real(Localnet::start(settings)?),
            ChainKind::Devnet => {
                let genesis = pocket_devnet::Localnet {
                    suppliers: settings.suppliers,
                    proof_probability: settings.proof_probability,
                    session_blocks: settings.session_blocks,
                    claim_window: settings.claim_window,
                    proof_window: settings.proof_window,
                    ..pocket_devnet::Localnet::default()
                };
                let config = DevnetConfig {
                    genesis: genesis.genesis(),
                    block_time: Some(settings.block_time),
                    ..DevnetConfig::default()
                };
                Self::Devnet(Devnet::start(config).await?)
            }
        })
    }

    /// The chain with its first `suppliers`.
    pub fn world(&self, suppliers: usize) -> World {
        match self {
            Self::Real(chain) => World::localnet(chain.rpc_url(), chain.grpc_url(), suppliers),
            Self::Devnet(chain) => World::devnet(chain, suppliers),
        }
    }

    /// Ends it.
    pub async fn stop(self) {
        if let Self::Devnet(chain) = self {
            chain.shutdown().await;
        }
    }
}
