//! The status page in a browser.

use super::browser::{is_there, open};
use super::fleet::{Fleet, HOSTILE};

#[tokio::test]
async fn page_shows_relays_and_sessions_and_takes_no_name_for_a_script() {
    if !is_there() {
        return;
    }
    let fleet = Fleet::start().await;
    fleet.serve(7).await;
    fleet
        .until(|relayer, _| relayer.relays.answered_history.iter().sum::<u64>() == 7)
        .await;

    let relayer = open(&format!("http://127.0.0.1:{}/", fleet.relayer_port)).await;
    assert_eq!(relayer.console, [""; 0]);
    assert!(
        relayer.document.contains("<title>relay-miner relayer</title>"),
        "{}",
        relayer.document
    );
    let service = relayer.row("Services", "svc-http").unwrap();
    assert!(
        service.starts_with("svc-http|") && service.contains("|7|0|"),
        "{service}"
    );
    // The name is there, letter by letter, and no element is.
    let shown = HOSTILE.replace('<', "&lt;").replace('>', "&gt;");
    assert!(
        relayer.document.contains(&format!("<td>{shown}</td>")),
        "{}",
        relayer.document
    );
    assert!(!relayer.document.contains("<img"), "{}", relayer.document);
    assert_eq!(relayer.document.matches("<script").count(), 1);

    let miner = open(&format!("http://127.0.0.1:{}/", fleet.miner_port)).await;
    assert_eq!(miner.console, [""; 0]);
    let session = miner
        .document
        .split("data-key=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let row = miner.row("Sessions", session).unwrap();
    assert!(row.contains("|svc-http|") && row.contains("|active|7|"), "{row}");
    assert!(row.contains("session ends in"), "{row}");
}
