//! The checks before any message is executed, in the chain's order (spec `chain.md` §7.6).

use time::{Duration, OffsetDateTime};

use crate::actor::verify;
use crate::chain::bank::{Account, DENOM};
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::refusal::{Refusal, sdk};
use crate::chain::state::State;
use crate::chain::tx::Mode;
use crate::chain::tx::decode::{Tx, public_key};
use crate::chain::tx::gas;
use crate::chain::validate;

const MAX_MEMO: usize = 256;
/// How far ahead of the block an unordered transaction's timeout may lie.
const MAX_UNORDERED: Duration = Duration::minutes(10);
/// Where fees go.
pub const FEE_COLLECTOR: &str = "fee_collector";

/// Gas taken so far, against the limit.
#[derive(Debug)]
pub struct GasMeter {
    limit: u64,
    used: u64,
}

impl GasMeter {
    /// A meter of a transaction; a simulated one has no limit.
    pub fn new(tx: &Tx, mode: Mode) -> Self {
        let limit = if mode == Mode::Simulate {
            u64::MAX
        } else {
            tx.fee.gas_limit
        };
        Self { limit, used: 0 }
    }

    /// Takes gas; refused beyond the limit. `location` says for what.
    pub fn take(&mut self, gas: u64, location: &str) -> Result<(), Refusal> {
        self.used += gas;
        if self.used <= self.limit {
            return Ok(());
        }
        let (limit, used) = (self.limit, self.used);
        let detail = format!("out of gas in location: {location}; gasWanted: {limit}, gasUsed: {used}");
        Err(sdk::OUT_OF_GAS.wrap(detail))
    }

    /// Gas taken so far.
    pub fn used(&self) -> u64 {
        self.used
    }
}

/// Checks a transaction, charges its fee and counts its sequence.
pub fn check(
    state: &mut State,
    context: &Context<'_>,
    tx: &Tx,
    mode: Mode,
    gas: &mut GasMeter,
) -> Result<Vec<Event>, Refusal> {
    if tx.signatures.is_empty() {
        return Err(sdk::NO_SIGNATURES.bare());
    }
    check_timeout(context, tx)?;
    if tx.memo.len() > MAX_MEMO {
        let length = tx.memo.len();
        let detail = format!("maximum number of characters is {MAX_MEMO} but received {length} characters");
        return Err(sdk::MEMO_TOO_LARGE.wrap(detail));
    }
    let missing = tx.signatures.iter().filter(|signature| signature.is_empty()).count();
    gas.take(gas::ante(tx.size, tx.signatures.len(), missing, tx.unordered), "ante")?;
    let fee = charge(state, tx, mode)?;
    store_public_keys(state, tx, mode)?;
    check_signatures(state, context, tx, mode)?;
    if !tx.unordered {
        for signer in tx.required_signers() {
            account_mut(state, signer)?.sequence += 1;
        }
    }
    let payer = fee_payer(tx);
    Ok(vec![Event::new("tx").last("fee", &fee).last("fee_payer", payer)])
}

fn check_timeout(context: &Context<'_>, tx: &Tx) -> Result<(), Refusal> {
    let (height, last) = (context.height, tx.timeout_height);
    if last > 0 && height as u64 > last {
        return Err(sdk::TIMEOUT_HEIGHT.wrap(format!("block height: {height}, timeout height: {last}")));
    }
    match tx.timeout {
        Some(timeout) if timeout.unix_timestamp() != 0 && timeout < context.time => {
            let now = context.time;
            Err(sdk::TIMEOUT.wrap(format!("block time: {now}, timeout timestamp: {timeout}")))
        }
        _ => Ok(()),
    }
}

fn fee_payer(tx: &Tx) -> &str {
    if tx.fee.payer.is_empty() {
        tx.messages[0].signer()
    } else {
        &tx.fee.payer
    }
}

/// Takes the fee, and gives it as text.
fn charge(state: &mut State, tx: &Tx, mode: Mode) -> Result<String, Refusal> {
    let amount = fee_amount(tx)?;
    if mode == Mode::Check {
        check_gas_price(state, tx.fee.gas_limit, amount)?;
    }
    let payer = fee_payer(tx);
    if state.bank.account(payer).is_none() {
        return Err(sdk::UNKNOWN_ADDRESS.wrap(format!("fee payer address: {payer} does not exist")));
    }
    if amount == 0 {
        return Ok(String::new());
    }
    state.bank.transfer_to_module(payer, FEE_COLLECTOR, amount)?;
    Ok(format!("{amount}{DENOM}"))
}

fn fee_amount(tx: &Tx) -> Result<u128, Refusal> {
    match tx.fee.amount.as_slice() {
        [] => Ok(0),
        [coin] if coin.denom == DENOM && coin.amount.parse().is_ok_and(|amount: u128| amount > 0) => {
            Ok(coin.amount.parse().expect("just parsed"))
        }
        [coin] if coin.denom == DENOM => {
            let shown = format!("{}{}", coin.amount, coin.denom);
            Err(sdk::INSUFFICIENT_FEE.wrap(format!("invalid fee amount: {shown}")))
        }
        _ => Err(sdk::INSUFFICIENT_FUNDS.wrap("only upokt exists")),
    }
}

fn check_gas_price(state: &State, gas: u64, paid: u128) -> Result<(), Refusal> {
    let (upokt, per_gas) = state.params.min_gas_price;
    let required = (u128::from(gas) * u128::from(upokt)).div_ceil(u128::from(per_gas));
    if paid >= required {
        return Ok(());
    }
    let got = if paid == 0 {
        String::new()
    } else {
        format!("{paid}{DENOM}")
    };
    Err(sdk::INSUFFICIENT_FEE.wrap(format!("insufficient fees; got: {got} required: {required}{DENOM}")))
}

fn store_public_keys(state: &mut State, tx: &Tx, mode: Mode) -> Result<(), Refusal> {
    for (index, (signer, info)) in tx.required_signers().into_iter().zip(&tx.signers).enumerate() {
        let key = public_key(info)?;
        if mode != Mode::Simulate
            && let Some(key) = &key
            && validate::address(signer).is_ok()
            && pocket_protocol::SupplierAddress::of_public_key(key).as_str() != signer
        {
            let detail = format!("pubKey does not match signer address {signer} with signer index: {index}");
            return Err(sdk::INVALID_PUBLIC_KEY.wrap(detail));
        }
        let account = account_mut(state, signer)?;
        account.public_key = account.public_key.or(key);
    }
    Ok(())
}

fn check_signatures(state: &mut State, context: &Context<'_>, tx: &Tx, mode: Mode) -> Result<(), Refusal> {
    let signers = tx.required_signers();
    let (expected, got) = (signers.len(), tx.signatures.len());
    if expected != got || expected != tx.signers.len() {
        let detail = format!("invalid number of signer;  expected: {expected}, got {got}");
        return Err(sdk::UNAUTHORIZED.wrap(detail));
    }
    if tx.unordered {
        use_nonces(state, context, tx, mode)?;
    }
    for ((signer, info), signature) in signers.into_iter().zip(&tx.signers).zip(&tx.signatures) {
        let account = account_mut(state, signer)?;
        check_sequence(account, info.sequence, tx.unordered)?;
        if mode != Mode::Simulate {
            check_signature(account, context, tx, signature)?;
        }
    }
    Ok(())
}

fn check_sequence(account: &Account, sequence: u64, unordered: bool) -> Result<(), Refusal> {
    let expected = account.sequence;
    if unordered && sequence > 0 {
        return Err(sdk::INVALID_REQUEST.wrap("sequence is not allowed for unordered transactions"));
    }
    if !unordered && sequence != expected {
        let detail = format!("account sequence mismatch, expected {expected}, got {sequence}");
        return Err(sdk::WRONG_SEQUENCE.wrap(detail));
    }
    Ok(())
}

fn check_signature(account: &Account, context: &Context<'_>, tx: &Tx, signature: &[u8]) -> Result<(), Refusal> {
    let Some(key) = &account.public_key else {
        return Err(sdk::INVALID_PUBLIC_KEY.wrap("pubkey on account is not set"));
    };
    let (chain_id, number) = (context.chain_id, account.number);
    if verify(key, &tx.sign_bytes(chain_id, number), signature) {
        return Ok(());
    }
    let reason = "unable to verify single signer signature";
    let detail = format!(
        "signature verification failed; please verify account number ({number}) and chain-id ({chain_id}): ({reason})"
    );
    Err(sdk::UNAUTHORIZED.wrap(detail))
}

/// An unordered transaction's timeout may be used once by each signer (spec `chain.md` §7.3).
fn use_nonces(state: &mut State, context: &Context<'_>, tx: &Tx, mode: Mode) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(sdk::INVALID_REQUEST.wrap(detail));
    let timeout = match tx.timeout {
        Some(timeout) if timeout.unix_timestamp() != 0 => timeout,
        _ => return refuse("unordered transaction must have timeout_timestamp set".to_owned()),
    };
    if timeout > context.time + MAX_UNORDERED {
        return refuse("unordered tx ttl exceeds 10m0s".to_owned());
    }
    if mode == Mode::Simulate {
        return Ok(());
    }
    forget_expired(state, context.time);
    for signer in tx.required_signers() {
        let nonce = (timeout.unix_timestamp_nanos(), signer.to_owned());
        if !state.unordered.insert(nonce) {
            return refuse(format!(
                "failed to add unordered nonce: already used timeout {timeout} for {signer}"
            ));
        }
    }
    Ok(())
}

fn forget_expired(state: &mut State, now: OffsetDateTime) {
    state.unordered = state.unordered.split_off(&(now.unix_timestamp_nanos(), String::new()));
}

fn account_mut<'a>(state: &'a mut State, address: &str) -> Result<&'a mut Account, Refusal> {
    let unknown = || sdk::UNKNOWN_ADDRESS.wrap(format!("account {address} does not exist"));
    state.bank.account_mut(address).ok_or_else(unknown)
}
