//! The session of the moment, and the next one when it ends.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::future::try_join_all;
use pocket_keys::PublicKey;
use pocket_protocol::rings::{PLACEHOLDER_ADDRESS, ring_addresses};
use pocket_protocol::{Height, ServiceId, SupplierAddress};
use pocket_query::{BlockFeed, ChainClient, QueryError};
use tokio::sync::OnceCell;

use crate::signatory::RingSigner;
use crate::{RelayError, RelaySession, SessionSupplier, Signatory, SigningStyle};

/// Which suppliers relays are sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SupplierChoice {
    /// Those of the session, in turn.
    #[default]
    All,
    /// The session's first.
    First,
    /// This one, be it in the session or not.
    One(SupplierAddress),
}

/// Where sessions come from. Clones share the session of the moment.
#[derive(Clone)]
pub struct Sessions(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<RelaySession>),
    Chain(Arc<OnChain>),
}

/// Set once per session: many tasks that find the session over make one new one together.
type Slot = OnceCell<Arc<RelaySession>>;

struct OnChain {
    chain: ChainClient,
    blocks: BlockFeed,
    signatory: Signatory,
    service: ServiceId,
    suppliers: SupplierChoice,
    style: SigningStyle,
    slot: ArcSwap<Slot>,
    /// The last session's signer: its tables serve as long as the ring stays the same.
    signer: ArcSwap<Option<Arc<RingSigner>>>,
}

impl Sessions {
    /// One session for ever, without a chain.
    pub fn fixed(session: RelaySession) -> Self {
        Self(Source::Fixed(Arc::new(session)))
    }

    /// Sessions of an application and service as the chain has them.
    pub fn on_chain(
        chain: ChainClient,
        blocks: BlockFeed,
        signatory: Signatory,
        service: ServiceId,
        suppliers: SupplierChoice,
        style: SigningStyle,
    ) -> Self {
        Self(Source::Chain(Arc::new(OnChain {
            chain,
            blocks,
            signatory,
            service,
            suppliers,
            style,
            slot: ArcSwap::default(),
            signer: ArcSwap::from_pointee(None),
        })))
    }

    /// The session at the chain's height.
    pub async fn current(&self) -> Result<Arc<RelaySession>, RelayError> {
        match &self.0 {
            Source::Fixed(session) => Ok(session.clone()),
            Source::Chain(source) => source.current().await,
        }
    }

    /// Whether relays of the session are still of the moment.
    pub fn is_current(&self, session: &RelaySession) -> bool {
        match &self.0 {
            Source::Fixed(_) => true,
            Source::Chain(source) => source.blocks.height() <= session.end(),
        }
    }
}

impl OnChain {
    async fn current(&self) -> Result<Arc<RelaySession>, RelayError> {
        let slot = self.slot.load_full();
        if let Some(session) = slot.get() {
            if self.blocks.height() <= session.end() {
                return Ok(session.clone());
            }
            // Only one of those who come here at once puts a new slot.
            self.slot.compare_and_swap(&slot, Arc::new(Slot::new()));
        }
        self.slot.load_full().get_or_try_init(|| self.load()).await.cloned()
    }

    async fn load(&self) -> Result<Arc<RelaySession>, RelayError> {
        let application = self.signatory.application_address().as_str();
        let height = match self.blocks.height() {
            Height(0) => self.chain.status().await?.height,
            height => height,
        };
        let session = self.chain.session(application, self.service.as_str(), height).await?;
        let header = session
            .header
            .clone()
            .ok_or_else(|| malformed("the session has no header"))?;
        let suppliers = session
            .suppliers
            .iter()
            .map(|supplier| supplier.operator_address.as_str());
        let suppliers = self.suppliers_of(suppliers, &header.session_id).await?;
        let ring = self.ring(Height(header.session_end_block_height)).await?;
        let signer = self.signer(ring).await?;
        tracing::debug!(
            session = header.session_id,
            start = header.session_start_block_height,
            end = header.session_end_block_height,
            suppliers = suppliers.len(),
            "relays are signed for a new session"
        );
        Ok(Arc::new(RelaySession::with_signer(header, suppliers, signer)))
    }

    async fn suppliers_of(
        &self,
        in_session: impl Iterator<Item = &str>,
        session_id: &str,
    ) -> Result<Vec<SessionSupplier>, RelayError> {
        let chosen: Vec<&str> = match &self.suppliers {
            SupplierChoice::All => in_session.collect(),
            SupplierChoice::First => in_session.take(1).collect(),
            SupplierChoice::One(address) => vec![address.as_str()],
        };
        if chosen.is_empty() {
            return Err(RelayError::NoSupplier(session_id.to_owned()));
        }
        try_join_all(chosen.into_iter().map(async |address| {
            let key = self.chain.public_key(address).await?;
            Ok(SessionSupplier {
                address: address
                    .parse()
                    .map_err(|_| malformed("a supplier's address is malformed"))?,
                public_key: PublicKey::from_compressed(&key).map_err(|_| RelayError::PublicKey(address.to_owned()))?,
            })
        }))
        .await
    }

    /// The keys of the application and its gateways (spec `relay.md` §3.6).
    async fn ring(&self, session_end: Height) -> Result<Vec<pocket_ring::PublicKey>, RelayError> {
        let application = self
            .chain
            .application(self.signatory.application_address().as_str())
            .await?;
        let addresses = ring_addresses(&application, session_end);
        try_join_all(addresses.iter().map(async |address| {
            if address == PLACEHOLDER_ADDRESS {
                return Ok(pocket_ring::PublicKey::PLACEHOLDER);
            }
            let key = self.chain.public_key(address).await?;
            pocket_ring::PublicKey::parse(&key).map_err(|_| RelayError::PublicKey(address.clone()))
        }))
        .await
    }

    async fn signer(&self, ring: Vec<pocket_ring::PublicKey>) -> Result<Arc<RingSigner>, RelayError> {
        if let Some(signer) = self.signer.load().as_ref()
            && signer.ring() == ring
        {
            return Ok(signer.clone());
        }
        let (signatory, style) = (self.signatory.clone(), self.style);
        let signer = tokio::task::spawn_blocking(move || signatory.ring_signer(ring, style))
            .await
            .expect("signing tables are built without a panic")?;
        let signer = Arc::new(signer);
        self.signer.store(Arc::new(Some(signer.clone())));
        Ok(signer)
    }
}

fn malformed(what: &str) -> RelayError {
    RelayError::Chain(QueryError::Malformed(what.to_owned()))
}
