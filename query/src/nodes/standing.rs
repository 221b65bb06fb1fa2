//! What is known of the endpoints of a list, and which of them is used: decided here, without effects or clock.
//!
//! The used one is left when it is worse than another, never because another has become as good: so nothing flaps. A
//! height counts when another endpoint's makes it plausible; one alone is believed, there is nothing to compare with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pocket_protocol::Height;

use crate::comet::NewHeader;

/// Failures in a row that make an endpoint one that does not answer. A failed probe is as many: it asks for little.
pub(crate) const FAILURES: u32 = 2;
/// An endpoint must be more than twice as fast, and by more than this, to be used for that.
const WORTH_LATENCY: Duration = Duration::from_millis(20);
/// Looks in a row at which it has to be so.
const FASTER: u32 = 10;

/// What decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Blocks that an endpoint may be behind the best, or before all others.
    pub(crate) max_lag: i64,
}

/// How an endpoint is, the better the less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// It can be used.
    Good,
    /// It is behind the best, or still fetches old blocks.
    Behind,
    /// It tells of a height that no other comes near.
    Ahead,
    /// Nothing is known of it yet.
    Unknown,
    /// It does not answer.
    Down,
    /// It belongs to another network: it is never used.
    WrongChain,
}

/// What an endpoint said of its network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// It was not asked yet, or did not answer.
    Untold,
    /// It serves no such question.
    Unknowable,
    /// Its id.
    Is(Arc<str>),
}

/// An answer, as far as it tells of the endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sighting {
    /// Its newest block; the time only over RPC.
    pub(crate) height: Option<Height>,
    pub(crate) time: Option<time::OffsetDateTime>,
    /// The time that a probe took; other questions cost what they ask for.
    pub(crate) latency: Option<Duration>,
    pub(crate) network: Option<Network>,
    pub(crate) catching_up: Option<bool>,
    /// How old the newest block is by its own time.
    pub(crate) age: Option<Duration>,
}

/// The endpoint in use is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) condition: Condition,
    pub(crate) network: Network,
    pub(crate) latency: Option<Duration>,
    /// How often it was left for another.
    pub(crate) left: u64,
    head: Option<Head>,
    /// Answers at all; `None` before it was asked.
    answers: Option<bool>,
    failures: u32,
    catching_up: bool,
    /// Behind the best when it was last heard.
    lag: i64,
    faster: u32,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    header: NewHeader,
    /// When it rose.
    moved: Instant,
}

impl Known {
    /// The newest block that it told of.
    pub(crate) fn height(&self) -> Option<Height> {
        self.head.map(|head| head.header.height)
    }
}

/// All endpoints of a list.
#[derive(Debug)]
pub(crate) struct Standing {
    rules: Rules,
    endpoints: Vec<Known>,
    used: usize,
    /// The network that the endpoints must be of, once it is known.
    network: Option<Arc<str>>,
    /// Every endpoint had the time to tell of itself: until then no height counts.
    introduced: bool,
    best: Option<NewHeader>,
    /// From block to block, as far as block times told.
    interval: Duration,
}

/// From block to block, before anything is known.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// Blocks do not come faster, whatever their times say.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);
/// They do not come slower either: a chain that stood still says nothing of its pace.
const LONGEST_INTERVAL: Duration = Duration::from_mins(5);

impl Standing {
    pub(crate) fn new(endpoints: usize, rules: Rules, network: Option<Arc<str>>) -> Self {
        let unknown = Known {
            condition: Condition::Unknown,
            network: Network::Untold,
            latency: None,
            left: 0,
            head: None,
            answers: None,
            failures: 0,
            catching_up: false,
            lag: 0,
            faster: 0,
        };
        Self {
            rules,
            endpoints: vec![unknown; endpoints],
            used: 0,
            network,
            introduced: endpoints == 1,
            best: None,
            interval: FIRST_INTERVAL,
        }
    }

    /// From block to block, as far as it is known.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// For answers that tell no times.
    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    pub(crate) fn endpoints(&self) -> &[Known] {
        &self.endpoints
    }

    /// The endpoint that is asked first.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// The highest block that is believed.
    pub(crate) fn best(&self) -> Option<NewHeader> {
        self.best
    }

    /// Whether an endpoint's height is one to go by.
    pub(crate) fn is_believed(&self, height: Height) -> bool {
        self.best.is_some_and(|best| height <= best.height)
    }

    /// Whom to ask, best first; none of another network, and of several none whose network is not known.
    pub(crate) fn candidates(&self) -> Vec<usize> {
        let alone = self.endpoints.len() == 1;
        let is_candidate = |index: &usize| match self.endpoints[*index].condition {
            Condition::WrongChain => false,
            Condition::Unknown => alone,
            _ => alone || self.endpoints[*index].network != Network::Untold,
        };
        let mut candidates: Vec<usize> = (0..self.endpoints.len()).filter(is_candidate).collect();
        candidates.sort_by_key(|index| {
            let known = &self.endpoints[*index];
            (known.condition, *index != self.used, known.latency)
        });
        candidates
    }

    /// The network's name, if all agree on one that is not the wanted.
    pub(crate) fn only_wrong(&self) -> Option<Arc<str>> {
        let wrong = |known: &Known| known.condition == Condition::WrongChain;
        match self.endpoints.iter().all(wrong).then(|| &self.endpoints[0].network) {
            Some(Network::Is(id)) => Some(id.clone()),
            _ => None,
        }
    }

    /// Sets the network; endpoints of another one are not used from now on.
    pub(crate) fn set_network(&mut self, id: Arc<str>, now: Instant) -> Option<Switch> {
        self.network = Some(id);
        self.judge(now);
        self.choose()
    }

    /// The network that the endpoints must be of.
    pub(crate) fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }

    /// The first network in the order of the list that an endpoint told.
    pub(crate) fn told_network(&self) -> Option<Arc<str>> {
        self.endpoints.iter().find_map(|known| match &known.network {
            Network::Is(id) => Some(id.clone()),
            _ => None,
        })
    }

    /// Heights count from now on.
    pub(crate) fn introduce(&mut self, now: Instant) -> Option<Switch> {
        self.introduced = true;
        self.judge(now);
        self.choose()
    }

    /// An endpoint answered.
    pub(crate) fn answered(&mut self, index: usize, sighting: &Sighting, now: Instant) -> Option<Switch> {
        let known = &mut self.endpoints[index];
        known.answers = Some(true);
        known.failures = 0;
        if let Some(network) = &sighting.network {
            known.network = network.clone();
        }
        if let Some(catching_up) = sighting.catching_up {
            known.catching_up = catching_up;
        }
        if let Some(latency) = sighting.latency {
            let smooth = |before: Duration| (before * 3 + latency) / 4;
            known.latency = Some(known.latency.map_or(latency, smooth));
        }
        if let Some(height) = sighting.height {
            let time = sighting.time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
            let rose = known.head.is_none_or(|head| height > head.header.height);
            let moved = match known.head {
                Some(head) if !rose => head.moved,
                Some(_) => now,
                // A node that stood still before it was first heard is not one that goes on.
                None => sighting.age.and_then(|age| now.checked_sub(age)).unwrap_or(now),
            };
            let header = NewHeader { height, time };
            known.head = Some(Head { header, moved });
        }
        self.judge(now);
        if let Some(height) = sighting.height {
            let best = self.best.map_or(height, |best| best.height);
            self.endpoints[index].lag = best - height;
            self.judge(now);
        }
        self.compare_latency(index, sighting);
        self.choose()
    }

    /// An endpoint did not answer; `weight` failures are counted.
    pub(crate) fn failed(&mut self, index: usize, weight: u32, now: Instant) -> Option<Switch> {
        let known = &mut self.endpoints[index];
        known.failures += weight;
        known.faster = 0;
        if known.failures >= FAILURES {
            known.answers = Some(false);
        }
        self.judge(now);
        self.choose()
    }

    /// Raises the best height and finds each endpoint's condition.
    fn judge(&mut self, now: Instant) {
        for index in 0..self.endpoints.len() {
            if !self.introduced || !self.is_witness(index) || !self.is_plausible(index, now) {
                continue;
            }
            if let Some(Head { header, .. }) = self.endpoints[index].head
                && !self.is_believed(header.height)
            {
                self.rise(header);
            }
        }
        for index in 0..self.endpoints.len() {
            self.endpoints[index].condition = self.condition(index, now);
        }
    }

    fn rise(&mut self, header: NewHeader) {
        if let Some(before) = self.best.replace(header)
            && let Ok(time) = Duration::try_from(header.time - before.time)
            && !time.is_zero()
        {
            let blocks = u32::try_from(header.height - before.height).unwrap_or(u32::MAX);
            let interval = (time / blocks).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
            self.interval = (self.interval * 3 + interval) / 4;
        }
    }

    fn condition(&self, index: usize, now: Instant) -> Condition {
        let known = &self.endpoints[index];
        if self.is_wrong(known) {
            return Condition::WrongChain;
        }
        match known.answers {
            None => Condition::Unknown,
            Some(false) => Condition::Down,
            Some(true) if known.catching_up || known.lag > self.rules.max_lag => Condition::Behind,
            Some(true) if self.introduced && !self.is_plausible(index, now) => Condition::Ahead,
            Some(true) => Condition::Good,
        }
    }

    fn is_wrong(&self, known: &Known) -> bool {
        match (&self.network, &known.network) {
            (Some(wanted), Network::Is(found)) => wanted != found,
            _ => false,
        }
    }

    /// Whether an endpoint's height says something about the chain.
    fn is_witness(&self, index: usize) -> bool {
        let known = &self.endpoints[index];
        let counts = self.network.is_some() && !known.catching_up && !self.is_wrong(known);
        known.head.is_some() && known.answers == Some(true) && (counts || self.endpoints.len() == 1)
    }

    /// Whether an endpoint's height is near that of another, or would be if that one, which may be stuck, had gone on
    /// at up to twice the chain's pace.
    fn is_plausible(&self, index: usize, now: Instant) -> bool {
        let Some(height) = self.endpoints[index].height() else {
            return true;
        };
        if self.is_believed(height) {
            return true;
        }
        let pace = self.interval / 2;
        let mut witnesses = (0..self.endpoints.len()).filter(|other| *other != index && self.is_witness(*other));
        let mut alone = true;
        let supported = witnesses.any(|other| {
            alone = false;
            let head = self.endpoints[other].head.expect("a witness has a head");
            let stood = now.saturating_duration_since(head.moved);
            let missed = i64::try_from(stood.as_nanos() / pace.as_nanos()).unwrap_or(i64::MAX);
            height - head.header.height <= self.rules.max_lag.saturating_add(missed)
        });
        supported || alone
    }

    /// Counts the looks at which an endpoint was much faster than the used one.
    fn compare_latency(&mut self, index: usize, sighting: &Sighting) {
        let (Some(own), Some(used)) = (self.endpoints[index].latency, self.endpoints[self.used].latency) else {
            return;
        };
        if sighting.latency.is_none() || index == self.used {
            return;
        }
        let is_faster = own * 2 < used && own + WORTH_LATENCY < used;
        let known = &mut self.endpoints[index];
        known.faster = if is_faster { known.faster + 1 } else { 0 };
    }

    /// Leaves the used endpoint if another is better.
    fn choose(&mut self) -> Option<Switch> {
        let from = self.used;
        let best = *self.candidates().first()?;
        let condition = |index: usize| self.endpoints[index].condition;
        let faster = |index: &usize| condition(*index) == Condition::Good && self.endpoints[*index].faster >= FASTER;
        let to = if condition(best) < condition(from) {
            best
        } else {
            (0..self.endpoints.len()).find(faster)?
        };
        if to == from {
            return None;
        }
        // An endpoint of which nothing was known yet was not left.
        if condition(from) != Condition::Unknown {
            self.endpoints[from].left += 1;
        }
        for known in &mut self.endpoints {
            known.faster = 0;
        }
        self.used = to;
        Some(Switch { from, to })
    }
}

#[cfg(test)]
mod tests;
