//! The YAML configuration of relayer and miner.
