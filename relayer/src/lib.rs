//! Serving relays: verify, forward, sign, mine.
