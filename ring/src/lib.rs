//! Ring signatures over secp256k1, as the chain verifies them. Pure: no I/O, no async, no clock.
