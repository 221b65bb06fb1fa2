//! From bytes to messages. What is not encoded canonically is refused (spec `chain.md` §7.1).

use bytes::Bytes;
use pocket_proto::cosmos::bank::v1beta1::MsgSend;
use pocket_proto::cosmos::crypto::secp256k1::PubKey;
use pocket_proto::cosmos::tx::v1beta1::{AuthInfo, Fee, SignDoc, SignerInfo, TxBody, TxRaw};
use pocket_proto::pocket::proof::{MsgCreateClaim, MsgSubmitProof};
use pocket_proto::type_url;
use prost::Message as _;
use time::OffsetDateTime;

use crate::chain::refusal::{Refusal, sdk};
use crate::chain::validate;

/// A message that this chain understands.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A claim.
    CreateClaim(MsgCreateClaim),
    /// A proof.
    SubmitProof(MsgSubmitProof),
    /// A transfer of coins.
    Send(MsgSend),
}

impl Message {
    /// Its type URL.
    pub fn type_url(&self) -> &'static str {
        match self {
            Self::CreateClaim(_) => type_url::MSG_CREATE_CLAIM,
            Self::SubmitProof(_) => type_url::MSG_SUBMIT_PROOF,
            Self::Send(_) => type_url::MSG_SEND,
        }
    }

    /// Who must sign it.
    pub fn signer(&self) -> &str {
        match self {
            Self::CreateClaim(message) => &message.supplier_operator_address,
            Self::SubmitProof(message) => &message.supplier_operator_address,
            Self::Send(message) => &message.from_address,
        }
    }

    fn decode(any: &prost_types::Any) -> Result<Self, Refusal> {
        match any.type_url.as_str() {
            type_url::MSG_CREATE_CLAIM => canonical(&any.value).map(Self::CreateClaim),
            type_url::MSG_SUBMIT_PROOF => canonical(&any.value).map(Self::SubmitProof),
            type_url::MSG_SEND => canonical(&any.value).map(Self::Send),
            unknown => Err(sdk::TX_DECODE.wrap(format!("unable to resolve type URL {unknown}"))),
        }
    }

    fn validate(&self) -> Result<(), Refusal> {
        match self {
            Self::CreateClaim(message) => validate::create_claim(message),
            Self::SubmitProof(message) => validate::submit_proof(message),
            Self::Send(_) => Ok(()),
        }
    }
}

/// A transaction taken apart.
#[derive(Clone, Debug)]
pub struct Tx {
    /// In order of execution.
    pub messages: Vec<Message>,
    /// Free text.
    pub memo: String,
    /// Last block that may hold it; 0 for no limit.
    pub timeout_height: u64,
    /// Last block time at which it may be executed.
    pub timeout: Option<OffsetDateTime>,
    /// Without a sequence.
    pub unordered: bool,
    /// Limit and price.
    pub fee: Fee,
    /// One per signature.
    pub signers: Vec<SignerInfo>,
    /// As many as there are signers.
    pub signatures: Vec<Bytes>,
    /// Length of the whole, in bytes.
    pub size: usize,
    body_bytes: Bytes,
    auth_info_bytes: Bytes,
}

impl Tx {
    /// Decodes a `TxRaw` and checks what needs no state.
    pub fn decode(bytes: &Bytes) -> Result<Self, Refusal> {
        let raw: TxRaw = canonical(bytes)?;
        let body: TxBody = canonical(&raw.body_bytes)?;
        let auth_info: AuthInfo = canonical(&raw.auth_info_bytes)?;
        let messages = body
            .messages
            .iter()
            .map(Message::decode)
            .collect::<Result<Vec<_>, _>>()?;
        if messages.is_empty() {
            return Err(sdk::INVALID_REQUEST.wrap("must contain at least one message"));
        }
        let fee = auth_info.fee.ok_or_else(|| sdk::TX_DECODE.wrap("missing fee"))?;
        Ok(Self {
            messages,
            memo: body.memo,
            timeout_height: body.timeout_height,
            timeout: body.timeout_timestamp.map(moment).transpose()?,
            unordered: body.unordered,
            fee,
            signers: auth_info.signer_infos,
            signatures: raw.signatures,
            size: bytes.len(),
            body_bytes: raw.body_bytes,
            auth_info_bytes: raw.auth_info_bytes,
        })
    }

    /// The stateless checks of all messages; they come before anything is charged.
    pub fn validate_messages(&self) -> Result<(), Refusal> {
        self.messages.iter().try_for_each(Message::validate)
    }

    /// Who must sign, each once, the fee's payer last.
    pub fn required_signers(&self) -> Vec<&str> {
        let mut signers = Vec::new();
        let payer = Some(self.fee.payer.as_str()).filter(|payer| !payer.is_empty());
        for signer in self.messages.iter().map(Message::signer).chain(payer) {
            if !signers.contains(&signer) {
                signers.push(signer);
            }
        }
        signers
    }

    /// What an account signs.
    pub fn sign_bytes(&self, chain_id: &str, account_number: u64) -> Vec<u8> {
        SignDoc {
            body_bytes: self.body_bytes.clone(),
            auth_info_bytes: self.auth_info_bytes.clone(),
            chain_id: chain_id.to_owned(),
            account_number,
        }
        .encode_to_vec()
    }
}

/// A signer's key, if it is given and of the one known kind.
pub fn public_key(signer: &SignerInfo) -> Result<Option<[u8; 33]>, Refusal> {
    let Some(any) = &signer.public_key else {
        return Ok(None);
    };
    if any.type_url != type_url::PUB_KEY {
        return Err(sdk::TX_DECODE.wrap(format!("unable to resolve type URL {}", any.type_url)));
    }
    let key: PubKey = canonical(&any.value)?;
    let key = key
        .key
        .as_ref()
        .try_into()
        .map_err(|_| sdk::INVALID_PUBLIC_KEY.wrap("length of pubkey is incorrect"))?;
    Ok(Some(key))
}

fn canonical<M: prost::Message + Default>(bytes: &[u8]) -> Result<M, Refusal> {
    let message = M::decode(bytes).map_err(|error| sdk::TX_DECODE.wrap(error.to_string()))?;
    if message.encode_to_vec() != bytes {
        return Err(sdk::TX_DECODE.wrap("unknown fields or an encoding that is not canonical"));
    }
    Ok(message)
}

fn moment(timestamp: prost_types::Timestamp) -> Result<OffsetDateTime, Refusal> {
    let nanoseconds = i128::from(timestamp.seconds) * 1_000_000_000 + i128::from(timestamp.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).map_err(|_| sdk::TX_DECODE.wrap("timestamp out of range"))
}
