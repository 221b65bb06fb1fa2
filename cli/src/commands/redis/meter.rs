//! `relay-miner redis meter`.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use pocket_protocol::{AppAddress, ServiceId};
use pocket_store::MeterRecord;
use serde::Serialize;

use super::target::Target;
use super::words::{count, left, seconds};
use crate::output::{BAD, Cell, DIM, GOOD, Output, Table, WARN};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  relay-miner redis meter --all\n  relay-miner redis meter --app pokt1…")]
pub struct Arguments {
    /// Meters of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Meters of this application
    #[arg(long, value_name = "ADDRESS")]
    app: Option<AppAddress>,
    /// Meters of this service
    #[arg(long, value_name = "ID")]
    service: Option<ServiceId>,
    /// All meters; this is the default
    #[arg(long, conflicts_with_all = ["session", "app", "service"])]
    all: bool,
}

#[derive(Serialize)]
struct Meters {
    /// Parts of an application's stake that one session may use, as miners told them; `default` for services without.
    service_factors: BTreeMap<String, f64>,
    meters: Vec<Meter>,
}

/// What is spent of one session's budget with one supplier.
#[derive(Serialize)]
struct Meter {
    session_id: String,
    supplier: String,
    consumed_upokt: u64,
    /// What the budget was computed from; none if that record is gone.
    record: Option<MeterRecord>,
    #[serde(rename = "ttl_seconds", serialize_with = "seconds")]
    ttl: Option<Duration>,
}

impl Meter {
    fn used(&self) -> Option<u64> {
        let limit = u64::try_from(self.record.as_ref()?.max_stake_upokt).ok()?;
        (limit > 0).then(|| self.consumed_upokt.saturating_mul(100) / limit)
    }

    fn used_cell(&self) -> Cell {
        let Some(used) = self.used() else {
            return Cell::or_dash(None::<&str>);
        };
        let style = match used {
            0..=79 => GOOD,
            80..=99 => WARN,
            _ => BAD,
        };
        Cell::from(format!("{used} %")).styled(style)
    }
}

impl fmt::Display for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["SERVICE", "CONSUMED", "LIMIT", "USED", "EXPIRES", "SUPPLIER", "SESSION"]);
        for meter in &self.meters {
            let record = meter.record.as_ref();
            table.row([
                Cell::or_dash(record.map(|record| &record.service_id)),
                meter.consumed_upokt.into(),
                Cell::or_dash(record.map(|record| record.max_stake_upokt)),
                meter.used_cell(),
                left(meter.ttl).into(),
                meter.supplier.as_str().into(),
                meter.session_id.as_str().into(),
            ]);
        }
        write!(
            f,
            "{table}\n{DIM}{}, in upokt{DIM:#}",
            count(self.meters.len(), "meter")
        )?;
        for (service, factor) in &self.service_factors {
            write!(f, "\n{DIM}factor of {service}{DIM:#}  {factor}")?;
        }
        Ok(())
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let meters = meters(target, arguments.session.as_deref()).await?;
    let is_wanted = |meter: &Meter| {
        let record = meter.record.as_ref();
        let has = |wanted: Option<&str>, value: fn(&MeterRecord) -> &String| {
            wanted.is_none_or(|wanted| record.is_some_and(|record| value(record) == wanted))
        };
        has(arguments.app.as_ref().map(AppAddress::as_str), |record| {
            &record.app_address
        }) && has(arguments.service.as_ref().map(ServiceId::as_str), |record| {
            &record.service_id
        })
    };
    output.print(&Meters {
        service_factors: factors(target).await?,
        meters: meters.into_iter().filter(is_wanted).collect(),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn meters(target: &Target, session: Option<&str>) -> anyhow::Result<Vec<Meter>> {
    let store = &target.store;
    let pattern = store.keys().meters(&target.meter_prefix, session);
    let keys = store.find_keys([pattern], |_| ()).await?;
    let mut found: BTreeMap<(String, String), Meter> = BTreeMap::new();
    for (key, value) in store.values(&keys).await? {
        // prefix:meter:session:supplier:consumed or meta
        let mut parts = key.rsplitn(4, ':');
        let (Some(part), Some(supplier), Some(session)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let supplier = supplier.trim_matches(['{', '}']);
        let meter = found
            .entry((session.to_owned(), supplier.to_owned()))
            .or_insert_with(|| Meter {
                session_id: session.to_owned(),
                supplier: supplier.to_owned(),
                consumed_upokt: 0,
                record: None,
                ttl: value.ttl,
            });
        match part {
            "consumed" => {
                let text = std::str::from_utf8(&value.bytes).ok();
                meter.consumed_upokt = text.and_then(|text| text.parse().ok()).unwrap_or_default();
            }
            "meta" => meter.record = serde_json::from_slice(&value.bytes).ok(),
            _ => {}
        }
    }
    Ok(found.into_values().collect())
}

async fn factors(target: &Target) -> anyhow::Result<BTreeMap<String, f64>> {
    let store = &target.store;
    let keys = store.find_keys([store.keys().service_factors()], |_| ()).await?;
    let factors = store.values(&keys).await?.into_iter().filter_map(|(key, value)| {
        let told: serde_json::Value = serde_json::from_slice(&value.bytes).ok()?;
        let service = key.rsplit(':').next()?.to_owned();
        Some((service, told.get("factor")?.as_f64()?))
    });
    Ok(factors.collect())
}
