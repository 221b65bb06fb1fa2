use pocket_status::{
    Backend, Cause, End, Latency, MinerStatus, MinerTotals, Next, Rate, Reason, RelayerStatus, Relays, Risk, Served,
    Service, Session, Severity, Step, Supplier, Work,
};

use super::*;
use crate::{Heard, RedisView};

fn rate(per_second: f64) -> Rate {
    Rate {
        last_10s: per_second,
        last_1m: per_second / 2.0,
    }
}

fn relayer() -> RelayerStatus {
    let served = Served {
        answered: 12_345,
        refused: 6,
        answered_per_second: rate(42.0),
        refused_per_second: rate(0.2),
        latency: Some(Latency {
            p50_ms: 1.25,
            p90_ms: 7.0,
            p99_ms: 31.0,
        }),
    };
    RelayerStatus {
        ready: true,
        relays: Relays {
            served: served.clone(),
            in_flight: 3,
            ..Relays::default()
        },
        services: vec![Service {
            service: "svc-http".into(),
            served,
            refusals: vec![Reason {
                reason: "stake_exhausted".into(),
                total: 6,
                last_1m: 6,
            }],
            backends: vec![
                Backend {
                    name: "good".into(),
                    rpc_type: "jsonrpc".into(),
                    state: "closed".into(),
                    latency_ms: Some(0.75),
                    ..Backend::default()
                },
                Backend {
                    name: "\x1b[31mbad".into(),
                    rpc_type: "jsonrpc".into(),
                    state: "open".into(),
                    ..Backend::default()
                },
            ],
            ..Service::default()
        }],
        ..RelayerStatus::default()
    }
}

fn miner() -> MinerStatus {
    let session = Session {
        session: "5e55".into(),
        supplier: "pokt1supplier".into(),
        service: "svc-http".into(),
        state: "claiming".into(),
        relays: 900,
        expected_upokt: Some(37_800),
        next: Some(Next {
            step: Step::ClaimCloses,
            height: 16,
            blocks_left: 2,
        }),
        work: Some(Work::Claim),
        risk: Some(Severity::Critical),
        reason: Some("out of gas".into()),
        ..Session::default()
    };
    MinerStatus {
        instance: "m1".into(),
        leader: true,
        not_ready: vec!["Redis does not answer: refused".into()],
        totals: MinerTotals {
            sessions: 1,
            expected_upokt: 37_800,
            at_risk_upokt: 37_800,
            claims_under_way: 1,
            earned_upokt: 2_500_000,
            claims: 8,
            ..MinerTotals::default()
        },
        risks: vec![Risk {
            severity: Severity::Critical,
            cause: Cause::NotClaimed,
            text: "claim window closes in 2 blocks and no block has the claim: out of gas".into(),
            supplier: Some("pokt1supplier".into()),
            session: Some("5e55".into()),
            upokt: Some(37_800),
        }],
        suppliers: vec![Supplier {
            address: "pokt1supplier".into(),
            owned: true,
            sessions: 1,
            expected_upokt: 37_800,
            ..Supplier::default()
        }],
        sessions: vec![session],
        ends: vec![End {
            session: "old".into(),
            service: "svc-http".into(),
            settlement: "settled_proven".into(),
            relays: 10,
            upokt: Some(420),
            height: 20,
            ..End::default()
        }],
        ..MinerStatus::default()
    }
}

fn snapshot() -> Snapshot {
    let from = |from: &str| from.to_owned();
    Snapshot {
        relayers: vec![
            Heard {
                from: from("r1:8081"),
                status: relayer(),
            },
            Heard {
                from: from("r2:8081"),
                status: relayer(),
            },
        ],
        miners: vec![Heard {
            from: from("m1:9092"),
            status: miner(),
        }],
        away: vec![Heard {
            from: from("r3:8081"),
            status: "Connection refused".into(),
        }],
        redis: Some(RedisView {
            leader: Some("m1".into()),
            used_memory: 5 << 20,
            ..RedisView::default()
        }),
        ..Snapshot::empty(OffsetDateTime::UNIX_EPOCH)
    }
}

/// A line with all of these words, in this order.
#[track_caller]
fn assert_line(text: &str, words: &[&str]) {
    let has = |line: &str| {
        let mut rest = line;
        words.iter().all(|word| match rest.split_once(word) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    };
    assert!(text.lines().any(has), "no line with {words:?} in\n{text}");
}

#[test]
fn frame_shows_relays_money_risks_and_who_is_away() {
    let text = frame(&snapshot(), 160, Colours::No);
    assert_line(&text, &["84 relays a second answered", "0.4 refused", "6 in flight"]);
    assert_line(
        &text,
        &[
            "37,800 upokt expected in 1 sessions",
            "37,800 upokt at risk",
            "2.50 POKT earned",
        ],
    );
    assert_line(&text, &["claims 8 (1 under way)", "proofs 0 (0 under way)"]);
    assert_line(
        &text,
        &["not claimed", "5e55", "37,800 upokt", "claim window closes in 2 blocks"],
    );
    assert_line(&text, &["relayer", "r2:8081", "ready", "42"]);
    assert_line(&text, &["miner", "m1:9092", "not ready", "Redis does not answer"]);
    assert_line(&text, &["?", "r3:8081", "no answer", "Connection refused"]);
    assert_line(&text, &["Redis", "5.0 MiB", "no append-only file", "leader: m1"]);
}

#[test]
fn services_are_summed_over_relayers_and_unwell_backends_come_first() {
    let text = frame(&snapshot(), 160, Colours::No);
    let expected = [
        "svc-http",
        "84",
        "42",
        "24,690",
        "12",
        "1.2 ms",
        "7.0 ms",
        "31 ms",
        "stake exhausted (12)",
    ];
    assert_line(&text, &expected);
    let (bad, good) = (text.find("·[31mbad").unwrap(), text.find("good").unwrap());
    assert!(bad < good);
    assert_line(&text, &["·[31mbad", "svc-http", "jsonrpc", "open", "–"]);
}

#[test]
fn sessions_say_what_comes_next_and_what_went_wrong() {
    let text = frame(&snapshot(), 160, Colours::No);
    assert_line(
        &text,
        &[
            "5e55",
            "claiming, claim under way",
            "900",
            "37,800 upokt",
            "claim closes in 2 blocks",
            "out of gas",
        ],
    );
    assert_line(&text, &["old", "svc-http", "settled proven", "10", "420 upokt", "20"]);
}

#[test]
fn no_line_is_wider_than_asked_for_and_none_controls_the_terminal() {
    use unicode_width::UnicodeWidthStr as _;
    for width in [1, 20, 60, 80, 300] {
        let text = frame(&snapshot(), width, Colours::No);
        assert!(text.lines().all(|line| line.width() <= width), "{width}");
        assert!(!text.contains('\x1b'));
    }
    assert!(frame(&snapshot(), 80, Colours::Yes).contains("\x1b[1;31m"));
}

#[test]
fn nobody_asked_is_an_empty_frame_not_a_broken_one() {
    let text = frame(&Snapshot::empty(OffsetDateTime::UNIX_EPOCH), 80, Colours::No);
    assert!(
        text.contains("Nobody was asked.") && text.contains("1970-01-01 00:00:00 UTC"),
        "{text}"
    );
}
