//! Turning mined relays into claims and proofs.
