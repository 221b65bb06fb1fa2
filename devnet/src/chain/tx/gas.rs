//! What a transaction costs. Size and signature are counted as the chain counts them; what a message
//! takes is a figure near to what the real local chain takes (claims about 94,000, proofs 168,000 to 209,000).

use crate::chain::tx::decode::Message;

const PER_BYTE: u64 = 10;
const PER_SIGNATURE: u64 = 1000;
/// The place of a signature that a simulated transaction lacks, as the SDK estimates it.
const MISSING_SIGNATURE_BYTES: u64 = 114;
const UNORDERED: u64 = 2240;
/// Reading params and account, moving the fee.
const ANTE: u64 = 45_000;

/// Gas of everything before the messages.
pub fn ante(size: usize, signatures: usize, missing_signatures: usize, unordered: bool) -> u64 {
    let bytes = size as u64 + missing_signatures as u64 * MISSING_SIGNATURE_BYTES;
    ANTE + bytes * PER_BYTE + signatures as u64 * PER_SIGNATURE + if unordered { UNORDERED } else { 0 }
}

/// Gas of one message.
pub fn message(message: &Message) -> u64 {
    match message {
        Message::CreateClaim(_) => 42_000,
        // Read to check, written to store, read and removed at the end of the block.
        Message::SubmitProof(proof) => 85_000 + proof.proof.len() as u64 * 8,
        Message::Send(_) => 30_000,
    }
}
