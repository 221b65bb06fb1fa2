use std::{collections::HashMap, str::FromStr};

use bytes::Bytes;
use pocket_protocol::{AppAddress, ComputeUnits, Height, ServiceId, SessionId, SupplierAddress};
use redis::Script;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{Lease, Store, StoreError};

/// Where a session is on its way from relays to upokt. Names are the Go peer's (spec:
/// claims-and-proofs.md §10), but for those marked as ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Relays are collected.
    Active,
    /// The claim is being made and sent.
    Claiming,
    /// The claim is in a block.
    Claimed,
    /// The proof is being made and sent.
    Proving,
    /// The proof is in a block and was found valid.
    Proved,
    /// The chain asks for no proof of this claim.
    ProbabilisticProved,
    /// Nothing worth claiming.
    ClaimSkipped,
    /// The claim window closed without a claim.
    ClaimWindowClosed,
    /// The chain refused the claim.
    ClaimTxError,
    /// The claim was not on chain when its proof was due.
    ClaimMissing,
    /// The proof window closed without a valid proof that was required.
    ProofWindowClosed,
    /// The chain refused the proof.
    ProofTxError,
}

impl SessionState {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::Active,
        Self::Claiming,
        Self::Claimed,
        Self::Proving,
        Self::Proved,
        Self::ProbabilisticProved,
        Self::ClaimSkipped,
        Self::ClaimWindowClosed,
        Self::ClaimTxError,
        Self::ClaimMissing,
        Self::ProofWindowClosed,
        Self::ProofTxError,
    ];

    /// Its name in Redis, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Claiming => "claiming",
            Self::Claimed => "claimed",
            Self::Proving => "proving",
            Self::Proved => "proved",
            Self::ProbabilisticProved => "probabilistic_proved",
            Self::ClaimSkipped => "claim_skipped",
            Self::ClaimWindowClosed => "claim_window_closed",
            Self::ClaimTxError => "claim_tx_error",
            Self::ClaimMissing => "claim_missing",
            Self::ProofWindowClosed => "proof_window_closed",
            Self::ProofTxError => "proof_tx_error",
        }
    }

    /// Whether nothing is left to do for the session but to watch its settlement.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Active | Self::Claiming | Self::Claimed | Self::Proving)
    }
}

impl FromStr for SessionState {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| StoreError::malformed("session state", text))
    }
}

/// What Redis holds about one supplier's part in one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The supplier that served.
    pub supplier: SupplierAddress,
    /// The session.
    pub session: SessionId,
    /// Its service.
    pub service: ServiceId,
    /// Its application.
    pub application: AppAddress,
    /// First block of the session.
    pub start: Height,
    /// Last block of the session.
    pub end: Height,
    /// Where it is on its way.
    pub state: SessionState,
    /// Leaves of its tree as stored.
    pub relays: u64,
    /// Sum of its tree as stored.
    pub compute_units: ComputeUnits,
    /// Root that was claimed, 48 bytes.
    pub claimed_root: Option<Bytes>,
    /// Upper-case hex of the last claim transaction's hash.
    pub claim_tx: Option<String>,
    /// Upper-case hex of the last proof transaction's hash.
    pub proof_tx: Option<String>,
    /// How it was settled: `settled_proven`, `settled_unproven`, `expired`, `slashed`, `discarded`.
    pub settlement: Option<String>,
    /// Block of the settlement.
    pub settlement_height: Option<Height>,
    /// Why it ended where it did, in words. Ours alone.
    pub reason: Option<String>,
}

impl SessionRecord {
    /// A session that has no relay yet.
    pub fn new(
        supplier: SupplierAddress,
        session: SessionId,
        service: ServiceId,
        application: AppAddress,
        start: Height,
        end: Height,
    ) -> Self {
        Self {
            supplier,
            session,
            service,
            application,
            start,
            end,
            state: SessionState::Active,
            relays: 0,
            compute_units: ComputeUnits(0),
            claimed_root: None,
            claim_tx: None,
            proof_tx: None,
            settlement: None,
            settlement_height: None,
            reason: None,
        }
    }

    /// The fields that never change, as Redis stores them.
    pub(crate) fn fixed_fields(&self) -> Vec<(&'static str, String)> {
        let now = now();
        vec![
            ("session_id", self.session.to_string()),
            ("supplier_operator_address", self.supplier.to_string()),
            ("service_id", self.service.to_string()),
            ("application_address", self.application.to_string()),
            ("session_start_height", self.start.0.to_string()),
            ("session_end_height", self.end.0.to_string()),
            ("created_at", now),
        ]
    }

    fn changing_fields(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut fields: Vec<(&'static str, Vec<u8>)> = vec![
            ("state", self.state.as_str().into()),
            ("relay_count", self.relays.to_string().into()),
            ("total_compute_units", self.compute_units.0.to_string().into()),
            ("last_updated_at", now().into()),
        ];
        let mut optional = |name, value: Option<Vec<u8>>| fields.extend(value.map(|value| (name, value)));
        optional(
            "claimed_root_hash",
            self.claimed_root.as_ref().map(|root| root.to_vec()),
        );
        optional("claim_tx_hash", self.claim_tx.clone().map(Into::into));
        optional("proof_tx_hash", self.proof_tx.clone().map(Into::into));
        optional("settlement_outcome", self.settlement.clone().map(Into::into));
        optional(
            "settlement_height",
            self.settlement_height.map(|height| height.0.to_string().into()),
        );
        optional("reason", self.reason.clone().map(Into::into));
        fields
    }

    fn read(key: &str, mut fields: HashMap<String, Bytes>) -> Result<Self, StoreError> {
        let mut text = |name: &str| -> Result<Option<String>, StoreError> {
            let Some(value) = fields.remove(name).filter(|value| !value.is_empty()) else {
                return Ok(None);
            };
            let value = String::from_utf8(value.to_vec());
            value
                .map(Some)
                .map_err(|error| StoreError::malformed(key, format!("{name}: {error}")))
        };
        let missing = |name: &str| StoreError::malformed(key, format!("{name} is missing"));
        let required = |name: &str, value: Option<String>| value.ok_or_else(|| missing(name));
        let invalid = |name: &'static str| move |error: String| StoreError::malformed(key, format!("{name}: {error}"));
        let number = |name: &'static str, value: Option<String>| -> Result<u64, StoreError> {
            value.map_or(Ok(0), |value| {
                value
                    .parse()
                    .map_err(|_| invalid(name)(format!("{value} is not a number")))
            })
        };
        let height = |name: &'static str, value: Option<String>| -> Result<Height, StoreError> {
            number(name, value).map(|height| Height(height as i64))
        };

        let supplier = required("supplier_operator_address", text("supplier_operator_address")?)?;
        let service = required("service_id", text("service_id")?)?;
        let application = required("application_address", text("application_address")?)?;
        let record = Self {
            supplier: supplier
                .parse()
                .map_err(|e| invalid("supplier_operator_address")(format!("{e}")))?,
            session: SessionId::from(required("session_id", text("session_id")?)?.as_str()),
            service: service.parse().map_err(|e| invalid("service_id")(format!("{e}")))?,
            application: application
                .parse()
                .map_err(|e| invalid("application_address")(format!("{e}")))?,
            start: height("session_start_height", text("session_start_height")?)?,
            end: height("session_end_height", text("session_end_height")?)?,
            state: required("state", text("state")?)?.parse()?,
            relays: number("relay_count", text("relay_count")?)?,
            compute_units: ComputeUnits(number("total_compute_units", text("total_compute_units")?)?),
            claim_tx: text("claim_tx_hash")?,
            proof_tx: text("proof_tx_hash")?,
            settlement: text("settlement_outcome")?,
            settlement_height: text("settlement_height")?
                .map(|h| height("settlement_height", Some(h)))
                .transpose()?,
            reason: text("reason")?,
            claimed_root: fields.remove("claimed_root_hash").filter(|root| !root.is_empty()),
        };
        Ok(record)
    }
}

pub(crate) fn now() -> String {
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .expect("a year of four digits has an RFC 3339 text")
}

// KEYS: lease, session, index, state set to enter, then every other state set.
// ARGV: token, time to live in seconds (0: for ever), session id, fields and values.
const SAVE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 4))
redis.call('SADD', KEYS[3], ARGV[3])
for i = 5, #KEYS do redis.call('SREM', KEYS[i], ARGV[3]) end
redis.call('SADD', KEYS[4], ARGV[3])
if tonumber(ARGV[2]) > 0 then redis.call('EXPIRE', KEYS[2], ARGV[2]) else redis.call('PERSIST', KEYS[2]) end
return 1
";

impl Store {
    /// Stores a record as a whole, in one step, if the lease still is ours. A session that is not
    /// over never expires; one that is over goes after `keep_seconds`.
    pub async fn save_session(
        &self,
        lease: &Lease,
        record: &SessionRecord,
        keep_seconds: u64,
    ) -> Result<(), StoreError> {
        let (supplier, session) = (&record.supplier, &record.session);
        let script = Script::new(SAVE);
        let mut call = script.prepare_invoke();
        call.key(lease.key())
            .key(self.keys().session(supplier, session))
            .key(self.keys().session_index(supplier));
        call.key(self.keys().session_state(supplier, record.state.as_str()));
        for other in SessionState::ALL.into_iter().filter(|state| *state != record.state) {
            call.key(self.keys().session_state(supplier, other.as_str()));
        }
        call.arg(lease.token())
            .arg(if record.state.is_terminal() { keep_seconds } else { 0 })
            .arg(session.as_str());
        for (name, value) in record.fixed_fields() {
            // The moment of creation is kept from the first write.
            if name != "created_at" {
                call.arg(name).arg(value);
            }
        }
        for (name, value) in record.changing_fields() {
            call.arg(name).arg(value);
        }
        match self.script_as::<u8>("save_session", &call).await? {
            1 => Ok(()),
            _ => Err(StoreError::Fenced),
        }
    }

    /// One record, or `None` where there is none.
    pub async fn session(
        &self,
        supplier: &SupplierAddress,
        session: &SessionId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let key = self.keys().session(supplier, session);
        let fields: HashMap<String, Bytes> = self.query(redis::cmd("HGETALL").arg(&key)).await?;
        if fields.is_empty() {
            Ok(None)
        } else {
            SessionRecord::read(&key, fields).map(Some)
        }
    }

    /// All records of a supplier. A record that cannot be read is left out, with a warning; ids
    /// whose record has expired are taken off the index.
    pub async fn sessions(&self, supplier: &SupplierAddress) -> Result<Vec<SessionRecord>, StoreError> {
        let index = self.keys().session_index(supplier);
        let ids: Vec<String> = self.query(redis::cmd("SMEMBERS").arg(&index)).await?;
        let mut records = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(256) {
            let mut pipeline = redis::Pipeline::with_capacity(chunk.len());
            for id in chunk {
                pipeline
                    .cmd("HGETALL")
                    .arg(self.keys().session(supplier, &SessionId::from(id.as_str())));
            }
            let answers: Vec<HashMap<String, Bytes>> = self.pipeline(&pipeline).await?;
            for (id, fields) in chunk.iter().zip(answers) {
                if fields.is_empty() {
                    self.forget_session(supplier, &SessionId::from(id.as_str())).await?;
                    continue;
                }
                match SessionRecord::read(&self.keys().session(supplier, &SessionId::from(id.as_str())), fields) {
                    Ok(record) => records.push(record),
                    Err(error) => tracing::warn!(%error, session = id, "session record cannot be read"),
                }
            }
        }
        Ok(records)
    }

    async fn forget_session(&self, supplier: &SupplierAddress, session: &SessionId) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("SREM")
            .arg(self.keys().session_index(supplier))
            .arg(session.as_str())
            .ignore();
        for state in SessionState::ALL {
            pipeline
                .cmd("SREM")
                .arg(self.keys().session_state(supplier, state.as_str()))
                .arg(session.as_str())
                .ignore();
        }
        self.pipeline(&pipeline).await
    }
}
