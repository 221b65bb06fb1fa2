//! A live view of relayers and miners in a terminal: what `/status` of each says, and what Redis says, drawn again and
//! again.
//!
//! Touches the terminal, the processes' status ports, and Redis, of which it only reads. What is shown and how it is
//! drawn are apart: [`gather`] makes a [`Snapshot`], tables are made of that, and a picture of lines of those.

mod draw;
mod endpoint;
mod format;
mod gather;
mod keys;
mod live;
mod picture;
mod redis;
mod tables;
mod terminal;

pub use draw::frame;
pub use endpoint::{Endpoint, EndpointError};
pub use gather::{Heard, Snapshot, Sources, gather};
pub use live::live;
pub use picture::{Colours, Line, Span, Tone};
pub use redis::RedisView;

/// Columns of the terminal; 80 where there is none.
pub fn terminal_columns() -> usize {
    terminal::Terminal::size().0
}
