use std::sync::Arc;
use std::time::Duration;

use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_protocol::{AppAddress, Height, ServiceId, SessionId, SupplierAddress, Upokt, Windows};
use pocket_smst::Digest;
use pocket_store::{SessionRecord, SessionState};
use tokio::time::Instant;

use crate::memory::HeldTree;

/// Between two attempts at the same height.
const PAUSE: Duration = Duration::from_secs(1);

/// Beyond the next block, which makes an end to it.
const FAR: Duration = Duration::from_hours(24);

/// One session in a worker's hands.
pub(crate) struct Session {
    /// As Redis has it.
    pub record: SessionRecord,
    /// Known once the session's end is committed: only then its parameters are fixed.
    pub windows: Option<Windows>,
    /// In memory as far as it is needed; `None` until the first relay after a start.
    pub tree: Option<HeldTree>,
    /// The live root that Redis has as far as we know: what the next commit follows.
    pub live_root: Option<Digest>,
    /// Compute units of each of its relays, fixed at the session's start.
    pub units_per_relay: Option<u64>,
    /// What it is expected to pay, once it is sealed.
    pub worth: Option<Upokt>,
    /// A claim or proof is under way.
    pub busy: bool,
    /// Why a claim or proof did not work when it was last tried.
    pub trouble: Option<Arc<str>>,
    /// What did not work is tried again then, or at the next block.
    pub again_at: Option<Instant>,
}

impl Session {
    pub fn new(record: SessionRecord) -> Self {
        Self {
            record,
            windows: None,
            tree: None,
            live_root: None,
            units_per_relay: None,
            worth: None,
            busy: false,
            trouble: None,
            // It may have come after the newest block.
            again_at: Some(Instant::now()),
        }
    }

    /// Puts what did not work off.
    pub fn try_later(&mut self) {
        self.again_at = Some(Instant::now() + PAUSE);
    }

    /// Puts what would not work at this height either off until the next block.
    pub fn wait_for_block(&mut self) {
        self.again_at = Some(Instant::now() + FAR);
    }

    /// Whether something can be done for it before the next block comes.
    pub fn is_pressing(&self, height: Height) -> bool {
        if self.busy || height < self.record.end {
            return false;
        }
        let drains = self.record.state == SessionState::Active
            && self.windows.is_some_and(|windows| height >= windows.claim_open);
        drains || self.again_at.is_some_and(|at| at <= Instant::now())
    }

    /// The root that was sealed.
    pub fn claimed_root(&self) -> Option<Digest> {
        self.record
            .claimed_root
            .as_ref()
            .and_then(|root| Digest::try_from(root.as_ref()).ok())
    }
}

/// The record of the session that a message belongs to; `Err` says what the message lacks.
pub(crate) fn record_of(
    supplier: &SupplierAddress,
    message: &MinedRelayMessage,
) -> Result<SessionRecord, &'static str> {
    let service: ServiceId = message.service_id.parse().map_err(|_| "service_id")?;
    let application: AppAddress = message.application_address.parse().map_err(|_| "application_address")?;
    if message.session_id.is_empty() {
        return Err("session_id");
    }
    if message.session_start_height < 1 || message.session_end_height < message.session_start_height {
        return Err("session_heights");
    }
    Ok(SessionRecord::new(
        supplier.clone(),
        SessionId::from(message.session_id.as_str()),
        service,
        application,
        Height(message.session_start_height),
        Height(message.session_end_height),
    ))
}
