//! Bounding the memory.

use std::collections::VecDeque;

use crate::Tree;
use crate::arena::{Arena, Kind, NONE, Node};

impl Tree {
    /// Memory that the tree holds, in bytes.
    pub fn resident_bytes(&self) -> usize {
        self.arena.resident_bytes()
    }

    /// Drops what is stored from memory. Nothing is lost: it is loaded again as needed.
    pub fn evict(&mut self) {
        self.shrink_to(0);
    }

    /// When the tree holds more than `bytes`, drops stored nodes, the lowest first, until those that stay fit into about
    /// three quarters of it. The upper ones, which every batch needs, stay. Nodes that are not stored yet are kept in any
    /// case.
    pub fn shrink_to(&mut self, bytes: usize) {
        if self.resident_bytes() <= bytes {
            return;
        }
        // The whole tree is copied here: the quarter is what makes that seldom.
        let limit = bytes / 4 * 3 / size_of::<Node>();
        let old = std::mem::take(&mut self.arena);
        let mut kept = Arena::default();
        let mut queue = VecDeque::new();
        let adopt = |id, arena: &mut Arena, queue: &mut VecDeque<_>| {
            if id == NONE {
                return NONE;
            }
            let node = old.get(id).clone();
            let branch = matches!(node.kind, Kind::Inner { .. } | Kind::Extension { .. });
            // The value of a stored leaf was there for a proof, and is dropped.
            let value = old.leaf(id).filter(|_| !node.stored);
            let new = arena.add(node);
            if let Some(encoded) = value {
                arena.keep_leaf(new, encoded.clone());
            }
            if branch {
                queue.push_back(new);
            }
            new
        };
        self.root = adopt(self.root, &mut kept, &mut queue);
        while let Some(id) = queue.pop_front() {
            let node = kept.get(id);
            let kind = match node.kind.clone() {
                _ if node.stored && kept.len() >= limit => Kind::Stub,
                Kind::Inner { left, right } => Kind::Inner {
                    left: adopt(left, &mut kept, &mut queue),
                    right: adopt(right, &mut kept, &mut queue),
                },
                Kind::Extension {
                    path,
                    start,
                    end,
                    child,
                } => Kind::Extension {
                    path,
                    start,
                    end,
                    child: adopt(child, &mut kept, &mut queue),
                },
                Kind::Stub | Kind::Leaf { .. } => unreachable!("only branches are queued"),
            };
            kept.get_mut(id).kind = kind;
        }
        kept.trim();
        self.arena = kept;
    }
}
