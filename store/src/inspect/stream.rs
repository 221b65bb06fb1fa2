//! A stream from outside: length, groups, newest entries.

use std::collections::HashMap;

use bytes::Bytes;
use pocket_proto::pocket::ha::MinedRelayMessage;
use prost::Message as _;

use crate::{Store, StoreError};

/// A supplier's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamContents {
    /// Its key.
    pub key: String,
    /// Relays that no tree holds yet.
    pub length: u64,
    /// Who reads it.
    pub groups: Vec<GroupInfo>,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// Its readers, those included that are gone.
    pub consumers: u64,
    /// Entries that were read and not acknowledged.
    pub pending: u64,
    /// Entries that nobody has read; `None` if Redis cannot tell.
    pub lag: Option<u64>,
    /// The entry that was read last.
    pub last_delivered: String,
}

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEntry {
    /// Its id.
    pub id: String,
    /// Bytes of all its values.
    pub bytes: usize,
    /// What it says; `None` for what is no mined relay.
    pub message: Option<MinedRelayMessage>,
}

impl Store {
    /// A stream's length and groups; `None` if there is no such stream.
    pub async fn stream_contents(&self, key: &str) -> Result<Option<StreamContents>, StoreError> {
        if !self.query::<bool>(redis::cmd("EXISTS").arg(key)).await? {
            return Ok(None);
        }
        let length = self.query(redis::cmd("XLEN").arg(key)).await?;
        let mut info = redis::cmd("XINFO");
        info.arg("GROUPS").arg(key);
        let groups: Vec<HashMap<String, redis::Value>> = self.query(&info).await?;
        Ok(Some(StreamContents {
            key: key.to_owned(),
            length,
            groups: groups.into_iter().map(group).collect(),
        }))
    }

    /// The newest entries of a stream, the newest first, at most so many.
    pub async fn newest_entries(&self, key: &str, most: usize) -> Result<Vec<StreamEntry>, StoreError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut range = redis::cmd("XREVRANGE");
        range.arg(key).arg("+").arg("-").arg("COUNT").arg(most);
        let entries: Vec<(String, Vec<Bytes>)> = self.query(&range).await?;
        Ok(entries.into_iter().map(|(id, fields)| entry(id, &fields)).collect())
    }
}

fn group(mut fields: HashMap<String, redis::Value>) -> GroupInfo {
    let mut number = |name: &str| {
        let value = fields.remove(name)?;
        redis::from_redis_value::<Option<u64>>(value).ok().flatten()
    };
    let (consumers, pending, lag) = (number("consumers"), number("pending"), number("lag"));
    let mut text = |name: &str| {
        let value = fields.remove(name);
        value
            .and_then(|value| redis::from_redis_value(value).ok())
            .unwrap_or_default()
    };
    GroupInfo {
        name: text("name"),
        last_delivered: text("last-delivered-id"),
        consumers: consumers.unwrap_or_default(),
        pending: pending.unwrap_or_default(),
        lag,
    }
}

fn entry(id: String, fields: &[Bytes]) -> StreamEntry {
    let mut pairs = fields.chunks_exact(2);
    let data = pairs.clone().find(|pair| pair[0] == "data").map(|pair| pair[1].clone());
    StreamEntry {
        id,
        bytes: pairs.by_ref().map(|pair| pair[1].len()).sum(),
        message: data.and_then(|data| MinedRelayMessage::decode(data).ok()),
    }
}
