//! Money: sessions, who works them, what may be lost and what came of those that are over.

use pocket_status::{Next, Risk, Session, Severity, Step, Work};

use crate::Snapshot;
use crate::format::{count, money, rate, short, words};
use crate::picture::{Column, Span, Table, Tone};

/// What may be lost, worst first.
pub(crate) fn risks(snapshot: &Snapshot) -> Table {
    let mut risks: Vec<&Risk> = snapshot.miners.iter().flat_map(|heard| &heard.status.risks).collect();
    risks.sort_by_key(|risk| (risk.severity, risk.cause));
    let rows = risks.into_iter().map(|risk| {
        vec![
            Span::new(words(&name(risk.cause)), tone_of(risk.severity)),
            Span::plain(
                risk.session
                    .as_deref()
                    .or(risk.supplier.as_deref())
                    .map(short)
                    .unwrap_or_default(),
            ),
            Span::plain(risk.upokt.map_or_else(String::new, |upokt| money(Some(upokt)))),
            Span::plain(&*risk.text),
        ]
    });
    Table {
        title: "At risk".to_owned(),
        columns: vec![
            Column::text("what"),
            Column::text("of"),
            Column::number("worth"),
            Column::text("why"),
        ],
        rows: rows.collect(),
        empty: "Nothing.",
    }
}

/// Sessions that are not settled, in the miners' order.
pub(crate) fn sessions(snapshot: &Snapshot) -> Table {
    let sessions = snapshot.miners.iter().flat_map(|heard| &heard.status.sessions);
    let rows = sessions.map(|session| {
        let tone = session.risk.map_or(Tone::Plain, tone_of);
        vec![
            Span::plain(short(&session.session)),
            Span::plain(&*session.service),
            Span::plain(short(&session.supplier)),
            Span::new(state(session), tone),
            Span::plain(count(session.relays)),
            Span::new(money(session.expected_upokt), Tone::Strong),
            Span::plain(session.next.as_ref().map(due).unwrap_or_default()),
            Span::new(session.reason.as_deref().unwrap_or_default(), Tone::Dim),
        ]
    });
    let left_out: u64 = snapshot.miners.iter().map(|heard| heard.status.sessions_left_out).sum();
    Table {
        title: if left_out > 0 {
            format!("Sessions ({} more)", count(left_out))
        } else {
            "Sessions".to_owned()
        },
        columns: vec![
            Column::text("session"),
            Column::text("service"),
            Column::text("supplier").if_it_fits(),
            Column::text("state"),
            Column::number("relays"),
            Column::number("expected"),
            Column::text("next"),
            Column::text("note").if_it_fits(),
        ],
        rows: rows.collect(),
        empty: "No session has relays now.",
    }
}

fn state(session: &Session) -> String {
    let state = words(&session.state);
    match session.work {
        Some(Work::Claim) => format!("{state}, claim under way"),
        Some(Work::Proof) => format!("{state}, proof under way"),
        None => state,
    }
}

fn due(next: &Next) -> String {
    let what = match next.step {
        Step::SessionEnds => "ends",
        Step::ClaimOpens => "claim opens",
        Step::ClaimCloses => "claim closes",
        Step::ProofOpens => "proof opens",
        Step::ProofCloses => "proof closes",
        Step::Settles => "settles",
    };
    match next.blocks_left {
        0 => format!("{what} now"),
        1 => format!("{what} in 1 block"),
        left => format!("{what} in {left} blocks"),
    }
}

/// Suppliers that somebody works.
pub(crate) fn suppliers(snapshot: &Snapshot) -> Table {
    let owned = snapshot.miners.iter().flat_map(|heard| {
        let owned = heard.status.suppliers.iter().filter(|supplier| supplier.owned);
        owned.map(|supplier| (&heard.status.instance, supplier))
    });
    let rows = owned.map(|(instance, supplier)| {
        let balance = supplier.balance.as_ref().map_or_else(
            || Span::plain("–"),
            |balance| {
                let tone = match balance.health.as_str() {
                    "good" => Tone::Plain,
                    "low" => Tone::Warn,
                    _ => Tone::Bad,
                };
                Span::new(money(Some(balance.upokt)), tone)
            },
        );
        let stream = supplier
            .stream
            .as_ref()
            .map_or_else(|| "–".to_owned(), |stream| count(stream.length));
        vec![
            Span::plain(short(&supplier.address)),
            Span::plain(rate(supplier.relays_per_second.last_10s)),
            Span::plain(stream),
            Span::plain(count(supplier.sessions)),
            Span::new(money(Some(supplier.expected_upokt)), Tone::Strong),
            balance,
            Span::new(&**instance, Tone::Dim),
        ]
    });
    Table {
        title: "Suppliers".to_owned(),
        columns: vec![
            Column::text("supplier"),
            Column::number("a second"),
            Column::number("in stream"),
            Column::number("sessions"),
            Column::number("expected"),
            Column::number("balance"),
            Column::text("worked by").if_it_fits(),
        ],
        rows: rows.collect(),
        empty: "No miner was asked that works one.",
    }
}

/// Sessions that are over, newest first.
pub(crate) fn ends(snapshot: &Snapshot) -> Table {
    let mut ends: Vec<_> = snapshot.miners.iter().flat_map(|heard| &heard.status.ends).collect();
    ends.sort_by_key(|end| std::cmp::Reverse(end.height));
    let rows = ends.into_iter().map(|end| {
        let is_paid = end.settlement.starts_with("settled");
        let was_worth_something = end.relays > 0 && end.state != "claim_skipped";
        let tone = match (is_paid, was_worth_something) {
            (true, _) => Tone::Good,
            (false, true) => Tone::Bad,
            (false, false) => Tone::Plain,
        };
        vec![
            Span::plain(short(&end.session)),
            Span::plain(&*end.service),
            Span::plain(short(&end.supplier)),
            Span::new(words(&end.settlement), tone),
            Span::plain(count(end.relays)),
            Span::plain(money(end.upokt)),
            Span::plain(end.height.to_string()),
            Span::new(end.reason.as_deref().unwrap_or_default(), Tone::Dim),
        ]
    });
    Table {
        title: "Ended".to_owned(),
        columns: vec![
            Column::text("session"),
            Column::text("service"),
            Column::text("supplier").if_it_fits(),
            Column::text("outcome"),
            Column::number("relays"),
            Column::number("worth"),
            Column::number("block"),
            Column::text("note").if_it_fits(),
        ],
        rows: rows.collect(),
        empty: "No session was settled yet.",
    }
}

fn tone_of(severity: Severity) -> Tone {
    match severity {
        Severity::Critical => Tone::Bad,
        Severity::Warning => Tone::Warn,
    }
}

/// The name that stands in the JSON.
fn name(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
