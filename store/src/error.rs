use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What went wrong with Redis, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Redis is away, loading, failing over, full or slow: the same call may succeed later.
    #[error("Redis is unavailable: {0}")]
    Unavailable(#[source] RedisError),
    /// The lease that the write showed is no longer ours; whatever we believe about this supplier is stale.
    #[error("the lease is held by another instance")]
    Fenced,
    /// The stored tree is not the one that the write builds on: Redis went back to an older state. What was read from
    /// it before is to be read again.
    #[error("Redis went back to an older state")]
    Diverged,
    /// Too few replicas have a write that must outlive its primary; the primary has it.
    #[error("only {0} replicas have it; redis.wait_replicas says how many must")]
    Unreplicated(u32),
    /// The address, user or password is wrong, or a key holds another type: retrying does not help.
    #[error("Redis refused: {0}")]
    Refused(#[source] RedisError),
    /// A value under `key` is not what this program or the Go peer writes.
    #[error("{key} holds a value that cannot be read: {reason}")]
    Malformed {
        /// The Redis key.
        key: String,
        /// What was wrong with its value.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unreplicated(_))
    }

    pub(crate) fn malformed(key: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Malformed {
            key: key.into(),
            reason: reason.to_string(),
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        match Verdict::of(&error) {
            Verdict::Refuse => Self::Refused(error),
            Verdict::Retry | Verdict::Reconnect => Self::Unavailable(error),
        }
    }
}

/// What a failed call means for the next one. The only place where Redis' errors are told apart.
///
/// A call that is retried may have had its effect already, when only its answer was lost. So whatever is retried is
/// made to have no further effect the second time; a relay that is appended twice counts once in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The server is there but cannot do it now: it loads its file (`LOADING`), is full (`OOM`), could not save
    /// (`MISCONF`), has too few replicas (`NOREPLICAS`), or a slot is on its way (`TRYAGAIN`, `CLUSTERDOWN`). Callers
    /// wait and ask again; a relayer's queue fills meanwhile, and it refuses new relays.
    Retry,
    /// The server is gone, or is no longer the one that may write (`READONLY`, `MOVED`, `UNBLOCKED`): the next call
    /// looks for it anew.
    Reconnect,
    /// The same call fails for ever: a wrong password, a missing permission, a key of another type.
    Refuse,
}

impl Verdict {
    pub fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::Client
            | ErrorKind::RESP3NotSupported
            | ErrorKind::EmptySentinelList
            | ErrorKind::Server(ServerErrorKind::CrossSlot | ServerErrorKind::NoPerm) => Self::Refuse,
            ErrorKind::Io
            | ErrorKind::Parse
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                ServerErrorKind::ReadOnly | ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::MasterDown,
            ) => Self::Reconnect,
            _ => Self::of_code(error.code().unwrap_or_default()),
        }
    }

    /// Errors that the client library has no name for.
    fn of_code(code: &str) -> Self {
        match code {
            "WRONGTYPE" | "NOAUTH" | "WRONGPASS" | "NOGROUP" => Self::Refuse,
            "UNBLOCKED" => Self::Reconnect,
            _ => Self::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_server(line: &str) -> Verdict {
        let answer = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        Verdict::of(&answer.extract_error().unwrap_err())
    }

    #[test]
    fn servers_error_says_what_to_do_next() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Errors writing to the AOF file: No space left on device",
            "NOREPLICAS Not enough good replicas to write.",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "CLUSTERDOWN The cluster is down",
            "BUSY Redis is busy running a script.",
            "NOSCRIPT No matching script.",
        ] {
            assert_eq!(of_server(line), Verdict::Retry, "{line}");
        }
        for line in [
            "READONLY You can't write against a read only replica.",
            "MOVED 3999 127.0.0.1:6381",
            "ASK 3999 127.0.0.1:6381",
            "MASTERDOWN Link with MASTER is down",
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        ] {
            assert_eq!(of_server(line), Verdict::Reconnect, "{line}");
        }
        for line in [
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions to run the 'xadd' command",
            "CROSSSLOT Keys in request don't hash to the same slot",
        ] {
            assert_eq!(of_server(line), Verdict::Refuse, "{line}");
        }
    }

    #[test]
    fn lost_connection_and_silence_look_for_the_server_anew() {
        for kind in [std::io::ErrorKind::TimedOut, std::io::ErrorKind::BrokenPipe] {
            assert_eq!(Verdict::of(&std::io::Error::from(kind).into()), Verdict::Reconnect);
        }
    }
}
