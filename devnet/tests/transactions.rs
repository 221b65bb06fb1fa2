//! What the ante handler refuses, with the chain's codes.

mod world;

use bytes::Bytes;
use pocket_devnet::Actor;
use pocket_devnet::chain::{Chain, Message, TxResult};
use pocket_proto::cosmos::bank::v1beta1::MsgSend;
use pocket_proto::pocket::proof::MsgCreateClaim;
use world::{Draft, World, localnet};

fn send(from: &str, to: &str, amount: u128) -> Message {
    Message::Send(MsgSend {
        from_address: Actor::named(from).address,
        to_address: Actor::named(to).address,
        amount: vec![pocket_devnet::coin(amount)],
    })
}

/// A world at height 3, and a transfer that it would accept.
fn world() -> (World, Draft) {
    let mut world = World::new(&localnet());
    world.advance_to(3);
    let draft = world.draft("supplier1", &[send("supplier1", "new", 5)]);
    (world, draft)
}

fn check(change: impl FnOnce(&mut Draft, &Chain)) -> TxResult {
    let (mut world, mut draft) = world();
    change(&mut draft, &world.chain);
    world.chain.check_tx(&draft.sign())
}

fn refused(result: &TxResult, code: u32, text: &str) {
    assert_eq!(
        (result.codespace.as_str(), result.code),
        ("sdk", code),
        "{}",
        result.log
    );
    assert!(result.log.contains(text), "{}", result.log);
}

fn in_seconds(chain: &Chain, seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: chain.time().unix_timestamp() + seconds,
        nanos: 7,
    }
}

#[test]
fn transfer_is_executed_and_opens_the_account() {
    let (mut world, draft) = world();
    let result = world.block([draft.sign()]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
    assert_eq!(world.balance("new"), 5);
    let account = world
        .chain
        .view()
        .state
        .bank
        .account(&draft.signer.address)
        .unwrap()
        .clone();
    assert_eq!(account.sequence, 1);
}

#[test]
fn garbage_is_no_transaction() {
    let (mut world, draft) = world();
    refused(
        &world.chain.check_tx(&Bytes::from_static(b"garbage")),
        2,
        "tx parse error",
    );
    let mut trailing = draft.sign().to_vec();
    // A field that nobody knows.
    trailing.extend([0x78, 1]);
    refused(&world.chain.check_tx(&trailing.into()), 2, "not canonical");
}

#[test]
fn signature_for_another_chain_is_refused() {
    let result = check(|draft, _| draft.chain_id = "pocket-beta".to_owned());
    refused(
        &result,
        4,
        "signature verification failed; please verify account number",
    );
}

#[test]
fn signature_with_another_account_number_is_refused() {
    refused(&check(|draft, _| draft.number += 1), 4, "unauthorized");
}

#[test]
fn strangers_key_is_refused() {
    let result = check(|draft, _| draft.signer = Actor::named("supplier2"));
    refused(&result, 8, "pubKey does not match signer address");
}

#[test]
fn wrong_sequence_is_refused() {
    let result = check(|draft, _| draft.sequence = 4);
    refused(
        &result,
        32,
        "account sequence mismatch, expected 0, got 4: incorrect account sequence",
    );
}

#[test]
fn mempool_counts_the_sequences_that_it_holds() {
    let (mut world, mut draft) = world();
    assert_eq!(world.chain.check_tx(&draft.sign()).code, 0);
    refused(&world.chain.check_tx(&draft.sign()), 32, "expected 1, got 0");
    draft.sequence = 1;
    assert_eq!(world.chain.check_tx(&draft.sign()).code, 0);
}

#[test]
fn account_that_never_received_coins_is_unknown() {
    let (mut world, _) = world();
    let tx = world.tx("nobody", &[send("nobody", "new", 5)]);
    refused(&world.chain.check_tx(&tx), 9, "does not exist: unknown address");
}

#[test]
fn fee_below_the_price_is_refused_by_the_mempool_alone() {
    let (mut world, mut draft) = world();
    draft.fee.amount.clear();
    let result = world.chain.check_tx(&draft.sign());
    refused(
        &result,
        13,
        "insufficient fees; got:  required: 2upokt: insufficient fee",
    );
    assert_eq!(world.block([draft.sign()])[0].code, 0);
}

#[test]
fn fee_of_zero_coins_is_no_fee() {
    refused(
        &check(|draft, _| draft.fee.amount[0].amount = "0".to_owned()),
        13,
        "invalid fee amount: 0upokt",
    );
}

#[test]
fn fee_beyond_the_balance_is_refused() {
    let result = check(|draft, _| draft.fee.amount[0].amount = "1000000000001".to_owned());
    refused(
        &result,
        5,
        "spendable balance 1000000000000upokt is smaller than 1000000000001upokt",
    );
}

#[test]
fn gas_below_the_need_is_refused() {
    let result = check(|draft, _| draft.fee.gas_limit = 1000);
    refused(&result, 11, "gasWanted: 1000");
}

#[test]
fn memo_of_more_than_256_bytes_is_refused() {
    refused(
        &check(|draft, _| draft.body.memo = "m".repeat(257)),
        12,
        "received 257 characters",
    );
}

#[test]
fn timeout_height_that_has_passed_is_refused() {
    refused(
        &check(|draft, _| draft.body.timeout_height = 2),
        30,
        "block height: 3, timeout height: 2",
    );
    assert_eq!(check(|draft, _| draft.body.timeout_height = 3).code, 0);
}

#[test]
fn timeout_that_has_passed_is_refused() {
    refused(
        &check(|draft, chain| draft.body.timeout_timestamp = Some(in_seconds(chain, -1))),
        42,
        "tx timeout",
    );
}

#[test]
fn unordered_transaction_needs_a_near_timeout_and_no_sequence() {
    let unordered = |seconds: Option<i64>, sequence| {
        check(move |draft, chain| {
            draft.body.unordered = true;
            draft.sequence = sequence;
            draft.body.timeout_timestamp = seconds.map(|seconds| in_seconds(chain, seconds));
        })
    };
    refused(&unordered(None, 0), 18, "must have timeout_timestamp set");
    refused(&unordered(Some(600), 0), 18, "unordered tx ttl exceeds 10m0s");
    refused(
        &unordered(Some(60), 1),
        18,
        "sequence is not allowed for unordered transactions",
    );
    assert_eq!(unordered(Some(60), 0).code, 0);
}

#[test]
fn unordered_timeout_can_be_used_once() {
    let (mut world, mut draft) = world();
    draft.body.unordered = true;
    draft.body.timeout_timestamp = Some(in_seconds(&world.chain, 60));
    assert_eq!(world.block([draft.sign()])[0].code, 0);
    draft.body.memo = "other bytes".to_owned();
    refused(
        &world.chain.check_tx(&draft.sign()),
        18,
        "failed to add unordered nonce",
    );
    let sequence = world
        .chain
        .view()
        .state
        .bank
        .account(&draft.signer.address)
        .unwrap()
        .sequence;
    assert_eq!(sequence, 0);
}

#[test]
fn malformed_message_is_refused_before_anything_is_charged() {
    let (mut world, _) = world();
    let claim = Message::CreateClaim(MsgCreateClaim {
        supplier_operator_address: Actor::named("supplier1").address,
        ..MsgCreateClaim::default()
    });
    let before = world.balance("supplier1");
    let tx = world.tx("supplier1", &[claim]);
    let result = world.block([tx]).remove(0);
    assert_eq!((result.codespace.as_str(), result.code), ("proof", 1115));
    assert_eq!(world.balance("supplier1"), before);
}

#[test]
fn transaction_over_the_limit_is_refused_without_words() {
    let mut genesis = localnet().genesis();
    genesis.params.max_tx_bytes = 100;
    let mut world = World::of(&genesis);
    let tx = world.tx("supplier1", &[send("supplier1", "new", 5)]);
    let result = world.chain.check_tx(&tx);
    assert_eq!((result.code, result.log.as_str()), (21, ""));
}

#[test]
fn simulation_tells_gas_or_the_messages_error() {
    let (mut world, mut draft) = world();
    draft.fee.gas_limit = 0;
    draft.fee.amount.clear();
    assert!(world.chain.simulate(&draft.sign()).unwrap() > 50_000);
    let mut work = world.work("supplier1", 1);
    world.advance_to(4);
    let claim = world.tx("supplier1", &[work.claim()]);
    let error = world.chain.simulate(&claim).unwrap_err().to_string();
    assert!(
        error.contains("claim attempted outside of the session's claim window with gas used: '"),
        "{error}"
    );
    world.advance_to(6);
    assert!(world.chain.simulate(&world.tx("supplier1", &[work.claim()])).is_ok());
}

#[test]
fn simulation_follows_what_the_mempool_has() {
    let (mut world, mut draft) = world();
    assert_eq!(world.chain.check_tx(&draft.sign()).code, 0);
    let error = world.chain.simulate(&draft.sign()).unwrap_err().to_string();
    assert!(
        error.contains("account sequence mismatch, expected 1, got 0"),
        "{error}"
    );
    draft.sequence += 1;
    assert!(world.chain.simulate(&draft.sign()).is_ok());
}
