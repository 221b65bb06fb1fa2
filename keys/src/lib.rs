//! Operator keys: files, directories and Cosmos keyrings.
