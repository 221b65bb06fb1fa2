//! Redis servers of our own, for demos, tests, and machines that want no Redis to look after.

mod cluster;
mod kept;
mod sentinel;
mod single;

pub use cluster::PrivateCluster;
pub use kept::{KeptRedis, KeptRedisError};
pub use sentinel::PrivateSentinel;
pub use single::{PrivateRedis, PrivateRedisError};

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

/// How long servers may take to agree on something.
const AGREEMENT_TIMEOUT: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(25);

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Asks a server once.
async fn ask<T: redis::FromRedisValue>(url: &str, command: &redis::Cmd) -> redis::RedisResult<T> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    command.query_async(&mut connection).await
}

/// Looks until a look says yes.
async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + AGREEMENT_TIMEOUT;
    while !look().await {
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, what.to_owned()));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
