use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use pocket_client::Mode;
use pocket_devnet::{Devnet, DevnetConfig, Localnet};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::by_type;
use crate::drive::Plan;
use crate::show::{self, Finale};
use crate::stage::{Stage, StageError};
use crate::tally::{Shortfall, Tally};
use crate::view::View;
use crate::world::World;

/// A demo of the usual length that takes longer than this has failed.
const SLOWEST: Duration = Duration::from_secs(55);

/// What to play.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// Relays to be answered.
    pub relays: u64,
    /// Sessions that they are spread over.
    pub sessions: u64,
    /// Suppliers that serve them.
    pub suppliers: usize,
    /// From block to block.
    pub block_time: Duration,
    /// Ask for every RPC type and for streams, instead of JSON-RPC alone.
    pub all_types: bool,
    /// Show the run on standard error: standard output is for its result alone.
    pub aside: bool,
}

impl Default for DemoOptions {
    /// About twenty seconds.
    fn default() -> Self {
        Self {
            relays: 3_000,
            sessions: 3,
            suppliers: 2,
            block_time: Duration::from_millis(500),
            all_types: false,
            aside: false,
        }
    }
}

impl DemoOptions {
    /// Twice the time that all blocks take up to the last settlement, and no less than the time of a slow start.
    fn longest(&self) -> Duration {
        let genesis = Localnet::default();
        let tail = genesis.claim_open_offset + genesis.claim_window + genesis.proof_open_offset + genesis.proof_window;
        let blocks = self.sessions * genesis.session_blocks + tail + 1;
        (self.block_time * blocks as u32 * 2).max(SLOWEST)
    }
}

/// Why the demo did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The set-up failed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The machine does not keep up with the blocks.
    #[error("not at the end after {} seconds: the machine is too slow or too busy for blocks this fast", .0.as_secs())]
    TooSlow(Duration),
}

/// The end of the demo, as a table when printed.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How the run ended.
    pub finale: Finale,
}

impl Summary {
    /// What came of the relays.
    pub fn tally(&self) -> &Tally {
        &self.finale.last.tally
    }

    /// Whether every answered relay was claimed and every required proof accepted, of each RPC type that was asked for:
    /// the demo's exit code.
    pub fn verdict(&self) -> Result<(), Shortfall> {
        self.tally().check()?;
        by_type::check(&self.finale.last.by_type)
    }

    /// One line of JSON for programs that read the result.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a summary is text and numbers")
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tally = self.tally();
        let mut summary = serializer.serialize_struct("Summary", 7)?;
        summary.serialize_field("relays_answered", &tally.answered)?;
        summary.serialize_field("mined", &tally.mined)?;
        summary.serialize_field("claimed", &tally.claimed)?;
        summary.serialize_field("claims_accepted", &tally.claims)?;
        summary.serialize_field("proofs_accepted", &tally.proofs_accepted)?;
        summary.serialize_field("proofs_required", &tally.proofs_required)?;
        summary.serialize_field("rpc_types", &self.finale.last.by_type)?;
        summary.end()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally();
        let seconds = format!("{:.1} s", self.finale.took.as_secs_f64());
        let rows: [(&str, &dyn fmt::Display); 12] = [
            ("time", &seconds),
            ("sessions", &self.finale.last.sessions),
            ("relays answered", &tally.answered),
            ("relays mined", &tally.mined),
            ("relays claimed on chain", &tally.claimed),
            ("claims accepted", &tally.claims),
            ("proofs required", &tally.proofs_required),
            ("proofs accepted", &tally.proofs_accepted),
            ("claims settled", &tally.settled),
            ("claims expired or discarded", &(tally.expired + tally.discarded)),
            ("suppliers slashed", &tally.slashed),
            ("earned", &tally.earned),
        ];
        for (name, value) in rows {
            writeln!(f, "  {name:<28}{:>14}", value.to_string())?;
        }
        for (mode, tally) in &self.finale.last.by_type {
            let name = format!("{mode}: answered, claimed");
            let streams = match tally.streams {
                0 => String::new(),
                streams => format!("  ({streams} streams)"),
            };
            writeln!(
                f,
                "  {name:<28}{:>14}{streams}",
                format!("{}, {}", tally.answered, tally.claimed)
            )?;
        }
        for (kind, times) in self.finale.progress.errors() {
            writeln!(f, "  tried again after: {kind} ({times}×)")?;
        }
        match self.verdict() {
            Ok(()) => write!(f, "Every answered relay was claimed, every required proof accepted."),
            Err(shortfall) => write!(f, "Failed: {shortfall}."),
        }
    }
}

/// Plays the whole path from a signed relay to a settled proof on a chain in this process, and shows it. Ends by
/// itself: after the last settlement, or with an error.
pub async fn run_demo(options: DemoOptions) -> Result<Summary, DemoError> {
    let limit = options.longest();
    tokio::select! {
        summary = play(options) => summary,
        () = tokio::time::sleep(limit) => Err(DemoError::TooSlow(limit)),
        _ = tokio::signal::ctrl_c() => Err(DemoError::Interrupted),
    }
}

async fn play(options: DemoOptions) -> Result<Summary, DemoError> {
    let suppliers = options.suppliers;
    let genesis = Localnet {
        suppliers,
        ..Localnet::default()
    };
    let config = DevnetConfig {
        genesis: genesis.genesis(),
        block_time: Some(options.block_time),
        ..DevnetConfig::default()
    };
    let devnet = Devnet::start(config).await.map_err(StageError::from)?;
    let mut world = World::devnet(&devnet, suppliers);
    if options.all_types {
        world = world.asking(Mode::ALL);
    }
    let stage = Stage::start(world).await?;
    let mut out: Box<dyn Write + Send> = if options.aside {
        Box::new(io::stderr())
    } else {
        Box::new(io::stdout())
    };
    let is_terminal = if options.aside {
        io::stderr().is_terminal()
    } else {
        io::stdout().is_terminal()
    };
    // A reader that went away does not end the run: its summary still decides the exit code.
    let _ = writeln!(
        out,
        "A chain at {}, a relayer at {}, {suppliers} suppliers, a block every {:?}.\n",
        devnet.rpc_url(),
        stage.relayer_url(),
        options.block_time
    );
    let plan = Plan {
        relays: options.relays,
        sessions: options.sessions,
    };
    let mut view = View::new(out, is_terminal, options.relays);
    let finale = show::run(&stage, plan, |scene| {
        let _ = view.show(scene);
    })
    .await;
    stage.stop().await;
    devnet.shutdown().await;
    Ok(Summary { finale: finale? })
}
