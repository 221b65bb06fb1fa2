//! Reading the chain: cached gRPC queries and the block subscription.
