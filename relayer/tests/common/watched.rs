//! What the relayer left behind: Redis and metrics.

use bytes::Bytes;
use pocket_devnet::Actor;
use pocket_metrics::Registry;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_proto::sdk::types::PokthttpRequest;
use pocket_store::{PrivateRedis, Store};
use prost::Message as _;

/// All relays in a supplier's stream.
pub async fn stream(redis: &PrivateRedis, store: &Store, supplier: &str) -> Vec<MinedRelayMessage> {
    type Entry = (String, Vec<(String, Bytes)>);
    let mut connection = connect(redis).await;
    let key = store.keys().stream(&Actor::named(supplier).address);
    let entries: Vec<Entry> = redis::cmd("XRANGE")
        .arg(key)
        .arg("-")
        .arg("+")
        .query_async(&mut connection)
        .await
        .unwrap();
    entries
        .into_iter()
        .map(|(_, fields)| {
            assert_eq!(fields.len(), 1);
            assert_eq!(fields[0].0, "data");
            MinedRelayMessage::decode(fields[0].1.clone()).unwrap()
        })
        .collect()
}

/// Where the relay's inner request went.
pub fn inner_url(message: &MinedRelayMessage) -> String {
    let relay = pocket_proto::pocket::service::Relay::decode(message.relay_bytes.clone()).unwrap();
    PokthttpRequest::decode(relay.req.unwrap().payload).unwrap().url
}

/// What Redis answers to a command.
pub async fn ask<T: redis::FromRedisValue>(redis: &PrivateRedis, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connect(redis).await).await.unwrap()
}

pub async fn connect(redis: &PrivateRedis) -> redis::aio::MultiplexedConnection {
    redis::Client::open(redis.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap()
}

/// A counter's sum over all label sets that contain `labels`.
pub fn counter(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> u64 {
    sum(registry, name, labels, |metric| metric.get_counter().get_value()) as u64
}

/// The same for a gauge.
pub fn gauge_of(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> i64 {
    sum(registry, name, labels, |metric| metric.get_gauge().get_value()) as i64
}

/// How often a histogram was fed.
pub fn observed(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> u64 {
    sum(registry, name, labels, |metric| {
        metric.get_histogram().get_sample_count() as f64
    }) as u64
}

fn sum(
    registry: &Registry,
    name: &str,
    labels: &[(&str, &str)],
    value: impl Fn(&prometheus::proto::Metric) -> f64,
) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let series = family.into_iter().flat_map(prometheus::proto::MetricFamily::get_metric);
    let chosen = series.filter(|metric| {
        let has = |(name, value): &(&str, &str)| {
            metric
                .get_label()
                .iter()
                .any(|label| label.name() == *name && label.value() == *value)
        };
        labels.iter().all(has)
    });
    chosen.map(value).sum()
}

/// A gauge without labels.
pub fn gauge(registry: &Registry, name: &str) -> i64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    family.get_metric()[0].get_gauge().get_value() as i64
}
