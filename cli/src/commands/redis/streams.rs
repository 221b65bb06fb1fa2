//! `relay-miner redis streams`.

use std::fmt;
use std::process::ExitCode;

use clap::ArgGroup;
use pocket_protocol::SupplierAddress;
use pocket_store::{GroupInfo, StreamContents, StreamEntry};
use serde::Serialize;

use super::target::Target;
use super::words::count;
use crate::output::{BOLD, Cell, DIM, Output, Table};

#[derive(clap::Args)]
#[command(group = ArgGroup::new("which").required(true).args(["supplier", "all"]))]
#[command(
    after_help = "Examples:\n  relay-miner redis streams --all\n  relay-miner redis streams --supplier pokt1… --limit 3"
)]
pub struct Arguments {
    /// Stream of this supplier
    #[arg(long, value_name = "ADDRESS")]
    supplier: Option<SupplierAddress>,
    /// All streams
    #[arg(long)]
    all: bool,
    /// Newest entries to show of a supplier's stream
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
}

#[derive(Serialize)]
struct Stream {
    key: String,
    length: u64,
    groups: Vec<Group>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    newest: Vec<Entry>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    consumers: u64,
    pending: u64,
    lag: Option<u64>,
    last_delivered_id: String,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    bytes: usize,
    session_id: Option<String>,
    service_id: Option<String>,
    session_end_height: Option<i64>,
    arrival_height: Option<i64>,
}

impl From<GroupInfo> for Group {
    fn from(group: GroupInfo) -> Self {
        Self {
            name: group.name,
            consumers: group.consumers,
            pending: group.pending,
            lag: group.lag,
            last_delivered_id: group.last_delivered,
        }
    }
}

impl From<StreamEntry> for Entry {
    fn from(entry: StreamEntry) -> Self {
        let message = entry.message.as_ref();
        Self {
            session_id: message.map(|message| message.session_id.clone()),
            service_id: message.map(|message| message.service_id.clone()),
            session_end_height: message.map(|message| message.session_end_height),
            arrival_height: message.map(|message| message.arrival_block_height),
            bytes: entry.bytes,
            id: entry.id,
        }
    }
}

impl Stream {
    fn of(stream: StreamContents, newest: Vec<StreamEntry>) -> Self {
        Self {
            key: stream.key,
            length: stream.length,
            groups: stream.groups.into_iter().map(Group::from).collect(),
            newest: newest.into_iter().map(Entry::from).collect(),
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = count(self.length as usize, "relay");
        write!(f, "{BOLD}{}{BOLD:#}\n{waiting} that no tree holds yet", self.key)?;
        if !self.groups.is_empty() {
            let mut table = Table::new(["GROUP", "CONSUMERS", "PENDING", "UNREAD", "LAST READ"]);
            for group in &self.groups {
                table.row([
                    group.name.as_str().into(),
                    group.consumers.into(),
                    group.pending.into(),
                    Cell::or_dash(group.lag),
                    group.last_delivered_id.as_str().into(),
                ]);
            }
            write!(f, "\n\n{table}")?;
        }
        if !self.newest.is_empty() {
            let mut table = Table::new(["NEWEST", "BYTES", "SERVICE", "ENDS", "SESSION"]);
            for entry in &self.newest {
                table.row([
                    entry.id.as_str().into(),
                    (entry.bytes as u64).into(),
                    Cell::or_dash(entry.service_id.as_ref()),
                    Cell::or_dash(entry.session_end_height),
                    Cell::or_dash(entry.session_id.as_ref()),
                ]);
            }
            write!(f, "\n\n{table}")?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Streams(Vec<Stream>);

impl fmt::Display for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["STREAM", "RELAYS", "PENDING", "GROUPS"]);
        for stream in &self.0 {
            let pending: u64 = stream.groups.iter().map(|group| group.pending).sum();
            table.row([
                stream.key.as_str().into(),
                stream.length.into(),
                pending.into(),
                (stream.groups.len() as u64).into(),
            ]);
        }
        write!(f, "{table}\n{DIM}{}{DIM:#}", count(self.0.len(), "stream"))
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let store = &target.store;
    let Some(supplier) = &arguments.supplier else {
        let mut streams = Vec::new();
        for key in store.find_keys([store.keys().streams()], |_| ()).await? {
            let stream = store.stream_contents(&key).await?;
            streams.extend(stream.map(|stream| Stream::of(stream, Vec::new())));
        }
        output.print(&Streams(streams))?;
        return Ok(ExitCode::SUCCESS);
    };
    let key = store.keys().stream(supplier.as_str());
    let Some(stream) = store.stream_contents(&key).await? else {
        anyhow::bail!("there is no stream {key}: no relayer has served for this supplier yet");
    };
    let newest = store.newest_entries(&key, arguments.limit).await?;
    output.print(&Stream::of(stream, newest))?;
    Ok(ExitCode::SUCCESS)
}
