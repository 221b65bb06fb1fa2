//! Lives of claims: each is lived on a devnet chain of its own, from claim to verdict.

use std::collections::BTreeMap;

use bytes::Bytes;
use pocket_devnet::chain::{Chain, HandlerError, Message};
use pocket_devnet::{Genesis, GenesisAccount, Localnet, coin};
use pocket_proto::pocket::application::{Application, UndelegatingGatewayList};
use pocket_proto::pocket::proof::{MsgCreateClaim, MsgSubmitProof};
use pocket_proto::pocket::service::RelayMiningDifficulty;
use pocket_proto::pocket::shared::{
    ApplicationServiceConfig, Service, ServiceRevenueShare, Supplier, SupplierServiceConfig,
};
use pocket_protocol::claim::{ProofRequirement, claim_of};
use prost::Message as _;
use serde_json::Value;

use crate::Report;
use crate::read::{array, bytes, flag, number, same, shared_params, text};

/// What an account owns unless the world says otherwise.
const BALANCE: u128 = 1_000_000_000_000;
const STAKE: u128 = 100_000_000_000;

/// Checks the lives of all worlds, each life as a case.
pub fn check(file: &Value, report: &mut Report) {
    for world in file["lives"].as_array().into_iter().flatten() {
        for life in world["lives"].as_array().into_iter().flatten() {
            let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
            report.case(&format!("{}: {}", name(world), name(life)), || live(world, life));
        }
    }
}

fn live(world: &Value, life: &Value) -> Result<(), String> {
    let mut chain = Chain::new(&genesis(world, life)?);
    let may_refuse = flag(life, "may_refuse")?;
    if !life["claim"].is_null() {
        let message: MsgCreateClaim = message(&life["claim"], "msg_create_claim")?;
        open_block(&mut chain, number(&life["claim"], "height")?);
        let answer = chain.deliver_message(&Message::CreateClaim(message.clone())).map(drop);
        same_answer("claim", answer, &life["claim"], may_refuse)?;
        check_requirement(&chain, world, life, &message)?;
    }
    if life["proof"].is_null() {
        return Ok(());
    }
    let message: MsgSubmitProof = message(&life["proof"], "msg_submit_proof")?;
    open_block(&mut chain, number(&life["proof"], "height")?);
    let answer = chain.deliver_message(&Message::SubmitProof(message)).map(drop);
    let accepted = answer.is_ok();
    same_answer("proof", answer, &life["proof"], may_refuse)?;
    if !accepted || life["settlement"].is_null() {
        return Ok(());
    }
    let block = chain.end_block();
    let event = block
        .events
        .iter()
        .find(|event| event.kind == "pocket.proof.EventProofValidityChecked");
    let reason = event.and_then(|event| event.value("failure_reason"));
    let reason = reason.ok_or("no event tells the verdict")?;
    if flag(&life["settlement"], "valid")? {
        return if may_refuse {
            Ok(())
        } else {
            same("reason", reason.as_str(), "")
        };
    }
    same_reason(&reason, text(&life["settlement"], "go_error")?)
}

fn message<M: prost::Message + Default>(stage: &Value, key: &str) -> Result<M, String> {
    M::decode(&bytes(stage, key)?[..]).map_err(|error| error.to_string())
}

/// Ends blocks until the one of `height` is in progress.
fn open_block(chain: &mut Chain, height: i64) {
    let time = chain.time();
    if chain.height() == 0 && chain.open_height().is_none() {
        chain.begin_block(time);
    }
    while chain.open_height().is_some_and(|open| open < height) {
        chain.end_block();
        chain.begin_block(time);
    }
}

fn same_answer(stage: &str, ours: Result<(), HandlerError>, case: &Value, may_refuse: bool) -> Result<(), String> {
    match (ours, flag(case, "accepted")?) {
        (Ok(()), true) => Ok(()),
        (Err(_), true) if may_refuse => Ok(()),
        (Err(error), true) => Err(format!("{stage} is refused: {error}")),
        (Ok(()), false) => Err(format!("{stage} is accepted")),
        (Err(error), false) => {
            same("code", format!("{:?}", error.code).as_str(), text(case, "code")?)?;
            same_reason(&error.text, text(case, "go_error")?)
        }
    }
}

/// Texts are the chain's, but for what its decoders and its tree's library say.
fn same_reason(ours: &str, theirs: &str) -> Result<(), String> {
    let foreign = ["failed to unmarshal", "error deserializing", "errors.go"];
    if theirs.starts_with("bad proof\n") {
        return same("start of the reason", ours.starts_with("bad proof\n"), true);
    }
    if foreign.iter().any(|part| theirs.contains(part)) {
        let end = |text: &str| text.rsplit(": ").next().unwrap_or_default().to_owned();
        return same("end of the reason", end(ours), end(theirs));
    }
    same("reason", ours, theirs)
}

/// The requirement is drawn with the block before the first proofs: live on until then, in a copy.
fn check_requirement(chain: &Chain, world: &Value, life: &Value, message: &MsgCreateClaim) -> Result<(), String> {
    let Some(expected) = life["requirement"].as_str() else {
        return Ok(());
    };
    let mut later = chain.clone();
    open_block(&mut later, number(&world["windows"], "proof_window_open_height")?);
    let drawn = later
        .view()
        .proof_requirement(&claim_of(message))
        .map_err(|refusal| refusal.to_string())?;
    let ours = match drawn {
        ProofRequirement::NotRequired => "NOT_REQUIRED",
        ProofRequirement::Probabilistic => "PROBABILISTIC",
        ProofRequirement::Threshold => "THRESHOLD",
    };
    same("requirement", ours, expected)
}

fn genesis(world: &Value, life: &Value) -> Result<Genesis, String> {
    let mut genesis = Localnet {
        applications: 0,
        suppliers: 0,
        ..Localnet::default()
    }
    .genesis();
    let service = text(world, "service_id")?;
    let hashes = world["block_hashes"].as_object().ok_or("block_hashes is no object")?;
    for height in hashes.keys() {
        let parsed = height.parse().map_err(|_| format!("{height} is no height"))?;
        genesis
            .block_hashes
            .insert(parsed, array(&world["block_hashes"], height)?);
    }
    genesis.params.shared = shared_params(&world["params"])?;
    genesis.params.proof.proof_request_probability = number(world, "proof_request_probability")?;
    genesis.params.proof.proof_requirement_threshold = Some(coin(number(world, "proof_requirement_threshold_upokt")?));
    genesis.params.proof.proof_submission_fee = Some(coin(number(world, "proof_submission_fee_upokt")?));
    genesis.accounts = accounts(world, life)?;
    genesis.services = vec![Service {
        id: service.to_owned(),
        compute_units_per_relay: number(world, "compute_units_per_relay")?,
        owner_address: text(&world["stranger"], "address")?.to_owned(),
        ..Service::default()
    }];
    genesis.difficulties = vec![RelayMiningDifficulty {
        service_id: service.to_owned(),
        block_height: 1,
        target_hash: Bytes::from(bytes(world, "target_hash")?),
        ..RelayMiningDifficulty::default()
    }];
    genesis.applications = vec![application(world, service)?];
    genesis.suppliers = list(world, "suppliers")
        .map(|actor| supplier(actor, service))
        .collect::<Result<_, _>>()?;
    Ok(genesis)
}

fn list<'a>(world: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    world[key].as_array().into_iter().flatten()
}

fn accounts(world: &Value, life: &Value) -> Result<Vec<GenesisAccount>, String> {
    let actors = ["suppliers", "gateways", "former_gateways"]
        .into_iter()
        .flat_map(|key| list(world, key));
    let actors = actors.chain([&world["application"], &world["stranger"]]);
    let poor = poor_supplier(world, life);
    let account = |actor| {
        let address = text(actor, "address")?.to_owned();
        let balance = poor
            .filter(|(poor, _)| *poor == address)
            .map_or(BALANCE, |(_, balance)| balance);
        Ok(GenesisAccount {
            address,
            public_key: Some(array(actor, "public_key")?),
            balance,
        })
    };
    actors.map(account).collect()
}

/// A supplier whose balance does not suffice: only the chain's answer tells how much it has.
fn poor_supplier<'a>(world: &'a Value, life: &Value) -> Option<(&'a str, u128)> {
    let answer = life["proof"]["go_error"].as_str()?;
    let balance = answer
        .strip_prefix("account has ")?
        .split_once(", but")
        .map(|(balance, _)| balance)?;
    let index = usize::try_from(life["supplier"].as_u64()?).ok()?;
    Some((world["suppliers"][index]["address"].as_str()?, balance.parse().ok()?))
}

fn application(world: &Value, service: &str) -> Result<Application, String> {
    let addresses = |list: &Value, key: &str| -> Vec<String> {
        list.as_array()
            .into_iter()
            .flatten()
            .filter_map(|entry| text_or_field(entry, key))
            .collect()
    };
    let mut left = BTreeMap::new();
    for undelegation in list(world, "pending_undelegations") {
        let gateway_addresses = addresses(&undelegation["gateway_addresses"], "address");
        left.insert(
            number(undelegation, "height")?,
            UndelegatingGatewayList { gateway_addresses },
        );
    }
    Ok(Application {
        address: text(&world["application"], "address")?.to_owned(),
        stake: Some(coin(STAKE)),
        service_configs: vec![ApplicationServiceConfig {
            service_id: service.to_owned(),
        }],
        delegatee_gateway_addresses: addresses(&world["gateways"], "address"),
        pending_undelegations: left,
        ..Application::default()
    })
}

fn text_or_field(entry: &Value, key: &str) -> Option<String> {
    entry.as_str().or_else(|| entry[key].as_str()).map(str::to_owned)
}

fn supplier(actor: &Value, service: &str) -> Result<Supplier, String> {
    let address = text(actor, "address")?.to_owned();
    let rev_share = vec![ServiceRevenueShare {
        address: address.clone(),
        rev_share_percentage: 100,
    }];
    Ok(Supplier {
        owner_address: address.clone(),
        operator_address: address,
        stake: Some(coin(STAKE)),
        services: vec![SupplierServiceConfig {
            service_id: service.to_owned(),
            endpoints: Vec::new(),
            rev_share,
        }],
        ..Supplier::default()
    })
}
