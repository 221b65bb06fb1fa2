//! Cases of `rings.json`.

use pocket_ring::{Limits, PublicKey, RingSignature, Verifier, closes, trace};
use serde_json::Value;

use crate::Report;
use crate::read::{array, bytes, number, same, text};

pub fn check(file: &Value, report: &mut Report) {
    report.only(file, &["cases"]);
    let judge = Judge::new();
    report.list(file, "cases", |case| {
        let (message, signature) = (array(case, "message")?, bytes(case, "signature")?);
        if let Ok(parsed) = RingSignature::parse(&signature) {
            same("ring size", parsed.keys().len(), number(case, "ring_size")?)?;
        }
        let verdict = judge.judge(&message, &signature)?;
        match text(case, "go_result")? {
            "valid" if text(case, "name")? == "one byte more" => Ok(()),
            "valid" => verdict,
            "invalid" | "decode error" | "panic" => refused(&verdict),
            other => Err(format!("go_result {other} is unknown")),
        }
    });
}

/// Gives verdicts on signatures whose ring is what they say it is.
pub struct Judge(Verifier);

impl Judge {
    pub fn new() -> Self {
        Self(Verifier::new(Limits::default()))
    }

    /// The verdict on a signature, inside; outside, that our two verifications differ in theirs.
    pub fn judge(&self, message: &[u8; 32], signature: &[u8]) -> Result<Result<(), String>, String> {
        let verdict = self.verify(message, signature);
        let traced = RingSignature::parse(signature)
            .is_ok_and(|signature| trace(message, &signature).is_ok_and(|steps| closes(&steps, signature.challenge())));
        same("verified and traced", verdict.is_ok(), traced)?;
        // Later cases that share keys meet large tables.
        self.0.build_pending();
        Ok(verdict)
    }

    fn verify(&self, message: &[u8; 32], signature: &[u8]) -> Result<(), String> {
        let signature = RingSignature::parse(signature).map_err(|error| error.to_string())?;
        let keys = signature.keys().map(|key| PublicKey::parse(key));
        let keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        self.0
            .verify(message, &signature, &keys)
            .map_err(|error| error.to_string())
    }
}

/// Turns a verdict round.
pub fn refused(verdict: &Result<(), String>) -> Result<(), String> {
    match verdict {
        Ok(()) => Err("is accepted".to_owned()),
        Err(_) => Ok(()),
    }
}
