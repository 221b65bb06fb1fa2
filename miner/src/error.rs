use pocket_protocol::SessionId;
use pocket_smst::LoadError;
use pocket_store::StoreError;

/// Why a worker stopped before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// Another miner has the supplier now.
    #[error("another instance took the supplier over")]
    Fenced,
    /// Redis holds something that cannot be worked with, or refuses us.
    #[error(transparent)]
    Store(StoreError),
    /// A session's stored tree is damaged.
    #[error("the tree of session {session} cannot be read: {reason}")]
    Tree {
        /// The session.
        session: SessionId,
        /// What is wrong.
        reason: String,
    },
    /// We were told to stop while waiting for Redis.
    #[error("stopped")]
    Stopped,
}

impl WorkError {
    pub(crate) fn tree(session: &SessionId, reason: impl std::fmt::Display) -> Self {
        Self::Tree {
            session: session.clone(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn load(session: &SessionId, error: LoadError<StoreError>) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            other => Self::tree(session, other),
        }
    }
}

impl From<StoreError> for WorkError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced => Self::Fenced,
            other => Self::Store(other),
        }
    }
}
