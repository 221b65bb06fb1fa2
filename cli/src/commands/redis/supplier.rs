//! `relay-miner redis supplier`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::ArgGroup;
use pocket_protocol::SupplierAddress;
use pocket_store::SupplierEntry;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::leader::instance;
use super::target::Target;
use super::words::{count, left, seconds};
use crate::output::{BAD, BOLD, Cell, DIM, GOOD, Output, Table, WARN};

#[derive(clap::Args)]
#[command(group = ArgGroup::new("what").args(["supplier", "list", "claims"]))]
#[command(
    after_help = "Examples:\n  relay-miner redis supplier\n  relay-miner redis supplier --list\n  relay-miner redis supplier --supplier pokt1…"
)]
pub struct Arguments {
    /// All that is known of this supplier
    #[arg(long, value_name = "ADDRESS")]
    supplier: Option<SupplierAddress>,
    /// All suppliers and their stakes
    #[arg(long)]
    list: bool,
    /// Which miner works which supplier; this is the default
    #[arg(long)]
    claims: bool,
}

/// A supplier as the registry and the leases tell it.
#[derive(Serialize)]
struct Supplier {
    address: String,
    #[serde(flatten)]
    entry: Option<SupplierEntry>,
    /// The miner that works it.
    miner: Option<String>,
    #[serde(rename = "lease_ttl_seconds", serialize_with = "seconds")]
    lease: Option<Duration>,
}

impl Supplier {
    fn is_staked(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.staked)
    }

    fn status(&self) -> Cell {
        match &self.entry {
            None => Cell::from("unknown").styled(DIM),
            Some(entry) if entry.staked => Cell::from(word(entry)).styled(GOOD),
            Some(entry) => Cell::from(word(entry)).styled(BAD),
        }
    }

    fn services(&self) -> Option<String> {
        let services = &self.entry.as_ref()?.services;
        (!services.is_empty()).then(|| services.join(", "))
    }

    fn updated(&self) -> Option<String> {
        let at = self.entry.as_ref()?.last_updated;
        let at = OffsetDateTime::from_unix_timestamp(at).ok().filter(|_| at > 0)?;
        at.format(&Rfc3339).ok()
    }
}

fn word(entry: &SupplierEntry) -> String {
    let status = serde_json::to_value(entry.status).ok();
    let status = status.as_ref().and_then(serde_json::Value::as_str);
    status.unwrap_or("unknown").replace('_', " ")
}

impl fmt::Display for Supplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{BOLD}{}{BOLD:#}", self.address)?;
        let mut row = |name: &str, value: Option<String>| {
            let value = value.filter(|value| !value.is_empty());
            writeln!(f, "{DIM}{name:<9}{DIM:#}  {}", value.as_deref().unwrap_or("-"))
        };
        let entry = self.entry.as_ref();
        row("status", entry.map(word))?;
        row("owner", entry.map(|entry| entry.owner_address.clone()))?;
        row("services", self.services())?;
        row("updated", self.updated())?;
        row("by", entry.map(|entry| entry.updated_by.clone()))?;
        match &self.miner {
            Some(miner) => write!(f, "{DIM}worked by{DIM:#}  {miner}, lease ends: {}", left(self.lease)),
            None => write!(f, "{DIM}worked by{DIM:#}  {WARN}nobody{WARN:#}"),
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct List(Vec<Supplier>);

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["SUPPLIER", "STATUS", "SERVICES", "UPDATED"]);
        for supplier in &self.0 {
            table.row([
                supplier.address.as_str().into(),
                supplier.status(),
                Cell::or_dash(supplier.services()),
                Cell::or_dash(supplier.updated()),
            ]);
        }
        let staked = self.0.iter().filter(|supplier| supplier.is_staked()).count();
        write!(
            f,
            "{table}\n{DIM}{}, {staked} staked{DIM:#}",
            count(self.0.len(), "supplier")
        )
    }
}

/// Who works what.
#[derive(Serialize)]
struct Claims {
    /// Those that said so and did not die since, with what they work.
    miners: BTreeMap<String, Vec<String>>,
    staked: usize,
    not_staked: usize,
    /// Staked, and worked by nobody.
    unclaimed: Vec<String>,
    suppliers: Vec<Supplier>,
}

impl fmt::Display for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["SUPPLIER", "STATUS", "MINER", "LEASE ENDS"]);
        for supplier in &self.suppliers {
            table.row([
                supplier.address.as_str().into(),
                supplier.status(),
                Cell::or_dash(supplier.miner.as_ref()),
                Cell::or_dash(supplier.miner.as_ref().map(|_| left(supplier.lease))),
            ]);
        }
        writeln!(f, "{table}\n")?;
        let mut table = Table::new(["MINER", "SUPPLIERS"]);
        for (miner, suppliers) in &self.miners {
            table.row([miner.as_str().into(), (suppliers.len() as u64).into()]);
        }
        write!(
            f,
            "{table}\n{DIM}{} staked, {} not{DIM:#}",
            self.staked, self.not_staked
        )?;
        if !self.unclaimed.is_empty() {
            let what = count(self.unclaimed.len(), "staked supplier");
            write!(f, "\n{WARN}{what} worked by nobody{WARN:#}")?;
        }
        Ok(())
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let mut suppliers = all(target).await?;
    if let Some(wanted) = &arguments.supplier {
        let Some(supplier) = suppliers.into_iter().find(|one| one.address == wanted.as_str()) else {
            bail!("{wanted} is not in the registry; miners write it when they start");
        };
        output.print(&supplier)?;
    } else if arguments.list {
        output.print(&List(suppliers))?;
    } else {
        let mut miners: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for miner in target.store.active_miners().await? {
            miners.entry(miner).or_default();
        }
        for supplier in &suppliers {
            if let Some(miner) = &supplier.miner {
                miners.entry(miner.clone()).or_default().push(supplier.address.clone());
            }
        }
        suppliers.sort_by(|a, b| (&a.miner, &a.address).cmp(&(&b.miner, &b.address)));
        let unclaimed = suppliers.iter().filter(|one| one.is_staked() && one.miner.is_none());
        output.print(&Claims {
            unclaimed: unclaimed.map(|one| one.address.clone()).collect(),
            staked: suppliers.iter().filter(|one| one.is_staked()).count(),
            not_staked: suppliers.iter().filter(|one| !one.is_staked()).count(),
            miners,
            suppliers,
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All that the registry or a lease names, by address.
async fn all(target: &Target) -> anyhow::Result<Vec<Supplier>> {
    let (mut entries, mut leases) = tokio::try_join!(target.store.suppliers(), target.store.supplier_leases())?;
    let addresses: BTreeSet<String> = entries.keys().chain(leases.keys()).cloned().collect();
    let suppliers = addresses.into_iter().map(|address| {
        let (miner, lease) = leases.remove(&address).unzip();
        Supplier {
            entry: entries.remove(&address),
            miner: miner.map(|token: String| instance(&token).to_owned()),
            lease: lease.flatten(),
            address,
        }
    });
    Ok(suppliers.collect())
}
