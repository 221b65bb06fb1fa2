use std::path::PathBuf;
use std::time::Duration;

use crate::codec::{Path, Whole};
use crate::duration::Seconds;
use crate::reader::Fields;

/// `relay_log`: where mined relays lie on disk until Redis has them. Ours alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayLogConfig {
    /// `dir`: the log's folder, of one relayer alone. Without it there is no log.
    pub dir: PathBuf,
    /// `max_bytes`: when the log has grown to this, relays that do not fit into memory are refused; 1 GiB.
    pub max_bytes: u64,
    /// `max_outage_seconds`: how long relays are served while Redis is away, and how long miners wait for a relayer
    /// that is silent, unless a claim falls due; 10 min.
    pub max_outage: Duration,
}

/// Reads the section; nothing without a folder.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<RelayLogConfig> {
    let dir = fields.optional::<Path>("dir");
    let max_bytes = fields.or::<Whole<u64, 1_048_576, { i64::MAX as u64 }>>("max_bytes", 1 << 30);
    let max_outage = fields.or::<Seconds<10>>("max_outage_seconds", Duration::from_mins(10));
    dir.map(|dir| RelayLogConfig {
        dir,
        max_bytes,
        max_outage,
    })
}
