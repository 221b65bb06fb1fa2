//! What the chain knows of a session. Nearly all of it is cached: other parts of the miner have asked for it before.

use std::sync::Arc;

use pocket_proto::pocket::session::{Session, SessionHeader};
use pocket_protocol::reward::{Price, claimed_upokt};
use pocket_protocol::rings::{PLACEHOLDER_ADDRESS, ring_addresses};
use pocket_protocol::{ComputeUnits, Upokt};
use pocket_query::{ChainClient, QueryError};
use pocket_ring::PublicKey;
use pocket_rules::RelayFacts;
use pocket_smst::Digest;
use pocket_store::SessionRecord;

/// What a session's start fixes.
#[derive(Clone, Debug)]
pub(crate) struct SessionFacts {
    /// The chain's session of the record's application, service and start.
    pub session: Arc<Session>,
    /// Of one relay.
    pub compute_units: ComputeUnits,
    /// The service's difficulty target.
    pub target: [u8; 32],
    /// Of a compute unit.
    pub price: Price,
}

impl SessionFacts {
    pub async fn of(chain: &ChainClient, record: &SessionRecord) -> Result<Self, QueryError> {
        let (service, start) = (record.service.as_str(), record.start);
        let (session, compute_units, target, params) = tokio::try_join!(
            chain.session(record.application.as_str(), service, start),
            chain.compute_units_at(service, start),
            chain.difficulty_target_at(service, start),
            chain.shared_params_at(start),
        )?;
        Ok(Self {
            session,
            compute_units,
            target,
            price: Price::from(&*params),
        })
    }

    /// The chain's own header.
    pub fn header(&self) -> Result<&SessionHeader, QueryError> {
        let missing = || QueryError::Malformed("the session has no header".to_owned());
        self.session.header.as_ref().ok_or_else(missing)
    }

    /// What a tree with this root is worth, before caps and shares; `None` where the parameters give no amount.
    pub fn worth(&self, root: &Digest) -> Option<Upokt> {
        claimed_upokt(ComputeUnits(root.sum()), self.price, &self.target).ok()
    }
}

/// Whose signatures a session's relays have.
#[derive(Clone, Debug)]
pub(crate) struct Signers {
    /// The keys that may sign for the application.
    pub ring: Vec<PublicKey>,
    /// The supplier's.
    pub supplier_key: [u8; 33],
}

impl Signers {
    pub async fn of(chain: &ChainClient, record: &SessionRecord) -> Result<Self, QueryError> {
        let application = chain.application(record.application.as_str()).await?;
        let mut ring = Vec::new();
        for member in ring_addresses(&application, record.end) {
            if member == PLACEHOLDER_ADDRESS {
                ring.push(PublicKey::PLACEHOLDER);
                continue;
            }
            let key = chain.public_key(&member).await?;
            let off_curve = |_| QueryError::Malformed(format!("the key of {member} is not on the curve"));
            ring.push(PublicKey::parse(&key).map_err(off_curve)?);
        }
        let supplier_key = chain.public_key(record.supplier.as_str()).await?;
        Ok(Self { ring, supplier_key })
    }

    /// What a relay of the session is held against.
    pub fn relay_facts<'a>(&'a self, header: &'a SessionHeader, target: &'a [u8], supplier: &'a str) -> RelayFacts<'a> {
        RelayFacts {
            header,
            supplier,
            supplier_key: &self.supplier_key,
            target,
            ring: &self.ring,
        }
    }
}
