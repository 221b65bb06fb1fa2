//! Session arithmetic, relay hashing and the rules of claims. Pure: no I/O, no async, no clock.
