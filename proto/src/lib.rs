//! The chain's messages and the relay's own, compiled from the `.proto` files beside.
//!
//! May hold: generated types, their type URLs and their file descriptors. Must not hold: rules.
//! Bytes fields are [`bytes::Bytes`] and maps are ordered, so that decoding from `Bytes` copies
//! no payload and encoding is deterministic as the Go encoder's is (spec `relay.md` 2).

// Generated code is documented in the .proto files.
#![allow(missing_docs, clippy::pedantic)]

/// Serialized `FileDescriptorSet` of every file, for gRPC reflection.
pub const FILE_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Messages of the Pocket modules.
pub mod pocket {
    /// Applications.
    pub mod application {
        tonic::include_proto!("pocket.application");
    }
    /// Gateways.
    pub mod gateway {
        tonic::include_proto!("pocket.gateway");
    }
    /// The stream between relayer and miner.
    pub mod ha {
        tonic::include_proto!("pocket.ha");
    }
    /// Claims and proofs.
    pub mod proof {
        tonic::include_proto!("pocket.proof");
    }
    /// Relays, services, difficulty.
    pub mod service {
        tonic::include_proto!("pocket.service");
    }
    /// Sessions.
    pub mod session {
        tonic::include_proto!("pocket.session");
    }
    /// Parameters, services, suppliers.
    pub mod shared {
        tonic::include_proto!("pocket.shared");
    }
    /// Queries about suppliers.
    pub mod supplier {
        tonic::include_proto!("pocket.supplier");
    }
}

/// Messages of the Cosmos SDK.
pub mod cosmos {
    /// Accounts.
    pub mod auth {
        /// Version 1 beta 1.
        pub mod v1beta1 {
            tonic::include_proto!("cosmos.auth.v1beta1");
        }
    }
    /// Balances.
    pub mod bank {
        /// Version 1 beta 1.
        pub mod v1beta1 {
            tonic::include_proto!("cosmos.bank.v1beta1");
        }
    }
    /// What the other modules share.
    pub mod base {
        /// Coins.
        pub mod v1beta1 {
            tonic::include_proto!("cosmos.base.v1beta1");
        }
        /// Transaction results.
        pub mod abci {
            /// Version 1 beta 1.
            pub mod v1beta1 {
                tonic::include_proto!("cosmos.base.abci.v1beta1");
            }
        }
        /// The node.
        pub mod tendermint {
            /// Version 1 beta 1.
            pub mod v1beta1 {
                tonic::include_proto!("cosmos.base.tendermint.v1beta1");
            }
        }
        /// Pages.
        pub mod query {
            /// Version 1 beta 1.
            pub mod v1beta1 {
                tonic::include_proto!("cosmos.base.query.v1beta1");
            }
        }
    }
    /// Keys.
    pub mod crypto {
        /// The one curve in use.
        pub mod secp256k1 {
            tonic::include_proto!("cosmos.crypto.secp256k1");
        }
    }
    /// Transactions.
    pub mod tx {
        /// Version 1 beta 1.
        pub mod v1beta1 {
            tonic::include_proto!("cosmos.tx.v1beta1");
        }
    }
}

/// The HTTP envelopes of gateways and suppliers.
pub mod sdk {
    /// Package `sdk.types`.
    pub mod types {
        tonic::include_proto!("sdk.types");
    }
}

/// Type URLs of `google.protobuf.Any`.
pub mod type_url {
    /// A claim.
    pub const MSG_CREATE_CLAIM: &str = "/pocket.proof.MsgCreateClaim";
    /// A proof.
    pub const MSG_SUBMIT_PROOF: &str = "/pocket.proof.MsgSubmitProof";
    /// A transfer of coins.
    pub const MSG_SEND: &str = "/cosmos.bank.v1beta1.MsgSend";
    /// A secp256k1 public key.
    pub const PUB_KEY: &str = "/cosmos.crypto.secp256k1.PubKey";
    /// An ordinary account.
    pub const BASE_ACCOUNT: &str = "/cosmos.auth.v1beta1.BaseAccount";
}
