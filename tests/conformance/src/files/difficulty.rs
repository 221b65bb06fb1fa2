//! Cases of `difficulty.json`.

use pocket_protocol::difficulty::{is_mined, multiplier, scaled_target};
use serde_json::Value;

use crate::Report;
use crate::read::{array, flag, number, same, text};

pub fn check(file: &Value, report: &mut Report) {
    report.only(file, &["cases"]);
    report.list(file, "cases", |case| {
        let target: [u8; 32] = array(case, "target_hash")?;
        same(
            "is_mined",
            is_mined(&array(case, "relay_hash")?, &target),
            flag(case, "is_mined")?,
        )?;
        let multiplier = multiplier(&target).map_err(|error| error.to_string())?;
        same(
            "multiplier",
            multiplier.to_string().as_str(),
            text(case, "difficulty_multiplier")?,
        )?;
        let (target_num_relays, relays_ema) = (number(case, "target_num_relays")?, number(case, "relays_ema")?);
        let new_target = scaled_target(&target, target_num_relays, relays_ema);
        same("new target", new_target, array(case, "new_target_hash")?)
    });
}
