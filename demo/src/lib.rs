//! A whole relay mining set-up on one machine, for the demo and for end-to-end tests.
