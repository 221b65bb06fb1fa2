//! What clients saw: by a supplier's part in a session, which relays were answered, and which may have been served
//! although no answer arrived.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use pocket_proto::pocket::service::{RelayRequest, RelayResponse};
use pocket_protocol::relay::mined_relay;
use pocket_smst::Leaf;

/// A supplier's part in a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Last block of the session.
    pub end: i64,
    /// Session id.
    pub session: String,
    /// Operator address.
    pub supplier: String,
}

/// The relays of one part.
#[derive(Clone, Debug, Default)]
pub struct Relays {
    /// Leaves of the relays that were answered with success.
    pub answered: Vec<Leaf>,
    /// Requests that were sent and whose answer was lost: served or not, nobody can tell.
    pub uncertain: Vec<RelayRequest>,
    /// Requests that were refused.
    pub refused: usize,
    /// Answers that were not what they should be.
    pub faults: Vec<String>,
    /// The supplier's answer, the same to every request of the part.
    answer: Option<RelayResponse>,
}

impl Relays {
    /// The leaves that lost relays have if they were served; `None` while no answer shows what the supplier signs.
    pub fn uncertain_leaves(&self, units: u64) -> Option<Vec<Leaf>> {
        let answer = self.answer.as_ref()?;
        Some(
            self.uncertain
                .iter()
                .map(|request| leaf(request, answer, units))
                .collect(),
        )
    }
}

fn leaf(request: &RelayRequest, answer: &RelayResponse, units: u64) -> Leaf {
    let relay = mined_relay(request, answer);
    Leaf::of_relay(&relay.hash, &relay.bytes, units)
}

/// All parts so far.
#[derive(Debug, Default)]
pub struct Book(Mutex<BTreeMap<Part, Relays>>);

impl Book {
    /// A relay was answered with success.
    pub fn answered(&self, part: &Part, request: &RelayRequest, answer: RelayResponse, units: u64) {
        let leaf = leaf(request, &answer, units);
        self.edit(part, |relays| {
            if relays.answer.as_ref().is_some_and(|known| *known != answer) {
                relays
                    .faults
                    .push("the supplier signed two different answers".to_owned());
            }
            relays.answer = Some(answer);
            relays.answered.push(leaf);
        });
    }

    /// A relay's answer was lost.
    pub fn uncertain(&self, part: &Part, request: RelayRequest) {
        self.edit(part, |relays| relays.uncertain.push(request));
    }

    /// A relay was refused.
    pub fn refused(&self, part: &Part) {
        self.edit(part, |relays| relays.refused += 1);
    }

    /// An answer that no relayer may give.
    pub fn fault(&self, part: &Part, what: String) {
        self.edit(part, |relays| relays.faults.push(what));
    }

    /// The parts of sessions that end at `end`.
    pub fn of_end(&self, end: i64) -> Vec<(Part, Relays)> {
        let book = self.0.lock();
        let parts = book.iter().filter(|(part, _)| part.end == end);
        parts.map(|(part, relays)| (part.clone(), relays.clone())).collect()
    }

    /// Whether a relay of a session that ends at `end` was answered.
    pub fn has_answers(&self, end: i64) -> bool {
        let book = self.0.lock();
        let mut parts = book.iter().filter(|(part, _)| part.end == end);
        parts.any(|(_, relays)| !relays.answered.is_empty())
    }

    /// Forgets sessions that end at `end`, once they are judged.
    pub fn forget(&self, end: i64) {
        self.0.lock().retain(|part, _| part.end != end);
    }

    /// How many relays were answered, lost their answer and were refused, in all sessions that are not forgotten.
    pub fn counts(&self) -> (usize, usize, usize) {
        let book = self.0.lock();
        book.values().fold((0, 0, 0), |(answered, lost, refused), relays| {
            (
                answered + relays.answered.len(),
                lost + relays.uncertain.len(),
                refused + relays.refused,
            )
        })
    }

    /// The parts with answered relays of sessions that end at `end` or later.
    pub fn claimable_from(&self, end: i64) -> Vec<Part> {
        let book = self.0.lock();
        let parts = book.iter().filter(|(part, _)| part.end >= end);
        let claimable = parts.filter(|(_, relays)| !relays.answered.is_empty());
        claimable.map(|(part, _)| part.clone()).collect()
    }

    fn edit(&self, part: &Part, change: impl FnOnce(&mut Relays)) {
        let mut book = self.0.lock();
        match book.get_mut(part) {
            Some(relays) => change(relays),
            None => change(book.entry(part.clone()).or_default()),
        }
    }
}
