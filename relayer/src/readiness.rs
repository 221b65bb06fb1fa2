//! Whether this relayer is one to send relays to.

use std::time::Duration;

use crate::pipeline::Pipeline;

/// A node that says nothing for so long leaves the relayer with sessions and a height of the past.
const NODE_SILENCE: Duration = Duration::from_mins(2);

impl Pipeline {
    /// Why relays would be refused whatever they are, in words; empty while it is ready. A Redis that is away is no
    /// reason as long as relays can wait for it.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.reception.keys.is_empty() {
            reasons.push("no operator key is loaded".to_owned());
        }
        let silent = self.feed.silent_for();
        if self.height().0 == 0 {
            reasons.push("no block of the chain was seen yet".to_owned());
        } else if silent > NODE_SILENCE {
            reasons.push(format!("the node has not answered for {} seconds", silent.as_secs()));
        }
        if self.outbox.try_reserve().is_none() {
            reasons.push("Redis does not take relays, and there is no room left where they can wait for it".to_owned());
        }
        reasons
    }
}
