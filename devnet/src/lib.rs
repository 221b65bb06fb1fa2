//! A verifying chain in this process, for tests and the demo.
