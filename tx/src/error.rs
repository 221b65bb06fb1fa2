//! Why a transaction was not sent, or did not do what it should, by what the caller can do.

use pocket_protocol::{SupplierAddress, Upokt};
use pocket_query::QueryError;

use crate::{ChainRefusal, Sent, message_index};

/// Why a transaction failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// A module refuses a message; the rest of the batch may be good. See [`ChainRefusal::remedy`].
    #[error("the chain refuses message {message_index:?} ({reason:?}): {text}")]
    Refused {
        /// The message's place in the batch, from 0, when the log has it.
        message_index: Option<usize>,
        /// The reason, recognised.
        reason: ChainRefusal,
        /// The reason in the chain's words.
        text: String,
    },
    /// Nothing was accepted; try again soon: the node is down, slow or full.
    #[error("try again: {0}")]
    Retry(String),
    /// The transaction was offered and the answer lost. It may be in a mempool: look for its inclusion
    /// before sending the messages again.
    #[error("it is unknown whether the node took the transaction {}", hex::encode_upper(.0.hash))]
    Uncertain(Sent),
    /// Its height or time has passed, or its timestamp is taken: make it anew.
    #[error("the transaction has expired: {0}")]
    Expired(String),
    /// The operator's account cannot pay the fee, or does not exist: fund it.
    #[error("the account of the signer cannot pay: {0}")]
    Funds(String),
    /// The node asks for a higher price; the configured gas price must rise.
    #[error("the fee is too low, the node requires {required:?}: {text}")]
    FeeTooLow {
        /// The fee the node would take, if it says so.
        required: Option<Upokt>,
        /// The node's words.
        text: String,
    },
    /// The gas limit was too low: raise the limit or the adjustment.
    #[error("out of gas: {0}")]
    OutOfGas(String),
    /// Too many messages: split the batch.
    #[error("the transaction is too large: {0}")]
    TooLarge(String),
    /// There is no key of this signer here.
    #[error("there is no key of {0}")]
    NoKey(SupplierAddress),
    /// The chain refuses the transaction itself, and would again: wrong chain id or key, or a fault of ours.
    #[error("the chain refuses the transaction ({codespace} {code}): {text}")]
    Rejected {
        /// Who numbers the code; `local` when it was not even sent.
        codespace: String,
        /// The SDK's code.
        code: u32,
        /// The chain's words.
        text: String,
    },
}

impl TxError {
    /// Its name in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "message_refused",
            Self::Retry(_) => "node_unavailable",
            Self::Uncertain(_) => "answer_lost",
            Self::Expired(_) => "expired",
            Self::Funds(_) => "insufficient_balance",
            Self::FeeTooLow { .. } => "fee_too_low",
            Self::OutOfGas(_) => "out_of_gas",
            Self::TooLarge(_) => "too_large",
            Self::NoKey(_) => "no_key",
            Self::Rejected { .. } => "rejected",
        }
    }

    pub(crate) fn unencodable(error: &dyn std::fmt::Display) -> Self {
        Self::Rejected {
            codespace: "local".to_owned(),
            code: 0,
            text: error.to_string(),
        }
    }

    /// The outcome of a mempool check or of a block (spec `chain.md` §7.7).
    pub(crate) fn of_code(codespace: &str, code: u32, log: &str) -> Self {
        let text = if log.is_empty() {
            format!("{codespace} {code}")
        } else {
            log.to_owned()
        };
        if codespace != "sdk" {
            return Self::refused(text);
        }
        match code {
            5 | 9 => Self::Funds(text),
            11 => Self::OutOfGas(text),
            13 => Self::FeeTooLow {
                required: required_fee(&text),
                text,
            },
            18 if text.contains("unordered") || text.contains("ttl") => Self::Expired(text),
            20 | 32 => Self::Retry(text),
            21 => Self::TooLarge(text),
            30 | 42 => Self::Expired(text),
            // An SDK error inside a message, such as a transfer of more than there is.
            _ if message_index(&text).is_some() => Self::refused(text),
            _ => Self::Rejected {
                codespace: codespace.to_owned(),
                code,
                text,
            },
        }
    }

    /// The outcome of a simulation: a status with the same text and no code.
    pub(crate) fn of_simulation(error: QueryError) -> Self {
        let text = match error {
            QueryError::Refused { message, .. } => message,
            other => return other.into(),
        };
        // What the ante handler says without naming a message ends with its registered text.
        let ante = [
            ("insufficient funds", 5),
            ("unknown address", 9),
            ("tx timeout height", 30),
            ("tx timeout", 42),
            ("tx too large", 21),
            ("incorrect account sequence", 32),
            ("out of gas", 11),
        ];
        if message_index(&text).is_none()
            && let Some((_, code)) = ante.iter().find(|(words, _)| text.contains(words))
        {
            return Self::of_code("sdk", *code, &text);
        }
        Self::refused(text)
    }

    fn refused(text: String) -> Self {
        Self::Refused {
            message_index: message_index(&text),
            reason: ChainRefusal::of_log(&text),
            text,
        }
    }
}

impl From<QueryError> for TxError {
    /// A query on the way failed; nothing was sent.
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotFound(text) => Self::Funds(text),
            QueryError::Refused { .. } | QueryError::WrongChain { .. } => Self::unencodable(&error),
            QueryError::Unavailable(_) | QueryError::Unimplemented(_) | QueryError::Malformed(_) => {
                Self::Retry(error.to_string())
            }
        }
    }
}

/// The fee in `insufficient fees; got: X required: Yupokt`.
fn required_fee(text: &str) -> Option<Upokt> {
    let (_, rest) = text.split_once("required: ")?;
    let end = rest.find(|character: char| !character.is_ascii_digit())?;
    rest[end..]
        .starts_with("upokt")
        .then(|| rest[..end].parse().map(Upokt).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_sdk_are_sorted_by_what_can_be_done() {
        let of = |code, log: &str| TxError::of_code("sdk", code, log);
        assert!(matches!(of(5, "spendable balance"), TxError::Funds(_)));
        assert!(matches!(of(11, "out of gas in location"), TxError::OutOfGas(_)));
        assert!(matches!(of(20, ""), TxError::Retry(_)));
        assert!(matches!(of(21, ""), TxError::TooLarge(_)));
        assert!(matches!(of(30, "tx timeout height"), TxError::Expired(_)));
        assert!(matches!(
            of(18, "failed to add unordered nonce: used"),
            TxError::Expired(_)
        ));
        assert!(matches!(
            of(4, "signature verification failed"),
            TxError::Rejected { code: 4, .. }
        ));
    }

    #[test]
    fn required_fee_is_read() {
        let error = TxError::of_code(
            "sdk",
            13,
            "insufficient fees; got: 1upokt required: 17upokt: insufficient fee",
        );
        assert!(
            matches!(
                error,
                TxError::FeeTooLow {
                    required: Some(Upokt(17)),
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn failed_message_in_a_block_has_its_index_and_reason() {
        let log = "failed to execute message; message index: 3: rpc error: code = NotFound desc = x: claim not found";
        let TxError::Refused {
            message_index, reason, ..
        } = TxError::of_code("undefined", 1, log)
        else {
            panic!("a message was refused");
        };
        assert_eq!((message_index, reason), (Some(3), ChainRefusal::ClaimNotFound));
    }

    #[test]
    fn simulation_without_a_message_index_is_the_ante_handlers() {
        let refused = |message: &str| QueryError::Refused {
            code: tonic::Code::Unknown,
            message: message.to_owned(),
        };
        let short = TxError::of_simulation(refused("0upokt is smaller than 1upokt: insufficient funds"));
        assert!(matches!(short, TxError::Funds(_)), "{short:?}");
        let late = TxError::of_simulation(refused("height 9: tx timeout height"));
        assert!(matches!(late, TxError::Expired(_)), "{late:?}");
        let down = TxError::of_simulation(QueryError::Unavailable("down".into()));
        assert!(matches!(down, TxError::Retry(_)), "{down:?}");
    }
}
