//! What goes wrong, and how it is done.

use std::fmt;
use std::time::Duration;

use tokio::time::sleep;

use crate::chain::Chain;
use crate::fleet::{Fleet, start_miner};
use crate::proxy::Proxy;

/// One thing that goes wrong. Numbers name twins from 0; durations tell how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`; a miner may come back under another name, as a new pod does.
    KillMiner(usize, Duration, Option<u32>),
    /// `kill -9`.
    KillRelayer(usize, Duration),
    /// `kill -9` of the server that has a supplier's keys; behind it another takes its place.
    KillRedis(usize, Duration),
    /// A replica takes the place of the primary that has a supplier's keys.
    FailOver(usize),
    /// SIGTERM, and a new start.
    StopMiner(usize, Duration),
    /// SIGTERM, and a new start.
    StopRelayer(usize, Duration),
    /// SIGSTOP, then SIGCONT.
    PauseMiner(usize, Duration),
    /// SIGSTOP, then SIGCONT.
    PauseRelayer(usize, Duration),
    /// SIGSTOP, then SIGCONT, of the server that has a supplier's keys.
    PauseRedis(usize, Duration),
    /// All connections break.
    CutRedis,
    /// No connection comes through.
    ShutRedis(Duration),
    /// Nothing comes through.
    FreezeRedis(Duration),
    /// Everything comes through late, by the first.
    DelayRedis(Duration, Duration),
    /// All connections break.
    CutChain,
    /// No connection comes through.
    ShutChain(Duration),
    /// Nothing comes through.
    FreezeChain(Duration),
    /// Everything comes through late, by the first.
    DelayChain(Duration, Duration),
    /// No connection to one of the two chain nodes comes through.
    ShutNode(usize, Duration),
    /// Nothing of one of the two chain nodes comes through.
    FreezeNode(usize, Duration),
    /// No block comes.
    StopBlocks(Duration),
    /// So many blocks come at once.
    BurstBlocks(u64),
    /// The node takes so many claims and proofs not.
    RefuseTransactions(u32),
    /// A miner runs for a while with `TEST_FORCE_CLAIM_TX_ERROR`.
    ForceClaimErrors(usize, Duration),
    /// A miner runs for a while with `TEST_FORCE_PROOF_TX_ERROR`.
    ForceProofErrors(usize, Duration),
}

impl Fault {
    /// Whether miners must wait after it until relayers have spoken again.
    pub fn silences_redis(&self) -> bool {
        matches!(
            self,
            Self::KillRedis(..)
                | Self::FailOver(_)
                | Self::PauseRedis(..)
                | Self::CutRedis
                | Self::ShutRedis(_)
                | Self::FreezeRedis(_)
        )
    }

    /// Makes it happen and good again; `false` if its victim is a victim already.
    pub async fn strike(self, fleet: &Fleet, chain: &Chain) -> anyhow::Result<bool> {
        match self {
            Self::RefuseTransactions(count) => chain.refuse(count),
            Self::BurstBlocks(count) => chain.burst(count),
            Self::StopBlocks(time) => {
                chain.stop_blocks();
                sleep(time).await;
                chain.go_on();
            }
            _ => return self.strike_fleet(fleet).await,
        }
        Ok(true)
    }

    /// As [`Self::strike`], for faults that leave the chain itself alone; of others it does nothing.
    pub async fn strike_fleet(self, fleet: &Fleet) -> anyhow::Result<bool> {
        match self {
            Self::KillMiner(number, down, name) => return kill_miner(fleet, number, &[], down, name).await,
            Self::ForceClaimErrors(number, time) => {
                return force_errors(fleet, number, "TEST_FORCE_CLAIM_TX_ERROR", time).await;
            }
            Self::ForceProofErrors(number, time) => {
                return force_errors(fleet, number, "TEST_FORCE_PROOF_TX_ERROR", time).await;
            }
            Self::StopMiner(number, down) => {
                let Ok(mut miner) = fleet.miners[number].try_lock() else {
                    return Ok(false);
                };
                miner.terminate().await?;
                sleep(down).await;
                start_miner(&mut miner, number, &[], None)?;
            }
            Self::KillRelayer(number, down) | Self::StopRelayer(number, down) => {
                let Ok(mut relayer) = fleet.relayers[number].try_lock() else {
                    return Ok(false);
                };
                match self {
                    Self::KillRelayer(..) => relayer.kill().await?,
                    _ => relayer.terminate().await?,
                }
                sleep(down).await;
                relayer.start(&[], &[])?;
            }
            Self::PauseMiner(number, time) | Self::PauseRelayer(number, time) => {
                let processes = match self {
                    Self::PauseMiner(..) => &fleet.miners,
                    _ => &fleet.relayers,
                };
                let Ok(process) = processes[number].try_lock() else {
                    return Ok(false);
                };
                process.pause()?;
                sleep(time).await;
                process.resume()?;
            }
            Self::KillRedis(..) | Self::FailOver(_) | Self::PauseRedis(..) => return self.strike_redis(fleet).await,
            _ => self.strike_connections(fleet).await,
        }
        Ok(true)
    }

    async fn strike_redis(self, fleet: &Fleet) -> anyhow::Result<bool> {
        let Ok(mut redis) = fleet.redis.try_lock() else {
            return Ok(false);
        };
        match self {
            Self::KillRedis(supplier, down) => redis.kill(supplier, down).await?,
            Self::FailOver(supplier) => redis.fail_over(supplier).await?,
            Self::PauseRedis(supplier, time) => redis.pause(supplier, time).await?,
            _ => {}
        }
        Ok(true)
    }

    async fn strike_connections(self, fleet: &Fleet) {
        let redis = std::slice::from_ref(&fleet.to_redis);
        let chain = fleet.to_chain.as_flattened();
        match self {
            Self::CutRedis => each(redis, Proxy::cut),
            Self::CutChain => each(chain, Proxy::cut),
            Self::ShutRedis(time) => during(time, redis, Proxy::shut).await,
            Self::ShutChain(time) => during(time, chain, Proxy::shut).await,
            Self::ShutNode(node, time) => during(time, &fleet.to_chain[node], Proxy::shut).await,
            Self::FreezeNode(node, time) => during(time, &fleet.to_chain[node], Proxy::freeze).await,
            Self::FreezeRedis(time) => during(time, redis, Proxy::freeze).await,
            Self::FreezeChain(time) => during(time, chain, Proxy::freeze).await,
            Self::DelayRedis(delay, time) => during(time, redis, late(delay)).await,
            Self::DelayChain(delay, time) => during(time, chain, late(delay)).await,
            _ => {}
        }
    }
}

fn each(proxies: &[Proxy], change: impl Fn(&Proxy)) {
    for proxy in proxies {
        change(proxy);
    }
}

/// Makes connections bad for a time.
async fn during(time: Duration, proxies: &[Proxy], change: impl Fn(&Proxy, bool)) {
    each(proxies, |proxy| change(proxy, true));
    sleep(time).await;
    each(proxies, |proxy| change(proxy, false));
}

fn late(delay: Duration) -> impl Fn(&Proxy, bool) {
    move |proxy, is_late| proxy.delay(if is_late { delay } else { Duration::ZERO })
}

async fn kill_miner(
    fleet: &Fleet,
    number: usize,
    environment: &[(&str, &str)],
    down: Duration,
    name: Option<u32>,
) -> anyhow::Result<bool> {
    let Ok(mut miner) = fleet.miners[number].try_lock() else {
        return Ok(false);
    };
    miner.kill().await?;
    sleep(down).await;
    start_miner(&mut miner, number, environment, name)?;
    Ok(true)
}

/// The switch is read at the start: the miner is replaced by one that has it, and later by one that has it not.
async fn force_errors(fleet: &Fleet, number: usize, switch: &str, time: Duration) -> anyhow::Result<bool> {
    let Ok(mut miner) = fleet.miners[number].try_lock() else {
        return Ok(false);
    };
    miner.kill().await?;
    start_miner(&mut miner, number, &[(switch, "true")], None)?;
    sleep(time).await;
    miner.kill().await?;
    start_miner(&mut miner, number, &[], None)?;
    Ok(true)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |time: &Duration| format!("{:.1} s", time.as_secs_f64());
        match self {
            Self::KillMiner(n, time, name) => {
                let back = if name.is_some() { "renamed" } else { "back" };
                write!(f, "miner {} killed, {back} after {}", n + 1, s(time))
            }
            Self::KillRelayer(n, time) => write!(f, "relayer {} killed, back after {}", n + 1, s(time)),
            Self::KillRedis(_, time) => write!(f, "Redis killed, back after {}", s(time)),
            Self::FailOver(_) => write!(f, "Redis failed over"),
            Self::StopMiner(n, time) => write!(f, "miner {} stopped, back after {}", n + 1, s(time)),
            Self::StopRelayer(n, time) => write!(f, "relayer {} stopped, back after {}", n + 1, s(time)),
            Self::PauseMiner(n, time) => write!(f, "miner {} paused for {}", n + 1, s(time)),
            Self::PauseRelayer(n, time) => write!(f, "relayer {} paused for {}", n + 1, s(time)),
            Self::PauseRedis(_, time) => write!(f, "Redis paused for {}", s(time)),
            Self::CutRedis => write!(f, "connections to Redis cut"),
            Self::ShutRedis(time) => write!(f, "Redis out of reach for {}", s(time)),
            Self::FreezeRedis(time) => write!(f, "Redis silent for {}", s(time)),
            Self::DelayRedis(delay, time) => write!(f, "Redis late by {} ms for {}", delay.as_millis(), s(time)),
            Self::CutChain => write!(f, "connections to the chain cut"),
            Self::ShutChain(time) => write!(f, "chain out of reach for {}", s(time)),
            Self::FreezeChain(time) => write!(f, "chain silent for {}", s(time)),
            Self::DelayChain(delay, time) => write!(f, "chain late by {} ms for {}", delay.as_millis(), s(time)),
            Self::ShutNode(n, time) => write!(f, "chain node {} out of reach for {}", n + 1, s(time)),
            Self::FreezeNode(n, time) => write!(f, "chain node {} silent for {}", n + 1, s(time)),
            Self::StopBlocks(time) => write!(f, "no blocks for {}", s(time)),
            Self::BurstBlocks(count) => write!(f, "{count} blocks at once"),
            Self::RefuseTransactions(count) => write!(f, "{count} transactions refused"),
            Self::ForceClaimErrors(n, time) => write!(f, "miner {} claims in vain for {}", n + 1, s(time)),
            Self::ForceProofErrors(n, time) => write!(f, "miner {} proves in vain for {}", n + 1, s(time)),
        }
    }
}
