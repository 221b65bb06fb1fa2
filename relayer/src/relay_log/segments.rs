//! The log's files: relays are appended to the last one; one goes when Redis has all that it holds.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::frame::{self, Frame};

/// A file takes no more once it is so long.
const SEGMENT_BYTES: u64 = 16 << 20;
/// The file that is written to starts anew when it is so long and Redis has all of it.
const WORTH_EMPTYING: u64 = 1 << 20;
const SUFFIX: &str = "relays";

/// Where a relay lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub sequence: u64,
    segment: u64,
    from: u64,
    length: u64,
}

/// A relay that an earlier process left.
pub(super) struct Left<'a> {
    pub place: Place,
    pub message: &'a Bytes,
    /// Not so one that was answered on trust.
    pub is_verified: bool,
}

/// The files of one log.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    file: File,
    /// The last one is written to.
    files: BTreeMap<u64, Segment>,
    next_sequence: u64,
    /// Over all files.
    bytes: u64,
    open: usize,
    /// Reused for every write.
    buffer: Vec<u8>,
}

#[derive(Debug, Default)]
struct Segment {
    length: u64,
    /// Relays in it that Redis does not have.
    open: usize,
}

impl Segments {
    /// Opens the log in a folder, hands over what an earlier process left there, oldest first, and counts the bytes
    /// that are no sound entry.
    pub fn open(folder: &Path, mut left: impl FnMut(Left<'_>)) -> io::Result<(Self, usize)> {
        let mut numbers: Vec<u64> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                numbers.extend(path.file_stem().and_then(|name| name.to_str()?.parse::<u64>().ok()));
            }
        }
        numbers.sort_unstable();
        let mut confirmed = Vec::new();
        let (mut next_sequence, mut damaged) = (0, 0);
        // A confirmation may lie in a later file than the relay: two readings, one file in memory at a time.
        for number in &numbers {
            let (frames, harm) = frame::read_all(&fs::read(path_of(folder, *number))?.into());
            damaged += harm;
            for (frame, ..) in frames {
                match frame {
                    Frame::Confirmed(runs) => confirmed.extend(runs),
                    Frame::Relay { sequence, .. } => next_sequence = next_sequence.max(sequence + 1),
                }
            }
        }
        let confirmed = merged(confirmed);
        let is_confirmed = |sequence: u64| {
            let after = confirmed.partition_point(|(first, _)| *first <= sequence);
            after > 0 && confirmed[after - 1].1 >= sequence
        };
        next_sequence = confirmed
            .last()
            .map_or(next_sequence, |(_, last)| next_sequence.max(last + 1));
        let mut files = BTreeMap::new();
        for number in &numbers {
            let bytes = Bytes::from(fs::read(path_of(folder, *number))?);
            let mut segment = Segment {
                length: bytes.len() as u64,
                open: 0,
            };
            for (frame, from, end) in frame::read_all(&bytes).0 {
                let Frame::Relay {
                    sequence,
                    message,
                    is_verified,
                } = frame
                else {
                    continue;
                };
                if !is_confirmed(sequence) {
                    segment.open += 1;
                    let place = Place {
                        sequence,
                        segment: *number,
                        from: from as u64,
                        length: (end - from) as u64,
                    };
                    left(Left {
                        place,
                        message: &message,
                        is_verified,
                    });
                }
            }
            if segment.open == 0 {
                fs::remove_file(path_of(folder, *number))?;
            } else {
                files.insert(*number, segment);
            }
        }
        let number = numbers.last().map_or(1, |last| last + 1);
        let bytes = files.values().map(|segment: &Segment| segment.length).sum();
        let open = files.values().map(|segment| segment.open).sum();
        files.insert(number, Segment::default());
        let this = Self {
            folder: folder.to_owned(),
            file: create(folder, number)?,
            files,
            next_sequence,
            bytes,
            open,
            buffer: Vec::new(),
        };
        Ok((this, damaged))
    }

    /// Appends a relay: the system has it when this returns, the disk after [`Self::file`] was synced.
    pub fn append(&mut self, message: &[u8], is_verified: bool) -> io::Result<Place> {
        let sequence = self.next_sequence;
        self.buffer.clear();
        frame::write_relay(&mut self.buffer, sequence, message, is_verified);
        let (segment, from) = self.write()?;
        let file = self.files.get_mut(&segment).expect("it was written to just now");
        file.open += 1;
        self.open += 1;
        self.next_sequence += 1;
        Ok(Place {
            sequence,
            segment,
            from,
            length: self.buffer.len() as u64,
        })
    }

    /// Notes that Redis has these relays, and removes what holds none but such.
    pub fn confirm(&mut self, places: &[Place]) -> io::Result<()> {
        for place in places {
            if let Some(segment) = self.files.get_mut(&place.segment) {
                segment.open -= 1;
                self.open -= 1;
            }
        }
        let last = *self.files.last_key_value().expect("there is always one to write to").0;
        let done: Vec<u64> = self
            .files
            .iter()
            .filter(|(number, segment)| **number != last && segment.open == 0)
            .map(|(number, _)| *number)
            .collect();
        for number in done {
            fs::remove_file(path_of(&self.folder, number))?;
            let gone = self.files.remove(&number);
            self.bytes -= gone.map_or(0, |segment| segment.length);
        }
        let segment = self.files.get_mut(&last).expect("it was found just now");
        if segment.open == 0 && (segment.length >= WORTH_EMPTYING || self.is_single()) {
            return self.empty();
        }
        self.buffer.clear();
        frame::write_confirmed(&mut self.buffer, places.iter().map(|place| place.sequence).collect());
        self.write().map(drop)
    }

    fn is_single(&self) -> bool {
        self.files.len() == 1
    }

    fn empty(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        if let Some(mut last) = self.files.last_entry() {
            self.bytes -= std::mem::take(&mut last.get_mut().length);
        }
        Ok(())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Relays that Redis may not have.
    pub fn open_relays(&self) -> usize {
        self.open
    }

    /// The file that is written to, for syncing it elsewhere.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// The file that holds a relay, for reading it elsewhere.
    pub fn file_of(&self, place: Place) -> PathBuf {
        path_of(&self.folder, place.segment)
    }

    /// Writes the buffer, and tells where.
    fn write(&mut self) -> io::Result<(u64, u64)> {
        let (mut number, mut length) = self.last();
        if length >= SEGMENT_BYTES {
            number += 1;
            self.file = create(&self.folder, number)?;
            self.files.insert(number, Segment::default());
            length = 0;
        }
        if let Err(error) = self.file.write_all(&self.buffer) {
            // Half an entry would only be skipped over, but what can be tidied is.
            let _ = self.file.set_len(length);
            return Err(error);
        }
        let written = self.buffer.len() as u64;
        self.files.entry(number).or_default().length = length + written;
        self.bytes += written;
        Ok((number, length))
    }

    fn last(&self) -> (u64, u64) {
        let (number, segment) = self.files.last_key_value().expect("there is always one to write to");
        (*number, segment.length)
    }
}

/// Reads a relay from its file.
pub(super) fn read(file: &mut File, place: Place) -> io::Result<Bytes> {
    let mut bytes = vec![0; place.length as usize];
    file.seek(SeekFrom::Start(place.from))?;
    file.read_exact(&mut bytes)?;
    match frame::read(&bytes.into(), 0) {
        Some((Frame::Relay { message, .. }, _)) => Ok(message),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the entry is damaged")),
    }
}

fn create(folder: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path_of(folder, number))
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.{SUFFIX}"))
}

/// Runs in order, none touching the next.
fn merged(mut runs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    runs.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (first, last) in runs {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reopened(folder: &Path) -> (Segments, Vec<(Place, Bytes)>) {
        let mut left = Vec::new();
        let (segments, _) = Segments::open(folder, |found| left.push((found.place, found.message.clone()))).unwrap();
        (segments, left)
    }

    fn messages(left: &[(Place, Bytes)]) -> Vec<&[u8]> {
        left.iter().map(|(_, message)| &message[..]).collect()
    }

    #[test]
    fn what_redis_has_not_confirmed_is_there_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let (mut segments, left) = reopened(folder.path());
        assert!(left.is_empty());
        let places: Vec<Place> = ["a", "b", "c", "d"]
            .map(|message| segments.append(message.as_bytes(), true).unwrap())
            .into();
        segments.confirm(&[places[2], places[0]]).unwrap();
        drop(segments);

        let (mut segments, left) = reopened(folder.path());
        assert_eq!(messages(&left), [b"b", b"d"]);
        assert_eq!(segments.open_relays(), 2);
        let mut file = File::open(segments.file_of(left[1].0)).unwrap();
        assert_eq!(read(&mut file, left[1].0).unwrap(), "d");
        segments.append(b"e", true).unwrap();
        segments.confirm(&[left[0].0]).unwrap();
        drop(segments);
        assert_eq!(messages(&reopened(folder.path()).1), [b"d", b"e"]);
    }

    #[test]
    fn log_that_redis_has_all_of_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let (mut segments, _) = reopened(folder.path());
        let places = [
            segments.append(b"a", true).unwrap(),
            segments.append(b"b", true).unwrap(),
        ];
        segments.confirm(&places[..1]).unwrap();
        assert!(segments.bytes() > 0);
        segments.confirm(&places[1..]).unwrap();
        assert_eq!((segments.bytes(), segments.open_relays()), (0, 0));
        let place = segments.append(b"c", true).unwrap();
        let mut file = File::open(segments.file_of(place)).unwrap();
        assert_eq!(read(&mut file, place).unwrap(), "c");
    }

    #[test]
    fn file_goes_when_redis_has_all_that_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let (mut segments, _) = reopened(folder.path());
        let message = vec![7; 4 << 20];
        let places: Vec<Place> = (0..9).map(|_| segments.append(&message, true).unwrap()).collect();
        let files = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files(), 3);
        let (first, others): (Vec<_>, Vec<_>) = places.iter().partition(|place| place.segment == places[0].segment);
        segments.confirm(&first).unwrap();
        assert_eq!(files(), 2);
        segments.confirm(&others).unwrap();
        assert_eq!((files(), segments.bytes()), (1, 0));
    }

    #[test]
    fn entry_that_was_torn_by_a_kill_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut segments, _) = reopened(folder.path());
        segments.append(b"whole", true).unwrap();
        let torn = segments.append(b"torn", true).unwrap();
        let path = segments.file_of(torn);
        drop(segments);
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(torn.from + torn.length - 2).unwrap();

        let (mut segments, left) = reopened(folder.path());
        assert_eq!(messages(&left), [b"whole"]);
        segments.append(b"next", true).unwrap();
        drop(segments);
        assert_eq!(messages(&reopened(folder.path()).1), [&b"whole"[..], b"next"]);
    }
}
