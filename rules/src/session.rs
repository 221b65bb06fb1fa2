//! The session that a claim or proof is of, and when it may come.

use pocket_proto::pocket::session::{Session, SessionHeader};
use pocket_protocol::{Height, Windows};

use crate::BrokenRule;

/// The header's id is that of the chain's session of its application, service and start, and the supplier serves it.
/// What else the header says is not compared (spec §3, steps 6 to 8).
pub fn check_session(session: &Session, header: &SessionHeader, operator: &str) -> Result<(), BrokenRule> {
    if session.session_id != header.session_id {
        return Err(BrokenRule::SessionId {
            expected: session.session_id.clone(),
            got: header.session_id.clone(),
        });
    }
    let mut suppliers = session.suppliers.iter();
    if suppliers.any(|supplier| supplier.operator_address == operator) {
        return Ok(());
    }
    Err(BrokenRule::Supplier {
        supplier: operator.to_owned(),
        session: header.session_id.clone(),
    })
}

/// A claim in block `height` is in time (spec §3, step 9).
pub fn check_claim_window(windows: &Windows, height: Height) -> Result<(), BrokenRule> {
    if windows.accepts_claim(height) {
        return Ok(());
    }
    let (open, close) = (windows.claim_open, windows.claim_close);
    Err(BrokenRule::ClaimWindow { height, open, close })
}

/// A proof in block `height` is in time (spec §4.1, step 3).
pub fn check_proof_window(windows: &Windows, height: Height) -> Result<(), BrokenRule> {
    if windows.accepts_proof(height) {
        return Ok(());
    }
    let (open, close) = (windows.proof_open, windows.proof_close);
    Err(BrokenRule::ProofWindow { height, open, close })
}

#[cfg(test)]
mod tests {
    use pocket_proto::pocket::shared::Supplier;

    use super::*;

    const WINDOWS: Windows = Windows {
        grace_end: Height(11),
        claim_open: Height(12),
        claim_close: Height(16),
        proof_open: Height(17),
        proof_close: Height(20),
        seed: Height(16),
    };

    #[test]
    fn message_is_in_time_from_the_windows_first_block_to_its_last() {
        let claim = |height| check_claim_window(&WINDOWS, Height(height)).is_ok();
        let proof = |height| check_proof_window(&WINDOWS, Height(height)).is_ok();
        assert_eq!([11, 12, 16, 17].map(claim), [false, true, true, false]);
        assert_eq!([16, 17, 20, 21].map(proof), [false, true, true, false]);
    }

    #[test]
    fn session_has_its_id_and_its_suppliers() {
        let session = Session {
            session_id: "ours".into(),
            suppliers: vec![Supplier {
                operator_address: "pokt1a".into(),
                ..Supplier::default()
            }],
            ..Session::default()
        };
        let broken = |id: &str, operator| {
            let header = SessionHeader {
                session_id: id.into(),
                ..SessionHeader::default()
            };
            check_session(&session, &header, operator)
                .err()
                .map(|broken| broken.name())
        };
        assert_eq!(broken("ours", "pokt1a"), None);
        assert_eq!(broken("theirs", "pokt1a"), Some("session_id"));
        assert_eq!(broken("ours", "pokt1b"), Some("supplier"));
    }
}
