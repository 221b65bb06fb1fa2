//! Whose keys may sign for an application (spec `relay.md` §3.6).

use pocket_proto::pocket::application::Application;

use crate::types::Height;

/// Label of the key that stands in the ring of an application without gateways. It is no bech32
/// address, and the chain has no account for it: its key is [`PLACEHOLDER_PUBLIC_KEY`].
pub const PLACEHOLDER_ADDRESS: &str = "6178B12D0711F3A930A6133C39AE3B89E9E79A04";

/// The placeholder's compressed key. Its private key is public: whoever likes signs with it.
pub const PLACEHOLDER_PUBLIC_KEY: [u8; 33] = [
    0x02, 0x10, 0x66, 0xf2, 0x93, 0x70, 0x93, 0x56, 0xa3, 0x3e, 0x9c, 0x13, 0x01, 0x78, 0x67, 0x58, 0x6b, 0xaf, 0x52,
    0x51, 0x3e, 0x84, 0x5b, 0xc4, 0x33, 0x52, 0x33, 0xa1, 0x5e, 0xd1, 0xe0, 0x0b, 0xaf,
];

/// The addresses whose keys may sign for the application in the session that ends at `session_end`,
/// sorted bytewise: its own, its gateways', and those of gateways that it left at the end of that
/// session or later. Without any gateway the [placeholder](PLACEHOLDER_ADDRESS) is the other one.
///
/// `application` is the chain's current record. A verifier compares as a set: order, number and
/// repetition of the keys in a signature do not matter.
pub fn ring_addresses(application: &Application, session_end: Height) -> Vec<String> {
    let mut gateways = application.delegatee_gateway_addresses.clone();
    let delegated = gateways.len();
    let session_end = u64::try_from(session_end.0).unwrap_or(0);
    for left in application
        .pending_undelegations
        .range(session_end..)
        .flat_map(|(_, list)| &list.gateway_addresses)
    {
        if !gateways[delegated..].contains(left) {
            gateways.push(left.clone());
        }
    }
    if gateways.is_empty() {
        gateways.push(PLACEHOLDER_ADDRESS.to_owned());
    }
    gateways.push(application.address.clone());
    gateways.sort_unstable();
    gateways
}

#[cfg(test)]
mod tests {
    use pocket_proto::pocket::application::UndelegatingGatewayList;

    use super::*;

    fn application(gateways: &[&str], left: &[(u64, &str)]) -> Application {
        let left = left.iter().map(|(height, gateway)| {
            (
                *height,
                UndelegatingGatewayList {
                    gateway_addresses: vec![(*gateway).to_owned()],
                },
            )
        });
        Application {
            address: "pokt1app".into(),
            delegatee_gateway_addresses: gateways.iter().map(|&gateway| gateway.to_owned()).collect(),
            pending_undelegations: left.collect(),
            ..Default::default()
        }
    }

    #[test]
    fn application_alone_stands_with_the_placeholder() {
        let ring = ring_addresses(&application(&[], &[]), Height(10));
        assert_eq!(ring, [PLACEHOLDER_ADDRESS, "pokt1app"]);
    }

    #[test]
    fn gateway_that_left_is_a_member_until_the_session_that_it_left_in() {
        let application = application(&["pokt1b"], &[(20, "pokt1a")]);
        assert_eq!(
            ring_addresses(&application, Height(20)),
            ["pokt1a", "pokt1app", "pokt1b"]
        );
        assert_eq!(ring_addresses(&application, Height(21)), ["pokt1app", "pokt1b"]);
    }

    #[test]
    fn gateway_that_left_twice_is_added_once() {
        let application = application(&[], &[(20, "pokt1a"), (30, "pokt1a")]);
        assert_eq!(ring_addresses(&application, Height(10)), ["pokt1a", "pokt1app"]);
    }
}
