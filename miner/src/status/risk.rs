//! What may be lost, and why: rules over what is known at a moment, without effects.

use pocket_protocol::{Height, SupplierAddress};
use pocket_status::{Cause, Risk, Severity};
use pocket_store::{Relayers, SessionState};

use super::board::{SessionView, SupplierView};

/// Blocks before a window's end from which on it is a matter of blocks, where windows are long enough.
const LAST_BLOCKS: i64 = 3;

/// What a session's fate depends on beside itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    pub height: Height,
    pub relayers: &'a Relayers,
    /// The supplier's worker's view.
    pub supplier: &'a SupplierView,
    /// Relays in the supplier's stream.
    pub waiting: u64,
}

/// A risk's severity, cause and words.
type Found = (Severity, Cause, String);

/// What speaks against a session being paid, if anything does.
pub(super) fn of_session(session: &SessionView, around: &Surroundings<'_>) -> Option<Found> {
    use SessionState as S;
    let (record, height) = (&session.record, around.height);
    let trouble = session.trouble.as_deref();
    let Some(windows) = session.windows else {
        // One block later they are known, if the node answers.
        let is_late = height > record.end + 1 && record.state == S::Active;
        let text = "the parameters at the session's end are not known: look at the node";
        return is_late.then(|| (Severity::Warning, Cause::NoWindows, text.to_owned()));
    };
    match record.state {
        S::Active if height >= windows.claim_open => {
            let left = Left::until(windows.claim_close, windows.claim_open, height);
            let is_late = height > windows.claim_open || trouble.is_some() || left.is_last();
            let why = trouble.map_or_else(|| not_drained(session, around), |trouble| format!(": {trouble}"));
            let text = format!("claim window closes in {left} and the tree is not sealed{why}");
            is_late.then_some((left.severity(), Cause::NotSealed, text))
        }
        S::Claiming => {
            let left = Left::until(windows.claim_close, windows.claim_open, height);
            let text = format!(
                "claim window closes in {left} and no block has the claim{}",
                told(trouble)
            );
            (trouble.is_some() || left.is_last()).then_some((left.severity(), Cause::NotClaimed, text))
        }
        S::Claimed | S::Proving if height >= windows.proof_open => {
            let left = Left::until(windows.proof_close, windows.proof_open, height);
            let text = format!(
                "proof window closes in {left} and it is not proven: if a proof is due, stake is slashed{}",
                told(trouble)
            );
            (trouble.is_some() || left.is_last()).then_some((left.severity(), Cause::NotProved, text))
        }
        S::ClaimWindowClosed | S::ClaimTxError | S::ClaimMissing | S::ProofWindowClosed | S::ProofTxError => {
            let reason = record.reason.as_deref().unwrap_or("no reason was written down");
            Some((
                Severity::Critical,
                Cause::Lost,
                format!("{}: {reason}", record.state.as_str()),
            ))
        }
        S::Active | S::Claimed | S::Proving | S::Proved | S::ProbabilisticProved | S::ClaimSkipped => None,
    }
}

fn told(trouble: Option<&str>) -> String {
    trouble.map_or(String::new(), |trouble| format!(": {trouble}"))
}

/// What an open session waits for.
fn not_drained(session: &SessionView, around: &Surroundings<'_>) -> String {
    if let Some(relayer) = &around.supplier.awaited {
        return format!(": relayer {relayer} is silent and may have relays of it");
    }
    let mut relayers = around.relayers.live.iter();
    if let Some((relayer, _)) = relayers.find(|(_, mark)| mark.open_from <= session.record.end) {
        return format!(": relayer {relayer} still has relays of it");
    }
    match around.waiting {
        0 => String::new(),
        waiting => format!(": {waiting} relays wait in the stream"),
    }
}

/// Blocks until a window closes.
#[derive(Clone, Copy)]
struct Left {
    blocks: i64,
    /// Of the window as a whole.
    of: i64,
}

impl Left {
    fn until(close: Height, open: Height, height: Height) -> Self {
        Self {
            blocks: (close - height).max(0),
            of: close - open,
        }
    }

    fn is_last(self) -> bool {
        self.blocks <= LAST_BLOCKS.min(self.of / 2)
    }

    fn severity(self) -> Severity {
        if self.is_last() {
            Severity::Critical
        } else {
            Severity::Warning
        }
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.blocks {
            0 => f.write_str("this block"),
            1 => f.write_str("1 block"),
            blocks => write!(f, "{blocks} blocks"),
        }
    }
}

/// What is known of a supplier apart from its sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Means {
    /// 0 critical, 1 low, 2 good; as the metric has it.
    pub balance: Option<(i64, i64)>,
    pub missed_proofs_left: Option<i64>,
    /// Below these a stake is worth a warning, and an alarm.
    pub stake_thresholds: (i64, i64),
    pub waiting: u64,
    /// Relays taken in a second.
    pub pace: f64,
    /// Seconds since its worker told anything.
    pub told_ago: Option<u64>,
}

/// A worker tells each second, unless it waits for something.
const STUCK_AFTER: u64 = 30;
/// So few relays are no backlog, however slow the miner is.
const FEW: u64 = 1000;

/// What speaks against all of a supplier's sessions.
pub(super) fn of_supplier(supplier: &SupplierAddress, means: &Means) -> Vec<Risk> {
    let mut found: Vec<Found> = Vec::new();
    match means.balance {
        Some((0, upokt)) => found.push((
            Severity::Critical,
            Cause::Balance,
            format!("the balance of {upokt} upokt is too low for fees: send upokt to the operator's address"),
        )),
        Some((1, upokt)) => found.push((
            Severity::Warning,
            Cause::Balance,
            format!("the balance of {upokt} upokt gets low: send upokt to the operator's address"),
        )),
        _ => {}
    }
    let (low, critical) = means.stake_thresholds;
    if let Some(left) = means.missed_proofs_left.filter(|left| *left < low) {
        let severity = if left < critical {
            Severity::Critical
        } else {
            Severity::Warning
        };
        let text = format!("the stake bears {left} more missed proofs before the supplier is unstaked: stake more");
        found.push((severity, Cause::Stake, text));
    }
    if means.waiting > FEW && means.waiting as f64 > means.pace * 60.0 {
        let text = format!(
            "{} relays wait in the stream and {:.0} a second are taken in: the miner does not keep up",
            means.waiting, means.pace
        );
        found.push((Severity::Warning, Cause::Backlog, text));
    }
    if let Some(ago) = means.told_ago.filter(|ago| *ago > STUCK_AFTER) {
        let text = format!("its worker has told nothing for {ago} seconds: it waits for Redis or the chain");
        found.push((Severity::Warning, Cause::Stuck, text));
    }
    let of_it = |(severity, cause, text)| Risk {
        severity,
        cause,
        text,
        supplier: Some(supplier.to_string()),
        session: None,
        upokt: None,
    };
    found.into_iter().map(of_it).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use pocket_protocol::{AppAddress, SessionId, Windows};
    use pocket_store::{SessionRecord, Watermark};

    use super::*;

    const WINDOWS: Windows = Windows {
        grace_end: Height(11),
        claim_open: Height(12),
        claim_close: Height(22),
        proof_open: Height(23),
        proof_close: Height(33),
        seed: Height(22),
    };

    fn session(state: SessionState) -> SessionView {
        let mut record = SessionRecord::new(
            SupplierAddress::of_public_key(&[2; 33]),
            SessionId::from("5e55"),
            "svc".parse().unwrap(),
            AppAddress::of_public_key(&[3; 33]),
            Height(1),
            Height(10),
        );
        record.state = state;
        SessionView {
            record,
            windows: Some(WINDOWS),
            busy: false,
            trouble: None,
        }
    }

    fn found(session: &SessionView, height: i64, relayers: &Relayers, awaited: Option<&str>) -> Option<Found> {
        let supplier = SupplierView {
            sessions: Vec::new().into(),
            awaited: awaited.map(str::to_owned),
            seen_at: Instant::now(),
        };
        of_session(
            session,
            &Surroundings {
                height: Height(height),
                relayers,
                supplier: &supplier,
                waiting: 7,
            },
        )
    }

    fn alone(session: &SessionView, height: i64) -> Option<Found> {
        found(session, height, &Relayers::default(), None)
    }

    #[test]
    fn session_on_its_way_is_no_risk() {
        use SessionState as S;
        for (state, height) in [
            (S::Active, 9),
            (S::Active, 12),
            (S::Claiming, 13),
            (S::Claimed, 22),
            (S::Proving, 24),
            (S::Proved, 33),
            (S::ClaimSkipped, 20),
        ] {
            assert_eq!(alone(&session(state), height), None, "{state:?} at {height}");
        }
    }

    #[test]
    fn window_that_closes_without_a_claim_is_critical() {
        let (severity, cause, text) = alone(&session(SessionState::Claiming), 19).unwrap();
        assert_eq!((severity, cause), (Severity::Critical, Cause::NotClaimed));
        assert!(text.starts_with("claim window closes in 3 blocks"), "{text}");
        let (severity, cause, text) = alone(&session(SessionState::Proving), 33).unwrap();
        assert_eq!((severity, cause), (Severity::Critical, Cause::NotProved));
        assert!(
            text.contains("closes in this block") && text.contains("slashed"),
            "{text}"
        );
    }

    #[test]
    fn transaction_that_fails_is_told_before_that() {
        let mut session = session(SessionState::Claiming);
        session.trouble = Some("out of gas".into());
        let (severity, _, text) = alone(&session, 13).unwrap();
        assert_eq!(severity, Severity::Warning);
        assert!(text.ends_with(": out of gas"), "{text}");
    }

    #[test]
    fn session_that_is_not_sealed_says_what_it_waits_for() {
        let session = session(SessionState::Active);
        let mark = |open_from| Watermark {
            height: Height(14),
            open_from: Height(open_from),
        };
        let relayers = |open_from| Relayers {
            live: vec![("r1".to_owned(), mark(open_from))],
            silent: Vec::new(),
        };
        let words = |relayers: &Relayers, awaited| found(&session, 14, relayers, awaited).unwrap().2;
        assert!(words(&relayers(10), None).ends_with("relayer r1 still has relays of it"));
        assert!(words(&relayers(11), None).ends_with("7 relays wait in the stream"));
        assert!(words(&relayers(11), Some("r2")).contains("relayer r2 is silent"));
    }

    #[test]
    fn lost_session_says_why() {
        let mut session = session(SessionState::ClaimTxError);
        session.record.reason = Some("not in the session".to_owned());
        let (severity, cause, text) = alone(&session, 20).unwrap();
        assert_eq!((severity, cause), (Severity::Critical, Cause::Lost));
        assert_eq!(text, "claim_tx_error: not in the session");
    }

    #[test]
    fn unknown_windows_are_a_risk_once_the_session_is_over() {
        let mut session = session(SessionState::Active);
        session.windows = None;
        assert_eq!(alone(&session, 11), None);
        assert_eq!(alone(&session, 12).unwrap().1, Cause::NoWindows);
    }

    #[test]
    fn supplier_is_at_risk_by_its_means() {
        let supplier = SupplierAddress::of_public_key(&[2; 33]);
        let causes = |means: Means| {
            let risks = of_supplier(&supplier, &means);
            risks.iter().map(|risk| (risk.severity, risk.cause)).collect::<Vec<_>>()
        };
        let good = Means {
            balance: Some((2, 9)),
            missed_proofs_left: Some(10),
            stake_thresholds: (10, 3),
            waiting: 5000,
            pace: 1000.0,
            told_ago: Some(1),
        };
        assert_eq!(causes(good), []);
        let bad = Means {
            balance: Some((0, 9)),
            missed_proofs_left: Some(2),
            pace: 10.0,
            told_ago: Some(31),
            ..good
        };
        let expected = [
            (Severity::Critical, Cause::Balance),
            (Severity::Critical, Cause::Stake),
            (Severity::Warning, Cause::Backlog),
            (Severity::Warning, Cause::Stuck),
        ];
        assert_eq!(causes(bad), expected);
    }
}
