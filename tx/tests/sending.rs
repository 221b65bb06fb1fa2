//! Sequences, gas, lost answers and inclusion, against a node that checks sequences as the chain does.

mod support;

use pocket_protocol::{Height, Upokt};
use pocket_tx::{ChainRefusal, Inclusion, Mode, TxConfig, TxError, tx_hash};
use support::{World, auth_info, body, message};

fn ordered() -> TxConfig {
    TxConfig::default()
}

#[tokio::test]
async fn transactions_sent_together_have_sequences_without_gaps() {
    let world = World::new(ordered()).await;
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..10 {
        let (sender, signer) = (world.sender.clone(), world.signer.clone());
        sends.spawn(async move { sender.send(&signer, &[message(number)], Height(30)).await });
    }
    while let Some(sent) = sends.join_next().await {
        sent.unwrap().unwrap();
    }
    let node = world.node.lock();
    let sequences: Vec<_> = node
        .mempool
        .iter()
        .map(|tx| auth_info(tx).signer_infos[0].sequence)
        .collect();
    assert_eq!(sequences, (7..17).collect::<Vec<_>>());
    assert_eq!(node.offered.len(), 10, "none was refused on the way");
}

#[tokio::test]
async fn sequence_that_another_program_used_is_corrected() {
    let world = World::new(ordered()).await;
    world
        .sender
        .send(&world.signer, &[message(1)], Height(30))
        .await
        .unwrap();
    world.node.lock().sequence = 40;
    world
        .sender
        .send(&world.signer, &[message(2)], Height(30))
        .await
        .unwrap();
    // And downwards: the mempool lost its transactions.
    world.node.lock().sequence = 8;
    world
        .sender
        .send(&world.signer, &[message(3)], Height(30))
        .await
        .unwrap();
    assert_eq!(world.node.lock().sequence, 9);
}

#[tokio::test]
async fn wrong_sequence_at_broadcast_is_corrected_without_simulation() {
    let fixed = TxConfig {
        gas_limit: Some(500_000),
        ..ordered()
    };
    let world = World::new(fixed).await;
    world
        .sender
        .send(&world.signer, &[message(1)], Height(30))
        .await
        .unwrap();
    world.node.lock().sequence = 40;
    let sent = world
        .sender
        .send(&world.signer, &[message(2)], Height(30))
        .await
        .unwrap();
    assert_eq!((sent.gas_limit, sent.fee), (500_000, Upokt(1)));
    let node = world.node.lock();
    assert_eq!((node.simulations, node.offered.len()), (0, 3));
}

#[tokio::test]
async fn gas_is_simulated_and_adjusted_and_the_fee_rounded_up() {
    let gas_price = "0.00001upokt".parse().unwrap();
    let world = World::new(TxConfig { gas_price, ..ordered() }).await;
    let sent = world
        .sender
        .send(&world.signer, &[message(1)], Height(30))
        .await
        .unwrap();
    assert_eq!(
        (sent.gas_limit, sent.fee, sent.sent_at),
        (170_001, Upokt(2), Height(20))
    );
    let node = world.node.lock();
    let fee = auth_info(&node.mempool[0]).fee.unwrap();
    assert_eq!((fee.gas_limit, fee.amount[0].amount.as_str()), (170_001, "2"));
    assert_eq!(body(&node.mempool[0]).timeout_height, 30);
    assert_eq!(tx_hash(&node.mempool[0]), sent.hash);
}

#[tokio::test]
async fn message_that_the_simulation_refuses_is_named_and_nothing_is_sent() {
    let world = World::new(ordered()).await;
    let log = "failed to execute message; message index: 1: rpc error: code = NotFound desc = x: claim not found";
    world.node.lock().simulation = Some(log.to_owned());
    let refused = world
        .sender
        .send(&world.signer, &[message(1), message(2)], Height(30))
        .await;
    let Err(TxError::Refused {
        message_index, reason, ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((message_index, reason), (Some(1), ChainRefusal::ClaimNotFound));
    assert_eq!(world.node.lock().offered.len(), 0);
}

#[tokio::test]
async fn lost_answer_is_followed_by_the_same_bytes() {
    let world = World::new(ordered()).await;
    world.node.lock().lose_answers = 1;
    world
        .sender
        .send(&world.signer, &[message(1)], Height(30))
        .await
        .unwrap();
    {
        let node = world.node.lock();
        assert_eq!((node.offered.len(), node.mempool.len()), (2, 1));
        assert_eq!(node.offered[0], node.offered[1]);
    }
    world
        .sender
        .send(&world.signer, &[message(2)], Height(30))
        .await
        .unwrap();
    assert_eq!(
        world.node.lock().offered.len(),
        3,
        "the next sequence was right at once"
    );
}

#[tokio::test]
async fn transaction_without_any_answer_is_uncertain_and_found_in_its_block() {
    let world = World::new(ordered()).await;
    world.node.lock().lose_answers = u32::MAX;
    let uncertain = world.sender.send(&world.signer, &[message(1)], Height(30)).await;
    let Err(TxError::Uncertain(sent)) = uncertain else {
        panic!("{uncertain:?}");
    };
    world.make_block(0, "");
    let found = world.sender.inclusion(&sent.hash, sent.sent_at + 1, Height(30)).await;
    let (height, outcome) = (Height(21), Ok(90_000));
    assert_eq!(found, Ok(Inclusion::Included { height, outcome }));
}

#[tokio::test]
async fn transaction_is_pending_then_absent_when_no_block_has_it() {
    let world = World::new(ordered()).await;
    let sent = world
        .sender
        .send(&world.signer, &[message(1)], Height(23))
        .await
        .unwrap();
    world.node.lock().mempool.clear();
    world.make_block(0, "");
    let look = || world.sender.inclusion(&sent.hash, Height(21), Height(23));
    assert_eq!(look().await, Ok(Inclusion::Pending { next: Height(22) }));
    world.make_block(0, "");
    world.make_block(0, "");
    assert_eq!(look().await, Ok(Inclusion::Absent));
}

#[tokio::test]
async fn transaction_that_failed_in_its_block_says_why() {
    let world = World::new(ordered()).await;
    let sent = world
        .sender
        .send(&world.signer, &[message(1)], Height(23))
        .await
        .unwrap();
    world.make_block(
        1,
        "failed to execute message; message index: 0: desc = x: invalid proof",
    );
    let found = world
        .sender
        .inclusion(&sent.hash, Height(21), Height(23))
        .await
        .unwrap();
    let Inclusion::Included {
        outcome: Err(TxError::Refused {
            message_index, reason, ..
        }),
        ..
    } = found
    else {
        panic!("{found:?}");
    };
    assert_eq!((message_index, reason), (Some(0), ChainRefusal::WrongProof));
}

#[tokio::test]
async fn full_mempool_is_worth_another_try_and_leaves_the_sequence() {
    let world = World::new(ordered()).await;
    world.node.lock().refuse = Some((20, ""));
    let full = world.sender.send(&world.signer, &[message(1)], Height(30)).await;
    assert!(matches!(full, Err(TxError::Retry(_))), "{full:?}");
    world
        .sender
        .send(&world.signer, &[message(1)], Height(30))
        .await
        .unwrap();
    assert_eq!(world.node.lock().sequence, 8);
}

#[tokio::test]
async fn unordered_transactions_have_timestamps_of_their_own_within_ten_minutes() {
    let unordered = TxConfig {
        mode: Mode::Unordered,
        ..ordered()
    };
    let world = World::new(unordered).await;
    for number in 0..2 {
        world
            .sender
            .send(&world.signer, &[message(number)], Height(25))
            .await
            .unwrap();
    }
    world
        .sender
        .send(&world.signer, &[message(2)], Height(5_000))
        .await
        .unwrap();
    let node = world.node.lock();
    let times: Vec<_> = node
        .mempool
        .iter()
        .map(|tx| body(tx).timeout_timestamp.unwrap().to_string())
        .collect();
    // Block 20 is of 00:03:20; five blocks of ten seconds each are left of the first two's window.
    assert_eq!(
        times,
        [
            "2026-01-01T00:04:10Z",
            "2026-01-01T00:04:10.000000001Z",
            "2026-01-01T00:13:10Z"
        ]
    );
    assert!(
        node.mempool
            .iter()
            .all(|tx| auth_info(tx).signer_infos[0].sequence == 0 && body(tx).unordered)
    );
}

#[tokio::test]
async fn signer_without_a_key_is_named() {
    let world = World::new(ordered()).await;
    let stranger: pocket_protocol::SupplierAddress = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".parse().unwrap();
    let refused = world.sender.send(&stranger, &[message(1)], Height(30)).await;
    assert_eq!(refused, Err(TxError::NoKey(stranger)));
}

#[tokio::test]
async fn transaction_whose_last_block_is_past_is_not_sent() {
    for mode in [Mode::Ordered, Mode::Unordered] {
        let world = World::new(TxConfig { mode, ..ordered() }).await;
        let late = world.sender.send(&world.signer, &[message(1)], Height(20)).await;
        assert!(matches!(late, Err(TxError::Expired(_))), "{late:?}");
        assert_eq!(world.node.lock().offered.len(), 0);
    }
}
