//! Whether blocks come as they should.

use std::time::Duration;

use pocket_config::BlockHealthConfig;
use time::OffsetDateTime;

use crate::Deps;

/// Late blocks in a row that are worth a warning.
const WORTH_A_WARNING: i64 = 3;

/// Follows the newest block's age, and the pace where the operator wants it.
pub(super) async fn run(config: &BlockHealthConfig, block_time: Duration, deps: &Deps) {
    let series = &deps.metrics.watch;
    series.expected_interval.set(block_time.as_secs_f64());
    let mut blocks = deps.feed.subscribe();
    let mut last = *blocks.borrow_and_update();
    while blocks.changed().await.is_ok() {
        let block = *blocks.borrow_and_update();
        let age = OffsetDateTime::now_utc() - block.time;
        series.block_age.set(age.as_seconds_f64());
        let before = std::mem::replace(&mut last, block);
        let blocks = block.height.0 - before.height.0;
        if !config.enabled || before.height.0 == 0 || blocks < 1 {
            continue;
        }
        // By their own times, so that blocks missed here, and a slow machine, are not held against the chain.
        let interval = (block.time - before.time).as_seconds_f64() / blocks as f64;
        series.interval.set(interval);
        if interval <= block_time.as_secs_f64() * config.slowness_threshold {
            series.slow_in_a_row.set(0);
            continue;
        }
        series.slow_blocks.inc_by(blocks as u64);
        series.slow_in_a_row.add(blocks);
        let late = series.slow_in_a_row.get();
        // Once for each time that blocks get slow.
        if late >= WORTH_A_WARNING && late - blocks < WORTH_A_WARNING {
            tracing::warn!(height = %block.height, interval, late, "blocks come late: windows stay open longer than expected");
        }
    }
}
