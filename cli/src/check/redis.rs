//! Redis: whether it is there, takes what is written, and keeps it.

use pocket_config::RedisConfig;
use pocket_store::{Store, StoreError};

use super::Finding;
use crate::parts;

const ABOUT: &str = "redis";
/// The oldest version whose commands are used.
const OLDEST: u32 = 7;

/// Connects, asks, and tries to write.
pub async fn redis(config: &RedisConfig) -> Vec<Finding> {
    let store = match parts::open_store(config) {
        Ok(store) => store,
        Err(error) => {
            let what = format!("{error:#}");
            return vec![Finding::error(ABOUT, what, "correct the address").at_key("redis.url")];
        }
    };
    match store.ping().await {
        Ok(()) => look(config, &store).await,
        Err(error) => vec![not_there(config, &error)],
    }
}

fn not_there(config: &RedisConfig, error: &StoreError) -> Finding {
    let remedy = if error.is_transient() {
        "start it, or correct redis.url (the environment's REDIS_URL goes first)"
    } else {
        "look at the user and the password in redis.url (the environment's REDIS_URL goes first)"
    };
    Finding::error(ABOUT, format!("{}: {error}", config.url), remedy).at_key("redis.url")
}

async fn look(config: &RedisConfig, store: &Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    match store.info("redis_version").await {
        Ok(version) => findings.push(version_finding(
            config,
            version.as_deref().unwrap_or("of an unknown version"),
        )),
        Err(error) => {
            let remedy = "allow this user INFO, as docs/operators.md says under Redis";
            findings.push(Finding::warning(
                ABOUT,
                format!("it does not tell about itself: {error}"),
                remedy,
            ));
        }
    }
    if let Err(error) = store.try_write().await {
        let remedy = "name the primary, not a replica, and allow this user to write below redis.namespace.base_prefix";
        findings.push(Finding::error(
            ABOUT,
            format!("it cannot be written to: {error}"),
            remedy,
        ));
    }
    if let Ok(health) = store.health().await {
        if !health.append_only {
            let what = "its append-only file is off: when it restarts, answered relays are lost";
            findings.push(Finding::warning(
                ABOUT,
                what,
                "set appendonly yes and appendfsync everysec in redis.conf",
            ));
        }
        if health.evicts {
            let what = "it drops keys when its memory is full: relays and trees would be lost";
            findings.push(Finding::error(
                ABOUT,
                what,
                "set maxmemory-policy noeviction in redis.conf",
            ));
        }
        if let Some(ratio) = health.memory_ratio().filter(|ratio| *ratio > 0.8) {
            let what = format!("{:.0} % of its memory is used", ratio * 100.0);
            findings.push(Finding::warning(
                ABOUT,
                what,
                "give it more: set maxmemory in redis.conf",
            ));
        }
    }
    findings
}

fn version_finding(config: &RedisConfig, versions: &str) -> Finding {
    let major = |version: &str| version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    let what = format!("{} is Redis {versions}", config.url);
    if versions
        .split_whitespace()
        .filter_map(major)
        .any(|major| major < OLDEST)
    {
        Finding::error(ABOUT, what, "use Redis 7.0 or newer")
    } else {
        Finding::ok(ABOUT, what)
    }
}
