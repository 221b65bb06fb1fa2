//! What a snapshot has to show, as tables.

mod relays;
mod sessions;

use pocket_status::{Chain, Process, Rate, Redis};

use crate::Snapshot;
use crate::format::{bytes, count, money, ms, rate, time};
use crate::picture::{Column, Line, Span, Table, Tone};

pub(crate) use relays::{backends, services};
pub(crate) use sessions::{ends, risks, sessions, suppliers};

/// The sums that matter most, in a line each.
pub(crate) fn sums(snapshot: &Snapshot) -> Vec<Line> {
    let mut lines = Vec::new();
    let strong = |text: String| Span::new(text, Tone::Strong);
    if !snapshot.relayers.is_empty() {
        let relays = || snapshot.relayers.iter().map(|heard| &heard.status.relays);
        let sum = |of: fn(&pocket_status::Relays) -> f64| rate(relays().map(of).sum());
        let in_flight = relays().map(|relays| relays.in_flight).sum();
        lines.push(Line::of([
            strong(sum(|relays| relays.served.answered_per_second.last_10s)),
            Span::plain(" relays a second answered, "),
            strong(sum(|relays| relays.served.refused_per_second.last_10s)),
            Span::plain(format!(" refused, {} in flight", count(in_flight))),
        ]));
    }
    if !snapshot.miners.is_empty() {
        let totals = || snapshot.miners.iter().map(|heard| &heard.status.totals);
        let sum = |of: fn(&pocket_status::MinerTotals) -> u64| totals().map(of).sum::<u64>();
        let at_risk = sum(|totals| totals.at_risk_upokt);
        let tone = if at_risk > 0 { Tone::Bad } else { Tone::Strong };
        lines.push(Line::of([
            strong(money(Some(sum(|totals| totals.expected_upokt)))),
            Span::plain(format!(
                " expected in {} sessions, ",
                count(sum(|totals| totals.sessions))
            )),
            Span::new(money(Some(at_risk)), tone),
            Span::plain(" at risk, "),
            strong(money(Some(sum(|totals| totals.earned_upokt)))),
            Span::plain(" earned since start"),
        ]));
        lines.push(Line::of([
            Span::plain("claims "),
            strong(count(sum(|totals| totals.claims))),
            Span::plain(format!(
                " ({} under way), proofs ",
                count(sum(|totals| totals.claims_under_way))
            )),
            strong(count(sum(|totals| totals.proofs))),
            Span::plain(format!(
                " ({} under way), ",
                count(sum(|totals| totals.proofs_under_way))
            )),
            strong(count(sum(|totals| totals.failed))),
            Span::plain(" sessions failed"),
        ]));
    }
    lines
}

/// Everybody who was asked.
pub(crate) fn processes(snapshot: &Snapshot) -> Table {
    let relayers = snapshot.relayers.iter().map(|heard| {
        let status = &heard.status;
        let pace = status.relays.served.answered_per_second;
        let what = (&status.process, &status.chain, &status.redis);
        process("relayer", &heard.from, &status.not_ready, what, pace, String::new())
    });
    let miners = snapshot.miners.iter().map(|heard| {
        let status = &heard.status;
        let lead = if status.leader { " (leader)" } else { "" };
        let what = (&status.process, &status.chain, &status.redis);
        let name = format!("{}{lead}", status.instance);
        process(
            "miner",
            &heard.from,
            &status.not_ready,
            what,
            status.totals.relays_per_second,
            name,
        )
    });
    let away = snapshot.away.iter().map(|heard| {
        let mut row = vec![
            Span::new("?", Tone::Bad),
            Span::plain(&*heard.from),
            Span::new("no answer", Tone::Bad),
        ];
        row.resize(8, Span::default());
        row.push(Span::new(&*heard.status, Tone::Bad));
        row
    });
    Table {
        title: "Processes".to_owned(),
        columns: vec![
            Column::text(""),
            Column::text("at"),
            Column::text("ready"),
            Column::number("a second"),
            Column::number("block"),
            Column::number("lag").if_it_fits(),
            Column::number("Redis").if_it_fits(),
            Column::number("up").if_it_fits(),
            Column::text(""),
        ],
        rows: relayers.chain(miners).chain(away).collect(),
        empty: "Nobody was asked.",
    }
}

fn process(
    kind: &'static str,
    from: &str,
    not_ready: &[String],
    (process, chain, redis): (&Process, &Chain, &Redis),
    pace: Rate,
    name: String,
) -> Vec<Span> {
    let is_ready = not_ready.is_empty();
    let note = if is_ready {
        Span::new(name, Tone::Dim)
    } else {
        Span::new(not_ready.join("; "), Tone::Bad)
    };
    let lag = chain
        .block_age_seconds
        .map_or_else(|| "–".to_owned(), |age| time(age.max(0.0) as u64));
    vec![
        Span::plain(kind),
        Span::plain(from),
        if is_ready {
            Span::new("ready", Tone::Good)
        } else {
            Span::new("not ready", Tone::Bad)
        },
        Span::plain(rate(pace.last_10s)),
        Span::plain(count(u64::try_from(chain.height).unwrap_or(0))),
        Span::plain(lag),
        if redis.reachable {
            Span::plain(ms(redis.round_trip_ms))
        } else {
            Span::new("away", Tone::Bad)
        },
        Span::plain(time(process.uptime_seconds)),
        note,
    ]
}

/// What Redis says, if it was asked.
pub(crate) fn redis(snapshot: &Snapshot) -> Vec<Line> {
    let Some(redis) = &snapshot.redis else {
        return Vec::new();
    };
    let most = if redis.max_memory > 0 {
        format!(" of {}", bytes(redis.max_memory))
    } else {
        String::new()
    };
    let mut spans = vec![
        Span::new("Redis", Tone::Strong),
        Span::plain(format!(
            "  {}, {}{most}",
            ms(Some(redis.round_trip_ms)),
            bytes(redis.used_memory)
        )),
    ];
    if !redis.append_only {
        spans.push(Span::new(", no append-only file", Tone::Warn));
    }
    if redis.evicts {
        spans.push(Span::new(", drops keys when full", Tone::Bad));
    }
    let leader = redis.leader.as_deref().unwrap_or("nobody");
    spans.push(Span::plain(format!(
        "; leader: {leader}; relayers: {}",
        redis.relayers.len()
    )));
    if !redis.silent_relayers.is_empty() {
        spans.push(Span::new(
            format!(", silent: {}", redis.silent_relayers.join(", ")),
            Tone::Warn,
        ));
    }
    vec![Line::of(spans)]
}
