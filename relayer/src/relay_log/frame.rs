//! How an entry lies in the log: `RLG1`, length of the rest (u32, little-endian as all numbers), CRC-32 of the rest,
//! then the rest: a byte for the kind, and
//! - of a relay (1): its sequence number (u64) and its encoded `MinedRelayMessage`,
//! - of a relay that was answered on trust (3) the same: it is to be verified before Redis gets it,
//! - of confirmations (2): pairs of sequence numbers (u64), the first and the last of a run.

use bytes::Bytes;

const MAGIC: &[u8; 4] = b"RLG1";
/// Magic, length and checksum.
const HEAD: usize = 12;
const RELAY: u8 = 1;
const CONFIRMED: u8 = 2;
const TRUSTED: u8 = 3;

/// One entry as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A relay that was mined.
    Relay {
        sequence: u64,
        message: Bytes,
        is_verified: bool,
    },
    /// Relays that Redis has.
    Confirmed(Vec<(u64, u64)>),
}

/// Appends a relay's frame.
pub(super) fn write_relay(out: &mut Vec<u8>, sequence: u64, message: &[u8], is_verified: bool) {
    write(out, |body| {
        body.push(if is_verified { RELAY } else { TRUSTED });
        body.extend_from_slice(&sequence.to_le_bytes());
        body.extend_from_slice(message);
    });
}

/// Appends a frame of confirmations, of numbers in any order.
pub(super) fn write_confirmed(out: &mut Vec<u8>, mut sequences: Vec<u64>) {
    sequences.sort_unstable();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for sequence in sequences {
        match runs.last_mut() {
            Some((_, last)) if sequence <= *last + 1 => *last = sequence,
            _ => runs.push((sequence, sequence)),
        }
    }
    write(out, |body| {
        body.push(CONFIRMED);
        for (first, last) in runs {
            body.extend_from_slice(&first.to_le_bytes());
            body.extend_from_slice(&last.to_le_bytes());
        }
    });
}

fn write(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 8]);
    body(out);
    let length = (out.len() - start - HEAD) as u32;
    let checksum = crc32fast::hash(&out[start + HEAD..]);
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    out[start + 8..start + HEAD].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads the frame at `at`, and where the next one begins; `None` if there is no whole and sound one.
pub(super) fn read(segment: &Bytes, at: usize) -> Option<(Frame, usize)> {
    let head = segment.get(at..at + HEAD)?;
    if &head[..4] != MAGIC {
        return None;
    }
    let number = |from: usize| u32::from_le_bytes(head[from..from + 4].try_into().expect("it is four bytes long"));
    let end = (at + HEAD).checked_add(number(4) as usize)?;
    let body = segment.get(at + HEAD..end)?;
    if crc32fast::hash(body) != number(8) {
        return None;
    }
    let (kind, rest) = body.split_first()?;
    let frame = match *kind {
        RELAY | TRUSTED => Frame::Relay {
            sequence: first_number(rest)?,
            message: segment.slice(at + HEAD + 9..end),
            is_verified: *kind == RELAY,
        },
        CONFIRMED => Frame::Confirmed(
            rest.chunks_exact(16)
                .filter_map(|run| Some((first_number(run)?, first_number(&run[8..])?)))
                .collect(),
        ),
        _ => return None,
    };
    Some((frame, end))
}

fn first_number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?))
}

/// All sound frames of a segment with the places where they begin and end, and the number of bytes that are none:
/// torn by a kill, or damaged on disk. What comes after those is found again.
pub(super) fn read_all(segment: &Bytes) -> (Vec<(Frame, usize, usize)>, usize) {
    let (mut frames, mut damaged, mut at) = (Vec::new(), 0, 0);
    while at < segment.len() {
        if let Some((frame, end)) = read(segment, at) {
            frames.push((frame, at, end));
            at = end;
        } else {
            let rest = &segment[at + 1..];
            let next = rest.windows(MAGIC.len()).position(|window| window == MAGIC);
            let skipped = next.map_or(rest.len(), |next| next) + 1;
            damaged += skipped;
            at += skipped;
        }
    }
    (frames, damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn relay(sequence: u64, message: &[u8]) -> Frame {
        Frame::Relay {
            sequence,
            message: Bytes::copy_from_slice(message),
            is_verified: true,
        }
    }

    fn frames(segment: Vec<u8>) -> (Vec<Frame>, usize) {
        let (frames, damaged) = read_all(&segment.into());
        (frames.into_iter().map(|(frame, ..)| frame).collect(), damaged)
    }

    #[test]
    fn confirmations_in_any_order_become_runs() {
        let mut segment = Vec::new();
        write_confirmed(&mut segment, vec![9, 3, 1, 2, 4, 2]);
        assert_eq!(frames(segment), (vec![Frame::Confirmed(vec![(1, 4), (9, 9)])], 0));
    }

    #[test]
    fn what_follows_a_damaged_entry_is_found() {
        let mut segment = Vec::new();
        write_relay(&mut segment, 1, b"first", true);
        let from = segment.len();
        write_relay(&mut segment, 2, b"second RLG1 with the mark inside", true);
        let to = segment.len();
        write_relay(&mut segment, 3, b"third", true);
        segment[from + HEAD + 12] ^= 1;
        assert_eq!(
            frames(segment),
            (vec![relay(1, b"first"), relay(3, b"third")], to - from)
        );
    }

    #[test]
    fn relay_that_was_answered_on_trust_is_told_from_others() {
        let mut segment = Vec::new();
        write_relay(&mut segment, 7, b"trusted", false);
        let read = frames(segment).0;
        assert!(
            matches!(
                &read[..],
                [Frame::Relay {
                    sequence: 7,
                    is_verified: false,
                    ..
                }]
            ),
            "{read:?}"
        );
    }

    proptest! {
        #[test]
        fn every_relay_before_a_tear_is_read(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
            tear in any::<prop::sample::Index>(),
        ) {
            let mut segment = Vec::new();
            let mut ends = Vec::new();
            for (sequence, message) in messages.iter().enumerate() {
                write_relay(&mut segment, sequence as u64, message, true);
                ends.push(segment.len());
            }
            let cut = tear.index(segment.len() + 1);
            segment.truncate(cut);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (read, damaged) = frames(segment);
            let expected: Vec<Frame> = messages
                .iter()
                .take(whole)
                .enumerate()
                .map(|(sequence, message)| relay(sequence as u64, message))
                .collect();
            prop_assert_eq!(read, expected);
            prop_assert_eq!(damaged, cut - ends[..whole].last().copied().unwrap_or(0));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let length = bytes.len();
            let (read, damaged) = frames(bytes);
            prop_assert!(damaged <= length);
            prop_assert!(read.is_empty() || damaged < length);
        }
    }
}
