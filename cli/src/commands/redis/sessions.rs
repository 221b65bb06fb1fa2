//! `relay-miner redis sessions`.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use pocket_protocol::{SessionId, SupplierAddress};
use pocket_store::SessionState;
use serde::Serialize;
use serde_json::{Map, Value};

use super::target::Target;
use super::words::count;
use crate::output::{BAD, Cell, DIM, GOOD, Output, Table, WARN};

#[derive(clap::Args)]
#[command(after_help = format!("Examples:\n  relay-miner redis sessions --state active\n  relay-miner redis sessions --supplier pokt1…\n\nStates: {}", SessionState::ALL.map(SessionState::as_str).join(", ")))]
pub struct Arguments {
    /// Sessions of this supplier [default: of all]
    #[arg(long, value_name = "ADDRESS")]
    supplier: Option<SupplierAddress>,
    /// All that is known of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Sessions in this state only
    #[arg(long)]
    state: Option<String>,
    /// The same as --output json
    #[arg(long)]
    json: bool,
}

/// A session's record, as it is stored: numbers as numbers, roots in hex.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Record(Map<String, Value>);

/// Fields that hold numbers.
const NUMBERS: [&str; 5] = [
    "relay_count",
    "total_compute_units",
    "session_start_height",
    "session_end_height",
    "settlement_height",
];

impl Record {
    fn of(fields: BTreeMap<String, Bytes>) -> Self {
        let value = |name: &str, bytes: &Bytes| {
            if name == "claimed_root_hash" {
                return Value::from(hex::encode(bytes));
            }
            let text = String::from_utf8_lossy(bytes).into_owned();
            match text.parse::<u64>() {
                Ok(number) if NUMBERS.contains(&name) => number.into(),
                _ => text.into(),
            }
        };
        let fields = fields.into_iter().filter(|(_, bytes)| !bytes.is_empty());
        Self(
            fields
                .map(|(name, bytes)| {
                    let value = value(&name, &bytes);
                    (name, value)
                })
                .collect(),
        )
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub fn number(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    pub fn state(&self) -> &str {
        self.text("state").unwrap_or("unknown")
    }

    fn order(&self) -> (u64, Option<&str>, Option<&str>) {
        let supplier = self.text("supplier_operator_address");
        (self.number("session_end_height"), supplier, self.text("session_id"))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.keys().map(String::len).max().unwrap_or(0);
        for (place, (name, value)) in self.0.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            match value {
                Value::String(text) => write!(f, "{DIM}{name:<width$}{DIM:#}  {text}")?,
                other => write!(f, "{DIM}{name:<width$}{DIM:#}  {other}")?,
            }
        }
        Ok(())
    }
}

/// A state in the colour of what it means for the operator.
fn state_cell(state: &str) -> Cell {
    let style = match state.parse() {
        Ok(SessionState::Proved | SessionState::ProbabilisticProved) => GOOD,
        Ok(SessionState::Claiming | SessionState::Proving) => WARN,
        Ok(SessionState::Active | SessionState::Claimed | SessionState::ClaimSkipped) => return state.into(),
        Ok(_) | Err(_) => BAD,
    };
    Cell::from(state).styled(style)
}

#[derive(Serialize)]
#[serde(transparent)]
struct Sessions(Vec<Record>);

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "SUPPLIER", "SERVICE", "STATE", "RELAYS", "UNITS", "START", "END", "SESSION",
        ]);
        for record in &self.0 {
            table.row([
                Cell::or_dash(record.text("supplier_operator_address")),
                Cell::or_dash(record.text("service_id")),
                state_cell(record.state()),
                record.number("relay_count").into(),
                record.number("total_compute_units").into(),
                record.number("session_start_height").into(),
                record.number("session_end_height").into(),
                Cell::or_dash(record.text("session_id")),
            ]);
        }
        write!(f, "{table}\n{DIM}{}{DIM:#}", count(self.0.len(), "session"))
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let output = output.or_json(arguments.json);
    let suppliers = match &arguments.supplier {
        Some(supplier) => vec![supplier.clone()],
        None => target.store.suppliers_with_sessions().await?,
    };
    let Some(session) = &arguments.session else {
        let mut records = Vec::new();
        for supplier in &suppliers {
            records.extend(of_supplier(target, supplier, arguments.state.as_deref()).await?);
        }
        records.sort_by(|a, b| a.order().cmp(&b.order()));
        output.print(&Sessions(records))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut found = Vec::new();
    for supplier in &suppliers {
        let fields = target
            .store
            .session_fields(supplier, &SessionId::from(session.as_str()))
            .await?;
        found.extend(fields.map(Record::of));
    }
    match (found.len(), arguments.supplier.is_some()) {
        (0, _) => bail!("no record of session {session}; records go some time after the settlement"),
        (1, true) => output.print(&found[0])?,
        _ => output.print(&Sessions(found))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A supplier's records, of those in one state if that is given.
pub async fn of_supplier(
    target: &Target,
    supplier: &SupplierAddress,
    state: Option<&str>,
) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for session in target.store.session_ids(supplier, state).await? {
        let fields = target.store.session_fields(supplier, &session).await;
        let fields = fields.with_context(|| format!("the record of session {session}"))?;
        records.extend(fields.map(Record::of));
    }
    Ok(records)
}
