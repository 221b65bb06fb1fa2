//! `relay-miner redis` in a Cluster: keys lie on three servers.

use std::collections::BTreeSet;

use pocket_devnet::Actor;
use pocket_protocol::SupplierAddress;
use pocket_store::{PrivateCluster, PublisherConfig, RelayPublisher, Store, StoreConfig};
use tokio_util::sync::CancellationToken;

use super::json;

const SUPPLIERS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_all_servers_are_found_and_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = PrivateCluster::start(folder.path()).await.unwrap();
    let url = cluster.url();
    let store = Store::new(StoreConfig::at(&url)).unwrap();
    let (publisher, task) = RelayPublisher::start(store.clone(), PublisherConfig::default(), CancellationToken::new());
    let mut servers = BTreeSet::new();
    for number in 0..SUPPLIERS {
        let supplier: SupplierAddress = Actor::named(&format!("supplier{number}")).address.parse().unwrap();
        let key = store.keys().stream(supplier.as_str());
        servers.insert(cluster.primary_of(&key).await.unwrap());
        let slot = publisher.try_reserve().unwrap();
        assert!(publisher.publish(slot, supplier, "relay".into(), ()));
    }
    drop(publisher);
    task.await.unwrap();
    store
        .heartbeat("miner", std::time::Duration::from_mins(1))
        .await
        .unwrap();
    assert_eq!(servers.len(), 3, "the streams are on all servers");

    let redis = ["redis", "--redis", &url];
    let run = |arguments: &[&str]| json(&[&redis[..], arguments].concat());
    let streams = run(&["streams", "--all"]);
    assert_eq!(streams.as_array().unwrap().len(), SUPPLIERS);
    let keys = run(&["keys", "--limit", "0", "--stats"]);
    // The heartbeat is two more.
    assert_eq!(keys["keys"].as_array().unwrap().len(), SUPPLIERS + 2);
    let flushed = run(&["flush", "--all", "--force"]);
    assert_eq!(flushed["deleted"], SUPPLIERS + 2);
    assert_eq!(run(&["keys"])["keys"].as_array().unwrap().len(), 0);

    let mut heard = store.listen(&[store.keys().blocks()]).await.unwrap();
    store.publish(&store.keys().blocks(), "told").await.unwrap();
    assert_eq!(heard.next().await.unwrap().text, "told");
}
