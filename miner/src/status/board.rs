//! Where workers leave what they see of their sessions, for whoever asks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pocket_protocol::{SupplierAddress, Upokt, Windows};
use pocket_status::MinerStatus;
use pocket_store::SessionRecord;

use crate::worker::Worker;

/// How often a worker tells.
const EVERY: Duration = Duration::from_secs(1);

/// One session as its worker sees it.
#[derive(Clone, Debug)]
pub(crate) struct SessionView {
    pub record: SessionRecord,
    pub windows: Option<Windows>,
    /// A claim or proof is under way.
    pub busy: bool,
    /// Why what was tried last did not work.
    pub trouble: Option<Arc<str>>,
}

/// One supplier as its worker sees it.
#[derive(Clone, Debug)]
pub(crate) struct SupplierView {
    pub sessions: Arc<[SessionView]>,
    /// A relayer that is silent, and waited for.
    pub awaited: Option<String>,
    pub seen_at: Instant,
}

/// A session that is over.
#[derive(Clone, Debug)]
pub(crate) struct EndView {
    pub record: SessionRecord,
    /// What the chain says it was worth.
    pub claimed: Option<Upokt>,
}

/// What a miner's workers tell. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Told>>);

/// All that was told.
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub leads: bool,
    pub suppliers: BTreeMap<SupplierAddress, SupplierView>,
    /// Newest settlement first.
    pub ends: VecDeque<EndView>,
}

impl Board {
    /// Everything, as last told.
    pub fn read(&self) -> Told {
        self.lock().clone()
    }

    /// Whether this miner leads the fleet.
    pub fn leads(&self, leads: bool) {
        self.lock().leads = leads;
    }

    /// Another miner works the supplier.
    pub fn forget(&self, supplier: &SupplierAddress) {
        self.lock().suppliers.remove(supplier);
    }

    /// A session is over.
    pub fn ended(&self, record: &SessionRecord, claimed: Option<Upokt>) {
        let ends = &mut self.lock().ends;
        let newer = |end: &EndView| end.record.settlement_height > record.settlement_height;
        let place = ends.iter().position(|end| !newer(end)).unwrap_or(ends.len());
        if place < MinerStatus::MOST_ENDS {
            let record = record.clone();
            ends.insert(place, EndView { record, claimed });
            ends.truncate(MinerStatus::MOST_ENDS);
        }
    }

    fn put(&self, supplier: &SupplierAddress, view: SupplierView) {
        self.lock().suppliers.insert(supplier.clone(), view);
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Tells what it sees, about once a second. Texts are shared: it costs some counters a session.
    pub(crate) fn tell(&mut self) {
        let now = Instant::now();
        if self.told_at.is_some_and(|at| now.saturating_duration_since(at) < EVERY) {
            return;
        }
        self.told_at = Some(now);
        let sessions = self.sessions.values().map(|session| SessionView {
            record: session.record.clone(),
            windows: session.windows,
            busy: session.busy,
            trouble: session.trouble.clone(),
        });
        let view = SupplierView {
            sessions: sessions.collect(),
            awaited: self.draining.awaited().map(str::to_owned),
            seen_at: now,
        };
        self.board.put(&self.supplier, view);
    }
}

#[cfg(test)]
mod tests {
    use pocket_protocol::{AppAddress, Height, SessionId};

    use super::*;

    fn ended(height: i64) -> SessionRecord {
        let mut record = SessionRecord::new(
            SupplierAddress::of_public_key(&[2; 33]),
            SessionId::from(height.to_string().as_str()),
            "svc".parse().unwrap(),
            AppAddress::of_public_key(&[3; 33]),
            Height(1),
            Height(10),
        );
        record.settlement_height = Some(Height(height));
        record
    }

    #[test]
    fn newest_ends_are_kept() {
        let board = Board::default();
        let most = MinerStatus::MOST_ENDS as i64;
        board.ended(&ended(most), None);
        (0..most).for_each(|height| board.ended(&ended(height), None));
        board.ended(&ended(0), None);
        let heights: Vec<i64> = board
            .read()
            .ends
            .iter()
            .map(|end| end.record.settlement_height.unwrap().0)
            .collect();
        assert_eq!(heights, (1..=most).rev().collect::<Vec<_>>());
    }
}
