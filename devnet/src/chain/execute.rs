//! Runs transactions and the end of a block.

use bytes::Bytes;
use pocket_proto::cosmos::bank::v1beta1::MsgSend;
use pocket_protocol::Height;

use crate::chain::bank::DENOM;
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::refusal::{HandlerError, Refusal, sdk};
use crate::chain::state::State;
use crate::chain::tx::ante::{self, GasMeter};
use crate::chain::tx::decode::{Message, Tx};
use crate::chain::tx::{Mode, TxResult, gas};
use crate::chain::{claim, proof, settlement, unbonding, verdict};

/// A simulated transaction that failed, with the gas it took until then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} with gas used: '{gas_used}'")]
pub struct SimulationError {
    /// What a transaction result's log would say.
    pub text: String,
    /// Until the failure.
    pub gas_used: u64,
}

/// What stopped a transaction.
enum Stop {
    /// A registered error, with its code.
    Refused(Refusal),
    /// A message's handler failed; the chain tells no code.
    Failed(String),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Stop {
    fn text(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.to_string(),
            Self::Failed(text) => text.clone(),
        }
    }

    fn into_result(self) -> TxResult {
        match self {
            Self::Refused(refusal) => TxResult::refused(&refusal),
            Self::Failed(log) => TxResult {
                code: 1,
                codespace: "undefined".to_owned(),
                log,
                ..TxResult::default()
            },
        }
    }
}

/// A transaction for the mempool.
pub fn check(mempool: &mut State, context: &Context<'_>, bytes: &Bytes) -> TxResult {
    let limit = mempool.params.max_tx_bytes;
    if bytes.len() > limit {
        // The node says no more than the code.
        return TxResult {
            log: String::new(),
            ..TxResult::refused(&sdk::TX_TOO_LARGE.bare())
        };
    }
    let mut state = mempool.clone();
    let result = decoded(bytes, |tx| {
        let mut gas = GasMeter::new(tx, Mode::Check);
        let outcome = ante::check(&mut state, context, tx, Mode::Check, &mut gas);
        finish(tx, &gas, outcome.map_err(Stop::from))
    });
    if result.code == 0 {
        *mempool = state;
    }
    result
}

/// A transaction of a block.
pub fn deliver(state: &mut State, context: &Context<'_>, bytes: &Bytes) -> TxResult {
    decoded(bytes, |tx| {
        let mut gas = GasMeter::new(tx, Mode::Deliver);
        let mut charged = state.clone();
        let paid = match ante::check(&mut charged, context, tx, Mode::Deliver, &mut gas) {
            Ok(events) => events,
            Err(refusal) => return finish(tx, &gas, Err(refusal.into())),
        };
        // From here on the fee is gone, whatever the messages do.
        let mut executed = charged.clone();
        let outcome = messages(&mut executed, context, tx, &mut gas);
        *state = if outcome.is_ok() { executed } else { charged };
        let mut result = finish(tx, &gas, outcome);
        result.events.splice(0..0, paid);
        result
    })
}

/// A transaction that is only tried.
pub fn simulate(state: &State, context: &Context<'_>, bytes: &Bytes) -> Result<u64, SimulationError> {
    let fail = |gas_used, text| Err(SimulationError { text, gas_used });
    let tx = match decode(bytes) {
        Ok(tx) => tx,
        Err(refusal) => return fail(0, refusal.to_string()),
    };
    let mut gas = GasMeter::new(&tx, Mode::Simulate);
    let mut state = state.clone();
    let outcome = ante::check(&mut state, context, &tx, Mode::Simulate, &mut gas)
        .map_err(Stop::from)
        .and_then(|_| messages(&mut state, context, &tx, &mut gas));
    match outcome {
        Ok(_) => Ok(gas.used()),
        Err(stop) => fail(gas.used(), stop.text()),
    }
}

/// One message. On failure the state is of no use.
pub fn message(state: &mut State, context: &Context<'_>, message: &Message) -> Result<Vec<Event>, HandlerError> {
    match message {
        Message::CreateClaim(message) => claim::create(state, context, message),
        Message::SubmitProof(message) => proof::submit(state, context, message),
        Message::Send(message) => send(state, message),
    }
}

/// The end of a block, in the order of the chain's modules.
pub fn end_block(state: &mut State, context: &Context<'_>) -> Vec<Event> {
    let mut events = verdict::check_proofs(state, context);
    events.extend(settlement::settle(state, context));
    events.extend(unbonding::end_block(state, context));
    // Parameters that are not valid stay as they were; the chain logs it and goes on.
    let _ = state.shared.end_block(Height(context.height));
    events
}

fn decode(bytes: &Bytes) -> Result<Tx, Refusal> {
    let tx = Tx::decode(bytes)?;
    tx.validate_messages()?;
    Ok(tx)
}

fn decoded(bytes: &Bytes, run: impl FnOnce(&Tx) -> TxResult) -> TxResult {
    match decode(bytes) {
        Ok(tx) => run(&tx),
        Err(refusal) => TxResult::refused(&refusal),
    }
}

fn finish(tx: &Tx, gas: &GasMeter, outcome: Result<Vec<Event>, Stop>) -> TxResult {
    let result = match outcome {
        Ok(events) => TxResult {
            events,
            ..TxResult::default()
        },
        Err(stop) => stop.into_result(),
    };
    TxResult {
        gas_wanted: tx.fee.gas_limit,
        gas_used: gas.used(),
        ..result
    }
}

fn messages(state: &mut State, context: &Context<'_>, tx: &Tx, gas: &mut GasMeter) -> Result<Vec<Event>, Stop> {
    let mut events = Vec::new();
    for (index, entry) in tx.messages.iter().enumerate() {
        gas.take(gas::message(entry), "message")?;
        let happened = message(state, context, entry)
            .map_err(|error| Stop::Failed(format!("failed to execute message; message index: {index}: {error}")))?;
        let own = Event::new("message")
            .last("action", entry.type_url())
            .last("sender", entry.signer());
        events.extend(
            [own]
                .into_iter()
                .chain(happened)
                .map(|event| event.last("msg_index", &index.to_string())),
        );
    }
    Ok(events)
}

fn send(state: &mut State, message: &MsgSend) -> Result<Vec<Event>, HandlerError> {
    let refuse = |refusal: Refusal| HandlerError::new(tonic::Code::InvalidArgument, &refusal);
    for coin in &message.amount {
        let amount = coin
            .amount
            .parse()
            .ok()
            .filter(|amount: &u128| *amount > 0 && coin.denom == DENOM);
        let amount = amount.ok_or_else(|| refuse(sdk::INVALID_COINS.wrap(&coin.amount)))?;
        state
            .bank
            .transfer(&message.from_address, &message.to_address, amount)
            .map_err(refuse)?;
    }
    Ok(Vec::new())
}
