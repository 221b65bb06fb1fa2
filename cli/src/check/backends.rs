//! The servers that relays go to.

use pocket_config::RelayerConfig;
use pocket_relayer::{Reach, Reached, reach_backends};

use super::Finding;

const ABOUT: &str = "backend";

/// Asks every server once.
pub async fn backends(config: &RelayerConfig) -> Vec<Finding> {
    reach_backends(config).await.iter().map(finding).collect()
}

fn finding(reached: &Reached) -> Finding {
    let (kind, address) = (reached.kind.as_str(), &reached.address);
    let found = match &reached.reach {
        Reach::Well => Finding::ok(ABOUT, format!("{address} answers")),
        Reach::Poorly(how) => {
            let remedy = "look at its log, at health_check, and at authentication and headers";
            Finding::warning(ABOUT, format!("{address} {how}"), remedy)
        }
        Reach::Not(how) => {
            let remedy = "start it, or correct the URL; relays of this service and type would be refused";
            Finding::error(ABOUT, format!("{address} {how}"), remedy)
        }
    };
    found.at_key(format!("services.{}.backends.{kind}", reached.service))
}
