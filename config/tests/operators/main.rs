//! What operators rely on beside the text of their files: schemas, variables, and the Go relay miner's files.

mod overrides;
mod peer;
mod schema;
mod secrets;
