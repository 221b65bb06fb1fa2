use redis::{ErrorKind, RedisError};

/// What went wrong with Redis, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Redis is away, loading, failing over, full or slow: the same call may succeed later.
    #[error("Redis is unavailable: {0}")]
    Unavailable(#[source] RedisError),
    /// The lease that the write showed is no longer ours; whatever we believe about this supplier is stale.
    #[error("the lease is held by another instance")]
    Fenced,
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
        matches!(self, Self::Unavailable(_))
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
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig | ErrorKind::UnexpectedReturnType => {
                Self::Refused(error)
            }
            // A lost group or a wrong type is a server error with a code of its own.
            _ if matches!(
                error.code(),
                Some("WRONGTYPE" | "NOAUTH" | "WRONGPASS" | "NOPERM" | "NOGROUP")
            ) =>
            {
                Self::Refused(error)
            }
            _ => Self::Unavailable(error),
        }
    }
}
