//! Cases of `ring_signatures.json`.

use pocket_ring::{
    HashedScalar, PrivateKey, PublicKey, RingSignature, Scalar, Signer, Step, hash_to_point, hash_to_scalar, sign,
    trace,
};
use serde_json::Value;

use super::rings::{Judge, refused};
use crate::Report;
use crate::read::{array, bytes, flag, number, same, text};

pub fn check(file: &Value, report: &mut Report) {
    report.only(
        file,
        &["cases", "lenient", "negative", "hash_to_curve", "hash_to_scalar"],
    );
    let judge = Judge::new();
    report.list(file, "cases", |case| positive(case, &judge));
    report.list(file, "lenient", |case| lenient(case, &judge));
    report.list(file, "negative", |case| negative(case, &judge));
    report.list(file, "hash_to_curve", hashed_point);
    report.list(file, "hash_to_scalar", hashed_scalar);
}

fn positive(case: &Value, judge: &Judge) -> Result<(), String> {
    same("kind", text(case, "kind")?, "positive")?;
    same("verdict", text(case, "expected")?, "valid")?;
    let (message, encoded) = (array(case, "message")?, bytes(case, "signature")?);
    judge.judge(&message, &encoded)??;
    let signature = RingSignature::parse(&encoded).map_err(|error| error.to_string())?;
    same(
        "signature written again",
        hex::encode(signature.to_bytes()),
        hex::encode(&encoded),
    )?;
    let ring = parts(case, &signature)?;
    challenges(case, &message, &signature)?;
    signs_for(case, &message, &ring, judge)
}

/// The fields that stand in the signature; gives its ring.
fn parts(case: &Value, signature: &RingSignature) -> Result<Vec<PublicKey>, String> {
    same("ring size", signature.keys().len(), number(case, "ring_size")?)?;
    same(
        "key image",
        hex::encode(signature.key_image()),
        text(case, "key_image")?.to_owned(),
    )?;
    let keys: Vec<_> = signature.keys().map(hex::encode).collect();
    same("keys", keys, texts(case, "public_keys")?)?;
    let responses: Vec<_> = signature.responses().map(hex_of).collect();
    same("responses", responses, texts(case, "responses")?)?;
    let ring = signature
        .keys()
        .map(|key| PublicKey::parse(key))
        .collect::<Result<Vec<_>, _>>();
    let ring = ring.map_err(|error| error.to_string())?;
    if !case["placeholder_public_key"].is_null() {
        let placeholder = hex::encode(PublicKey::PLACEHOLDER.to_bytes());
        same(
            "placeholder",
            placeholder,
            text(case, "placeholder_public_key")?.to_owned(),
        )?;
        same("placeholder in the ring", ring.contains(&PublicKey::PLACEHOLDER), true)?;
    }
    Ok(ring)
}

/// The fields that arise in verification. Large rings are shown without their points L and R.
fn challenges(case: &Value, message: &[u8; 32], signature: &RingSignature) -> Result<(), String> {
    let steps = trace(message, signature).map_err(|error| error.to_string())?;
    let points = |point: fn(&Step) -> &[u8; 33]| steps.iter().map(|step| hex::encode(point(step))).collect();
    same(
        "hashed keys",
        points(|step| &step.hashed_key),
        texts(case, "hashed_keys")?,
    )?;
    same("L and R shown", case["l_points"].is_null(), case["r_points"].is_null())?;
    if !case["l_points"].is_null() {
        same("points L", points(|step| &step.left), texts(case, "l_points")?)?;
        same("points R", points(|step| &step.right), texts(case, "r_points")?)?;
    }
    // Each step gives the next member's challenge, the last one the first's.
    let mut hashed: Vec<_> = steps.iter().map(|step| step.challenge).collect();
    hashed.rotate_right(1);
    let used = hashed.iter().map(|challenge| challenge.scalar.map(hex_of));
    let used = used.collect::<Option<Vec<_>>>().ok_or("a challenge is undefined")?;
    same("challenges", used, texts(case, "challenges")?)?;
    let short = (0u64..).zip(&hashed).filter(|(_, challenge)| challenge.is_short());
    let short: Vec<_> = short.map(|(index, _)| Value::from(index)).collect();
    same("short challenges", Value::from(short), case["short_challenges"].clone())
}

/// Our signatures by the case's signer are accepted, and bear the same key image.
fn signs_for(case: &Value, message: &[u8; 32], ring: &[PublicKey], judge: &Judge) -> Result<(), String> {
    let key = PrivateKey::parse(&bytes(case, "signer_private_key")?).map_err(|error| error.to_string())?;
    let place: usize = number(case, "signer_index")?;
    same("signer's key", Some(&key.public_key()), ring.get(place))?;
    let signature = sign(message, &key, ring, &mut rand::rng()).map_err(|error| error.to_string())?;
    judge.judge(message, &signature.to_bytes())??;
    same(
        "our key image",
        hex::encode(signature.key_image()),
        text(case, "key_image")?.to_owned(),
    )?;
    let signer = Signer::new(key, ring).map_err(|error| error.to_string())?;
    judge.judge(message, &signer.sign(message, &mut rand::rng()).to_bytes())?
}

fn lenient(case: &Value, judge: &Judge) -> Result<(), String> {
    same("kind", text(case, "kind")?, "lenient")?;
    same("verdict", text(case, "expected")?, "valid")?;
    let verdict = judge.judge(&array(case, "message")?, &bytes(case, "signature")?)?;
    let may_refuse = flag(case, "may_refuse")?;
    verdict.or_else(|why| if may_refuse { Ok(()) } else { Err(why) })
}

fn negative(case: &Value, judge: &Judge) -> Result<(), String> {
    same("kind", text(case, "kind")?, "negative")?;
    match text(case, "expected")? {
        "invalid" | "parse_error" | "panic" => {
            refused(&judge.judge(&array(case, "message")?, &bytes(case, "signature")?)?)
        }
        other => Err(format!("expected {other} is unknown")),
    }
}

fn hashed_point(case: &Value) -> Result<(), String> {
    let private = PrivateKey::parse(&bytes(case, "private_key")?).map_err(|error| error.to_string())?;
    let public = PublicKey::parse(&bytes(case, "public_key")?).map_err(|error| error.to_string())?;
    same("public key", private.public_key(), public)?;
    let hashed = hash_to_point(&public);
    same("point", hex::encode(hashed.point), text(case, "hashed")?.to_owned())?;
    same("rounds", hashed.rounds, number(case, "rounds")?)?;
    same(
        "key image",
        hex::encode(private.key_image()),
        text(case, "key_image")?.to_owned(),
    )
}

fn hashed_scalar(case: &Value) -> Result<(), String> {
    let input = bytes(case, "input")?;
    let reduced = hex_of(HashedScalar::of(&input).reduced);
    same("reduced", reduced.trim_start_matches('0'), text(case, "reduced")?)?;
    same(
        "scalar",
        hash_to_scalar(&input).map(hex_of),
        Some(text(case, "scalar")?.to_owned()),
    )
}

fn hex_of(scalar: Scalar) -> String {
    hex::encode(scalar.to_bytes())
}

/// A list of texts.
fn texts(case: &Value, key: &str) -> Result<Vec<String>, String> {
    let list = case[key]
        .as_array()
        .ok_or_else(|| format!("field {key} is missing or no list"))?;
    let texts = list.iter().map(|value| value.as_str().map(str::to_owned));
    texts
        .collect::<Option<_>>()
        .ok_or_else(|| format!("field {key} holds something other than text"))
}
