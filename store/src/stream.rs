use std::{fmt, str::FromStr, time::Duration};

use crate::{Store, StoreError, dedicated::Dedicated};
use bytes::Bytes;
use pocket_protocol::SupplierAddress;

/// Id of a stream entry: milliseconds and a counter, ordered as Redis orders them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds when Redis took the entry.
    pub milliseconds: u64,
    /// Counter inside the millisecond.
    pub counter: u64,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.counter)
    }
}

impl FromStr for StreamId {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parsed = text.split_once('-').and_then(|(milliseconds, counter)| {
            Some(Self {
                milliseconds: milliseconds.parse().ok()?,
                counter: counter.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| StoreError::malformed("stream entry id", text))
    }
}

/// One entry of a supplier's stream.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id, to acknowledge it with.
    pub id: StreamId,
    /// The encoded `MinedRelayMessage`; `None` for an entry that was deleted or has no field `data`.
    pub data: Option<Bytes>,
}

// What XREADGROUP answers, per stream: key, entries of (id, fields).
type Entry = (String, Option<Vec<Bytes>>);
type Reply = Option<Vec<(String, Vec<Entry>)>>;

const FIRST: &str = "0-0";

// KEYS: stream. ARGV: group, the consumer that asks, idle milliseconds. In one step, for an entry that goes to a consumer
// just before its end is lost.
const FORGET_CONSUMERS: &str = r"
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for at = 1, #fields, 2 do consumer[fields[at]] = fields[at + 1] end
  if consumer.name ~= ARGV[2] and consumer.pending == 0 and consumer.idle > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
  end
end
";

/// How far [`StreamConsumer::take_over`] has come.
#[derive(Clone, Debug)]
pub struct Pending {
    supplier: SupplierAddress,
    cursor: Option<String>,
}

impl Pending {
    /// All entries of a supplier's stream that somebody read and did not acknowledge.
    pub fn of(supplier: SupplierAddress) -> Self {
        Self {
            supplier,
            cursor: Some(FIRST.to_owned()),
        }
    }
}

/// Reads the streams of the suppliers that one miner owns, as one consumer of the shared group.
///
/// Entries stay pending until [`crate::Store::commit`] acknowledges them together with the tree
/// nodes that hold them, so a crash at any moment only means that they are delivered again.
pub struct StreamConsumer {
    store: Store,
    name: String,
    // Blocking reads hold up everything on their connection, hence one of their own.
    connection: Dedicated,
    block: Duration,
}

impl StreamConsumer {
    /// A consumer named `name`, which waits at most `block` for entries.
    pub fn new(store: Store, name: impl Into<String>, block: Duration) -> Self {
        Self {
            connection: store.dedicated(block),
            store,
            name: name.into(),
            block,
        }
    }

    /// Takes over the next entries, at most `count`, that some consumer (dead, or this one before a
    /// restart) read and did not acknowledge; nothing at the end of `pending`. Creates the supplier's
    /// stream and group where missing. To be called with the supplier's lease in hand: nobody else may
    /// work on them then.
    pub async fn take_over(&self, pending: &mut Pending, count: usize) -> Result<Option<Vec<Delivery>>, StoreError> {
        let Some(cursor) = &pending.cursor else {
            return Ok(None);
        };
        let keys = self.store.keys();
        let (stream, group) = (keys.stream(pending.supplier.as_str()), keys.consumer_group());
        if *cursor == FIRST {
            self.create_group(&stream, &group).await?;
        }
        let mut claim = redis::cmd("XAUTOCLAIM");
        claim.arg(&stream).arg(&group).arg(&self.name).arg(0).arg(cursor);
        claim.arg("COUNT").arg(count);
        let (next, entries, _deleted): (String, Vec<Entry>, Vec<String>) = self.store.query(&claim).await?;
        let deliveries = entries.into_iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
        pending.cursor = (next != FIRST).then_some(next);
        Ok(Some(deliveries))
    }

    /// Whether another consumer holds entries of this stream: one that lost the lease and read on, or whose last read
    /// reached Redis after it had died.
    pub async fn has_strays(&self, supplier: &SupplierAddress) -> Result<bool, StoreError> {
        let keys = self.store.keys();
        let mut info = redis::cmd("XINFO");
        info.arg("CONSUMERS")
            .arg(keys.stream(supplier.as_str()))
            .arg(keys.consumer_group());
        let reply: redis::streams::StreamInfoConsumersReply = self.store.query(&info).await?;
        Ok(reply
            .consumers
            .iter()
            .any(|other| other.name != self.name && other.pending > 0))
    }

    /// Takes consumers off the group that hold no entry and have not read for `idle`: every owner of a supplier is one
    /// of its own. One that reads after all is there again.
    pub async fn forget_consumers(&self, supplier: &SupplierAddress, idle: Duration) -> Result<(), StoreError> {
        let keys = self.store.keys();
        let script = redis::Script::new(FORGET_CONSUMERS);
        let mut call = script.prepare_invoke();
        call.key(keys.stream(supplier.as_str()))
            .arg(keys.consumer_group())
            .arg(&self.name)
            .arg(idle.as_millis() as u64);
        self.store.script(&call).await
    }

    /// Waits for new entries of any of `suppliers`, at most `count` of each. Nothing new is an empty answer. In a
    /// Cluster only one supplier can be waited for.
    ///
    /// Cancel-safe in effect: what Redis handed out to an answer that nobody awaited stays pending,
    /// until [`Self::take_over`] brings it back.
    pub async fn read(
        &mut self,
        suppliers: &[SupplierAddress],
        count: usize,
    ) -> Result<Vec<(SupplierAddress, Vec<Delivery>)>, StoreError> {
        if suppliers.is_empty() {
            tokio::time::sleep(self.block).await;
            return Ok(Vec::new());
        }
        let group = self.store.keys().consumer_group();
        let streams: Vec<String> = suppliers.iter().map(|s| self.store.keys().stream(s.as_str())).collect();
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&group).arg(&self.name).arg("COUNT").arg(count);
        read.arg("BLOCK")
            .arg(self.block.as_millis() as u64)
            .arg("STREAMS")
            .arg(&streams);
        for _ in &streams {
            read.arg(">");
        }
        let answer = self.connection.query(&read).await;
        self.store.metrics().waited("xreadgroup", &answer);
        let reply: Reply = match answer {
            Ok(reply) => reply,
            Err(StoreError::Refused(error)) if error.code() == Some("NOGROUP") => {
                // Redis lost the group (flushed, or restored from an older copy).
                for stream in &streams {
                    self.create_group(stream, &group).await?;
                }
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut batches = Vec::new();
        for (stream, entries) in reply.unwrap_or_default() {
            let Some(position) = streams.iter().position(|known| *known == stream) else {
                continue;
            };
            let deliveries = entries.into_iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
            batches.push((suppliers[position].clone(), deliveries));
        }
        Ok(batches)
    }

    async fn create_group(&self, stream: &str, group: &str) -> Result<(), StoreError> {
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(stream).arg(group).arg("0").arg("MKSTREAM");
        match self.store.query::<()>(&create).await {
            Err(StoreError::Unavailable(error)) if error.code() == Some("BUSYGROUP") => Ok(()),
            other => other,
        }
    }
}

impl Store {
    /// Id of the entry that was appended last to a supplier's stream, even if it was deleted since;
    /// zero when there never was one.
    pub async fn last_entry(&self, supplier: &SupplierAddress) -> Result<StreamId, StoreError> {
        let mut info = redis::cmd("XINFO");
        info.arg("STREAM").arg(self.keys().stream(supplier.as_str()));
        match self.query::<redis::streams::StreamInfoStreamReply>(&info).await {
            Ok(reply) => reply.last_generated_id.parse(),
            // Nobody has appended anything yet.
            Err(StoreError::Unavailable(error)) if error.to_string().contains("no such key") => Ok(StreamId::default()),
            Err(error) => Err(error),
        }
    }

    /// Id of the oldest entry that no tree holds yet; acknowledged ones are deleted.
    pub async fn oldest_entry(&self, supplier: &SupplierAddress) -> Result<Option<StreamId>, StoreError> {
        let mut range = redis::cmd("XRANGE");
        range.arg(self.keys().stream(supplier.as_str())).arg("-").arg("+");
        let entries: Vec<Entry> = self.query(range.arg("COUNT").arg(1)).await?;
        entries.first().map(|(id, _)| id.parse()).transpose()
    }

    /// Number of entries in a supplier's stream: relays that no tree holds yet.
    pub async fn stream_length(&self, supplier: &SupplierAddress) -> Result<u64, StoreError> {
        self.query(redis::cmd("XLEN").arg(self.keys().stream(supplier.as_str())))
            .await
    }
}

fn delivery((id, fields): Entry) -> Result<Delivery, StoreError> {
    let mut fields = fields.unwrap_or_default().into_iter();
    let mut data = None;
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if name == "data" {
            data = Some(value);
        }
    }
    Ok(Delivery { id: id.parse()?, data })
}
