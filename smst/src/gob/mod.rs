//! The bytes of a proof message: a Go gob stream (spec `smst.md` §6). Written in the one form that the chain's library
//! writes; read in every form that Go reads, save for values behind Go interfaces.

mod decode;
mod encode;
mod reader;
mod types;

pub use reader::DecodeError;
