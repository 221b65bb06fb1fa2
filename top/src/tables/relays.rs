//! Relays: services and the servers behind them.

use std::collections::BTreeMap;

use pocket_status::{Latency, Service};

use crate::Snapshot;
use crate::format::{count, ms, rate, words};
use crate::picture::{Column, Span, Table, Tone};

/// One service, over all relayers.
#[derive(Default)]
struct Sum<'a> {
    parts: Vec<&'a Service>,
}

impl Sum<'_> {
    fn count(&self, of: impl Fn(&Service) -> u64) -> u64 {
        self.parts.iter().map(|part| of(part)).sum()
    }

    fn rate(&self, of: impl Fn(&Service) -> f64) -> f64 {
        self.parts.iter().map(|part| of(part)).sum()
    }

    /// Percentiles do not add up: the slowest relayer's.
    fn latency(&self, of: impl Fn(&Latency) -> f64) -> Option<f64> {
        let told = self.parts.iter().filter_map(|part| part.served.latency.as_ref());
        told.map(of).max_by(f64::total_cmp)
    }

    /// What most refusals of the last minute were for.
    fn refusal(&self) -> String {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for reason in self.parts.iter().flat_map(|part| &part.refusals) {
            *reasons.entry(&reason.reason).or_default() += reason.last_1m;
        }
        let most = reasons
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .filter(|(_, count)| *count > 0);
        most.map_or_else(String::new, |(reason, count_)| {
            format!("{} ({})", words(reason), count(count_))
        })
    }
}

/// Relays by service.
pub(crate) fn services(snapshot: &Snapshot) -> Table {
    let mut by_service: BTreeMap<&str, Sum<'_>> = BTreeMap::new();
    for service in snapshot.relayers.iter().flat_map(|heard| &heard.status.services) {
        by_service.entry(&service.service).or_default().parts.push(service);
    }
    let rows = by_service.into_iter().map(|(service, sum)| {
        let refused = sum.rate(|part| part.served.refused_per_second.last_1m);
        vec![
            Span::plain(service),
            Span::new(
                rate(sum.rate(|part| part.served.answered_per_second.last_10s)),
                Tone::Strong,
            ),
            Span::plain(rate(sum.rate(|part| part.served.answered_per_second.last_1m))),
            Span::plain(count(sum.count(|part| part.served.answered))),
            Span::new(
                count(sum.count(|part| part.served.refused)),
                if refused > 0.0 { Tone::Warn } else { Tone::Plain },
            ),
            Span::plain(ms(sum.latency(|latency| latency.p50_ms))),
            Span::plain(ms(sum.latency(|latency| latency.p90_ms))),
            Span::plain(ms(sum.latency(|latency| latency.p99_ms))),
            Span::plain(count(sum.count(|part| part.in_flight))),
            Span::new(sum.refusal(), Tone::Warn),
        ]
    });
    Table {
        title: "Services".to_owned(),
        columns: vec![
            Column::text("service"),
            Column::number("a second"),
            Column::number("over 1 min").if_it_fits(),
            Column::number("answered"),
            Column::number("refused"),
            Column::number("p50"),
            Column::number("p90").if_it_fits(),
            Column::number("p99"),
            Column::number("in flight").if_it_fits(),
            Column::text("refused now for").if_it_fits(),
        ],
        rows: rows.collect(),
        empty: "No relayer was asked.",
    }
}

/// Servers behind services, unwell ones first.
pub(crate) fn backends(snapshot: &Snapshot) -> Table {
    let mut rows = Vec::new();
    for heard in &snapshot.relayers {
        for service in &heard.status.services {
            for backend in &service.backends {
                let is_well = backend.state == "closed";
                let (state, tone) = match backend.state.as_str() {
                    "closed" => ("healthy".to_owned(), Tone::Good),
                    "half_open" => ("half open".to_owned(), Tone::Warn),
                    other => (words(other), Tone::Bad),
                };
                let row = vec![
                    Span::plain(&*backend.name),
                    Span::plain(&*service.service),
                    Span::plain(&*backend.rpc_type),
                    Span::new(state, tone),
                    Span::plain(ms(backend.latency_ms)),
                    Span::plain(count(backend.in_flight)),
                    Span::new(&*heard.from, Tone::Dim),
                ];
                rows.push((is_well, row));
            }
        }
    }
    rows.sort_by_key(|(is_well, _)| *is_well);
    Table {
        title: "Backends".to_owned(),
        columns: vec![
            Column::text("backend"),
            Column::text("service"),
            Column::text("type"),
            Column::text("state"),
            Column::number("latency"),
            Column::number("in flight").if_it_fits(),
            Column::text("seen by").if_it_fits(),
        ],
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        empty: "None.",
    }
}
