//! What the chain must say in the end.

use pocket_devnet::chain::Event;
use pocket_smst::Tree;

use super::{Part, World};

impl World {
    /// The root that the claim of a part must have.
    pub fn root_of(&self, part: &Part) -> Vec<u8> {
        let root = Tree::from_leaves(self.served[part].iter().cloned()).root();
        root.as_ref().to_vec()
    }

    /// All events of a kind since the start, by the end of its name.
    pub fn events(&self, kind: &str) -> Vec<Event> {
        self.devnet.read(|chain| {
            let blocks = chain.blocks().flat_map(|block| {
                let results = block.results.iter().filter(|result| result.code == 0);
                results.flat_map(|result| &result.events).chain(&block.events)
            });
            let named = blocks.filter(|event| event.kind.rsplit('.').next() == Some(kind));
            named.cloned().collect()
        })
    }

    /// Each part was claimed once with all of its relays, and settled; nothing else was, and nobody is slashed.
    pub fn assert_all_settled(&self) {
        for kind in ["EventSupplierSlashed", "EventClaimExpired", "EventClaimDiscarded"] {
            assert_eq!(self.events(kind), [], "{kind}");
        }
        let (created, settled) = (self.events("EventClaimCreated"), self.events("EventClaimSettled"));
        assert_eq!(created.len(), self.served.len(), "each part is claimed once");
        assert_eq!(settled.len(), self.served.len(), "each claim is settled");
        for (part, leaves) in &self.served {
            let of_part = |event: &&Event| {
                event.value("session_id").as_deref() == Some(&part.session)
                    && event.value("supplier_operator_address").as_deref() == Some(&part.supplier)
            };
            let event = settled.iter().find(of_part).expect("the part is settled");
            let expected = Tree::from_leaves(leaves.iter().cloned()).root();
            assert_eq!(event.value("num_relays"), Some(expected.count().to_string()));
            assert_eq!(
                self.claimed_root(part),
                self.root_of(part),
                "the claim is of what was served"
            );
        }
    }

    /// No claim was sent a second time.
    pub fn assert_each_claimed_once(&self) {
        assert_eq!(self.events("EventClaimUpdated"), []);
    }

    /// The root of the claim that the chain held last.
    pub fn claimed_root(&self, part: &Part) -> Vec<u8> {
        self.devnet.read(|chain| {
            let mut heights = (0..=chain.height()).rev();
            let claim = heights.find_map(|height| {
                let view = chain.view_at(height)?;
                view.state.claim(&part.session, &part.supplier).cloned()
            });
            claim.expect("there was a claim").root_hash.to_vec()
        })
    }
}
