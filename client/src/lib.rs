//! A relay client and load generator.
