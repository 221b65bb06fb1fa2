//! Tables of points that come again: bounded, the least recently used go first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use crate::halves::Halves;
use crate::large_table::LargeTable;
use crate::multiples::Term;
use crate::point::{Affine, CompressedPoint};
use crate::small_table::SmallTable;

/// Uses after which points deserve large tables: what building costs is saved within as many more.
const USES_BEFORE_LARGE: u32 = 32;

/// Large tables make room for others only after so many uses of their shelf without them; or else a
/// shelf that is too small for its points would do nothing but build.
const IDLE_USES: u64 = 16_384;

/// Points that wait for large tables. Those that find no place ask again after some more uses.
const MAX_WAITING: usize = 4096;

/// Which of a ring member's two points: its key.
pub(crate) const KEY: usize = 0;
/// The point that the key hashes to.
pub(crate) const HASHED: usize = 1;

/// `K` points that are always used together, under one name.
#[derive(Debug)]
pub(crate) struct Points<const K: usize> {
    affine: [Affine; K],
    small: [SmallTable; K],
    large: OnceLock<[LargeTable; K]>,
    uses: AtomicU32,
    last_use: AtomicU64,
}

impl<const K: usize> Points<K> {
    pub fn new(points: [Affine; K]) -> Self {
        Self {
            affine: points,
            small: points.map(SmallTable::new),
            large: OnceLock::new(),
            uses: AtomicU32::new(0),
            last_use: AtomicU64::new(0),
        }
    }

    /// `scalar` times the point at `index`, by the fastest table there is.
    pub fn term(&self, index: usize, scalar: Halves) -> Term<'_> {
        match self.large.get() {
            Some(tables) => Term::large(&tables[index], scalar),
            None => Term::small(&self.small[index], scalar),
        }
    }

    pub fn build_large(&self) {
        self.large.get_or_init(|| self.affine.map(LargeTable::new));
    }

    fn is_large(&self) -> bool {
        self.large.get().is_some()
    }

    /// Whether this use is the one after which large tables are due.
    fn count_use(&self, now: u64) -> bool {
        self.last_use.store(now, Relaxed);
        !self.is_large() && self.uses.fetch_add(1, Relaxed) + 1 == USES_BEFORE_LARGE
    }

    fn ask_again_later(&self) {
        self.uses.store(0, Relaxed);
    }
}

/// Points by name.
#[derive(Debug)]
pub(crate) struct Shelf<const K: usize> {
    entries: RwLock<HashMap<CompressedPoint, Arc<Points<K>>>>,
    max_entries: usize,
    max_large: usize,
    /// Uses so far: the shelf's clock.
    now: AtomicU64,
    waiting: Mutex<Vec<(CompressedPoint, Arc<Points<K>>)>>,
    /// Held while large tables are built, so that their number stays bounded.
    building: Mutex<()>,
}

impl<const K: usize> Shelf<K> {
    /// A shelf for this many bytes of large tables, and for eight times as many points with small
    /// ones (four per cent of that memory).
    pub fn new(large_table_bytes: usize) -> Self {
        let max_large = (large_table_bytes / (K * LargeTable::SIZE)).max(1);
        Self {
            entries: RwLock::default(),
            max_entries: max_large.saturating_mul(8),
            max_large,
            now: AtomicU64::new(0),
            waiting: Mutex::default(),
            building: Mutex::default(),
        }
    }

    /// The points of this name, if they are here. Counts as a use.
    pub fn get(&self, name: &CompressedPoint) -> Option<Arc<Points<K>>> {
        let points = self.entries.read().get(name).cloned()?;
        if points.count_use(self.now.fetch_add(1, Relaxed)) {
            let mut waiting = self.waiting.lock();
            if waiting.len() < MAX_WAITING {
                waiting.push((*name, Arc::clone(&points)));
            } else {
                points.ask_again_later();
            }
        }
        Some(points)
    }

    /// Puts points on the shelf, unless some of that name are there already; gives those that are.
    pub fn put(&self, name: CompressedPoint, points: Arc<Points<K>>) -> Arc<Points<K>> {
        points.last_use.store(self.now.load(Relaxed), Relaxed);
        let mut entries = self.entries.write();
        if entries.len() >= self.max_entries && !entries.contains_key(&name) {
            remove_oldest_eighth(&mut entries);
        }
        Arc::clone(entries.entry(name).or_insert(points))
    }

    pub fn is_waiting(&self) -> bool {
        !self.waiting.lock().is_empty()
    }

    /// Builds the large tables that are due. Takes about a millisecond for each.
    pub fn build_waiting(&self) {
        loop {
            // A statement of its own, so that the lock is not held while building.
            let next = self.waiting.lock().pop();
            let Some((name, points)) = next else { return };
            self.build(&name, &points);
        }
    }

    /// Builds the large tables of points on the shelf, if there is room.
    pub fn build(&self, name: &CompressedPoint, points: &Points<K>) {
        let _building = self.building.lock();
        if points.is_large() {
            return;
        }
        if self.make_room(name) {
            points.build_large();
        } else {
            points.ask_again_later();
        }
    }

    /// Whether there is now room for the large tables of the points of this name.
    fn make_room(&self, name: &CompressedPoint) -> bool {
        let now = self.now.load(Relaxed);
        let mut entries = self.entries.write();
        if !entries.contains_key(name) {
            return false;
        }
        let large = entries.iter().filter(|(_, points)| points.is_large());
        if large.clone().count() < self.max_large {
            return true;
        }
        let oldest = large.map(|(name, points)| (points.last_use.load(Relaxed), *name)).min();
        match oldest {
            Some((last_use, oldest)) if now.saturating_sub(last_use) > IDLE_USES => entries.remove(&oldest).is_some(),
            _ => false,
        }
    }
}

/// Removes an eighth, so that a full shelf does not sort for each new point.
fn remove_oldest_eighth<const K: usize>(entries: &mut HashMap<CompressedPoint, Arc<Points<K>>>) {
    let mut uses: Vec<_> = entries.values().map(|points| points.last_use.load(Relaxed)).collect();
    let (_, limit, _) = uses.select_nth_unstable(entries.len() / 8);
    let limit = *limit;
    entries.retain(|_, points| points.last_use.load(Relaxed) > limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> CompressedPoint {
        let mut name = [0; 33];
        name[..4].copy_from_slice(&number.to_be_bytes());
        name
    }

    fn points() -> Arc<Points<1>> {
        Arc::new(Points::new([Affine::GENERATOR]))
    }

    /// Room for this many points with large tables.
    fn shelf(max_large: usize) -> Shelf<1> {
        Shelf::new(max_large * LargeTable::SIZE)
    }

    fn use_often(shelf: &Shelf<1>, number: u32) -> Arc<Points<1>> {
        let points = shelf.put(name(number), points());
        for _ in 0..USES_BEFORE_LARGE {
            shelf.get(&name(number));
        }
        points
    }

    #[test]
    fn large_tables_are_built_after_some_uses() {
        let shelf = shelf(2);
        let points = shelf.put(name(1), points());
        for _ in 1..USES_BEFORE_LARGE {
            shelf.get(&name(1));
        }
        assert!(!shelf.is_waiting());
        shelf.get(&name(1));
        assert!(shelf.is_waiting() && !points.is_large());
        shelf.build_waiting();
        assert!(!shelf.is_waiting() && points.is_large());
    }

    #[test]
    fn the_number_of_large_tables_is_bounded() {
        let shelf = shelf(2);
        let all: Vec<_> = (0..4).map(|number| use_often(&shelf, number)).collect();
        shelf.build_waiting();
        assert_eq!(all.iter().filter(|points| points.is_large()).count(), 2);
    }

    #[test]
    fn points_without_room_ask_again() {
        let shelf = shelf(1);
        let first = use_often(&shelf, 1);
        shelf.build_waiting();
        let second = use_often(&shelf, 2);
        shelf.build_waiting();
        assert!(first.is_large() && !second.is_large());
        shelf.now.fetch_add(IDLE_USES * 2, Relaxed);
        let second = use_often(&shelf, 2);
        shelf.build_waiting();
        assert!(second.is_large());
        assert!(shelf.get(&name(1)).is_none(), "the idle point made room");
    }

    #[test]
    fn the_least_recently_used_points_go_first() {
        let shelf = shelf(1);
        let full = u32::try_from(shelf.max_entries).unwrap();
        for number in 0..full {
            shelf.put(name(number), points());
            shelf.get(&name(number));
        }
        shelf.get(&name(0));
        shelf.put(name(full), points());
        assert!(shelf.entries.read().len() <= shelf.max_entries);
        assert!(shelf.get(&name(0)).is_some() && shelf.get(&name(full)).is_some());
        assert!(shelf.get(&name(1)).is_none());
    }

    #[test]
    fn a_second_putting_keeps_the_first() {
        let shelf = shelf(1);
        let first = shelf.put(name(1), points());
        assert!(Arc::ptr_eq(&first, &shelf.put(name(1), points())));
    }
}
