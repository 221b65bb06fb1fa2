//! A change from the Go relay miner to this program on the same Redis, in the middle of a session.
//!
//! `tests/recordings` has what the Go relay miner's two halves left in Redis when they ended (taken by the program
//! `go_peer`). The devnet follows from its genesis alone, so the session that the relays are of is there again at the same
//! height, with the same id, keys and rings.

use std::path::Path;
use std::time::Duration;

use pocket_client::{BackendCall, Mode, RelayClient};
use pocket_demo::{Stage, World};
use pocket_devnet::{Actor, Devnet, DevnetConfig};
use pocket_integration::Recording;
use pocket_proto::pocket::proof::{Claim, ClaimProofStatus};
use pocket_protocol::{SessionId, SupplierAddress};
use pocket_smst::Digest;
use pocket_store::{PrivateRedis, SessionRecord, Store, StoreConfig};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Longest wait for something that is to happen.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(10);
/// What a dead peer's lease has left: nobody wants to watch it run out.
const LEASE_LEFT: i64 = 500;
const UNITS: u64 = 100;

struct Change {
    recording: Recording,
    devnet: Devnet,
    store: Store,
    stage: Stage,
    supplier: SupplierAddress,
    session: SessionId,
    // Ended after all that works with it.
    _redis: PrivateRedis,
    _folder: TempDir,
}

impl Change {
    /// The chain at the recording's height, the peer's Redis, and both halves of this program on it.
    async fn begin(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recordings").join(file);
        let recording = Recording::read(&path).unwrap();
        let config = DevnetConfig {
            genesis: Recording::localnet().genesis(),
            ..DevnetConfig::default()
        };
        let devnet = Devnet::start(config).await.unwrap();
        devnet.advance_to(recording.height);
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::start(folder.path(), true).await.unwrap();
        let is_lease = |key: &str| key.contains(":claim:") || key.contains("leader") || key.contains(":instance:");
        let longest = |key: &str| is_lease(key).then_some(LEASE_LEFT);
        recording.restore(&redis.url(), longest).await.unwrap();
        let store = Store::new(StoreConfig::at(redis.url())).unwrap();
        let supplier: SupplierAddress = Actor::named("supplier1").address.parse().unwrap();
        let session = store.session_ids(&supplier, None).await.unwrap().remove(0);
        let stage = Stage::start_at(World::devnet(&devnet, 1), &redis.url()).await.unwrap();
        Self {
            recording,
            devnet,
            store,
            stage,
            supplier,
            session,
            _redis: redis,
            _folder: folder,
        }
    }

    async fn until<F: Future<Output = bool>>(&self, what: &str, mut fact: impl FnMut() -> F) {
        let deadline = Instant::now() + PATIENCE;
        while !fact().await {
            let height = self.devnet.height();
            assert!(Instant::now() < deadline, "waited in vain at height {height}: {what}");
            sleep(LOOK).await;
        }
    }

    async fn record(&self) -> SessionRecord {
        self.store
            .session(&self.supplier, &self.session)
            .await
            .unwrap()
            .unwrap()
    }

    async fn until_tree_has(&self, relays: u64) {
        self.until("the stream is read and all relays are in the tree", || async {
            let roots = self.store.tree_roots(&self.supplier, &self.session).await.unwrap();
            self.store.stream_length(&self.supplier).await.unwrap() == 0
                && roots.live.is_some_and(|root| root.count() == relays)
        })
        .await;
    }

    /// Blocks until the claim is proven, then until it is settled; gives the claim.
    async fn settle(&self) -> Claim {
        let windows = self.devnet.read(|chain| chain.view().state.windows(30));
        let is_sent = || async { self.devnet.pending() > 0 };
        self.devnet.advance_to(windows.claim_open.0);
        self.until("the claim is sent", is_sent).await;
        self.devnet.advance(1);
        let claim = self.devnet.claims().remove(0);
        self.until("the claim is seen", || async {
            self.record().await.state.as_str() != "claiming"
        })
        .await;
        self.devnet.advance_to(windows.proof_open.0);
        self.until("the proof is sent", is_sent).await;
        self.devnet.advance(1);
        let proven = self.devnet.claims().remove(0);
        assert_eq!(proven.proof_validation_status(), ClaimProofStatus::Validated);
        self.devnet.advance_to(windows.settlement().0);
        claim
    }

    /// One claim for all relays; it was proven and paid.
    fn assert_paid(&self, claim: &Claim, relays: u64) {
        let root = Digest::try_from(claim.root_hash.as_ref()).unwrap();
        assert_eq!((root.count(), root.sum()), (relays, relays * UNITS));
        assert_eq!(claim.session_header.as_ref().unwrap().session_id, self.session.as_str());
        let settled = self.devnet.events("EventClaimSettled");
        assert_eq!(settled.len(), 1);
        assert_eq!(settled[0].1.value("num_relays"), Some(relays.to_string()));
        for kind in ["EventClaimExpired", "EventClaimDiscarded", "EventSupplierSlashed"] {
            assert_eq!(self.devnet.events(kind), [], "{kind}");
        }
    }

    fn client(&self) -> RelayClient {
        self.stage.client().unwrap()
    }
}

/// The recording is what it has to be for these tests to show anything.
#[test]
fn recording_is_of_the_middle_of_a_session() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recordings/peer_in_session.json");
    let recording = Recording::read(&path).unwrap();
    assert!(recording.height <= 30 && recording.answered > 30, "{}", recording.about);
    let kinds = |start: &str| {
        let of = recording.keys.iter().filter(|key| key.key.starts_with(start));
        of.map(|key| key.kind.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("ha:relays:"), ["stream"]);
    assert_eq!(
        kinds("ha:smst:"),
        ["string", "hash"],
        "live root and nodes, no claimed root"
    );
    assert!(kinds("ha:miner:claim:").contains(&"string"), "the dead miner's lease");
    assert!(kinds("ha:supplier:").contains(&"string"));
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_the_go_peer_left_are_claimed_and_proven() {
    let change = Change::begin("peer_in_session.json").await;
    change.until_tree_has(change.recording.answered).await;
    let claim = change.settle().await;
    change.assert_paid(&claim, change.recording.answered);
    change.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_goes_on_after_the_change() {
    let change = Change::begin("peer_in_session.json").await;
    let peers = change.recording.answered;
    let client = change.client();
    let more = 7;
    for _ in 0..more {
        client
            .relay(&BackendCall::usual(Mode::JsonRpc).payload())
            .await
            .unwrap();
    }
    client.close().await;
    change.until_tree_has(peers + more).await;
    let claim = change.settle().await;
    change.assert_paid(&claim, peers + more);
    change.stage.stop().await;
}
