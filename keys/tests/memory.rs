//! What is left of a key in the process's memory after it was loaded, and after it was dropped.
//!
//! One test alone: others would move memory about.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use pocket_keys::{KeySet, KeyringBackend, KeyringSource, Sources};
use zeroize::Zeroizing;

/// What secrets are masked with here, so that the test itself holds none.
const MASK: u8 = 0x5a;
/// A private key of nobody, masked.
const OF_FILE: [u8; 32] = [
    0x98, 0x0d, 0xd6, 0x4e, 0xad, 0x49, 0xc2, 0xc3, 0x09, 0x1a, 0xfb, 0x43, 0x4b, 0x9d, 0x54, 0x23, 0x98, 0x50, 0x3c,
    0xf5, 0x26, 0x05, 0x4e, 0x60, 0x84, 0xf6, 0x09, 0x7a, 0x70, 0x5c, 0x61, 0x79,
];
/// The first key of the sample keyring, masked.
const OF_KEYRING: [u8; 32] = [
    0xcc, 0x14, 0x46, 0xa1, 0x81, 0xcc, 0x5f, 0x76, 0xe6, 0x3c, 0xe3, 0x5e, 0x0b, 0x5f, 0x52, 0x90, 0x56, 0x80, 0x06,
    0xe6, 0x99, 0x90, 0xc3, 0x28, 0x1a, 0xbf, 0x39, 0xac, 0xd6, 0x76, 0xa0, 0x85,
];
const CHUNK: usize = 1 << 16;

/// Where a secret stands in memory that this process can write to: a line of the system's map for each time.
fn copies_of(masked: &[u8]) -> Vec<String> {
    let mut buffer = vec![0; CHUNK];
    let own = buffer.as_ptr() as usize..buffer.as_ptr() as usize + CHUNK;
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = Vec::new();
    for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        if !rest.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let parse = |text| usize::from_str_radix(text, 16).unwrap();
        let (start, end) = (parse(start), parse(end));
        // What was read lies in the buffer, masked; it is not looked at again.
        for (mut at, end) in [(start, end.min(own.start)), (start.max(own.end), end)] {
            while at < end {
                let length = CHUNK.min(end - at);
                if memory.read_exact_at(&mut buffer[..length], at as u64).is_ok() {
                    buffer[..length].iter_mut().for_each(|byte| *byte ^= MASK);
                    let parts = buffer[..length].windows(masked.len());
                    found.extend(parts.filter(|part| *part == masked).map(|_| line.to_owned()));
                }
                // A secret may lie across two chunks.
                at += if length == CHUNK { CHUNK - masked.len() } else { length };
            }
        }
    }
    found
}

/// The digits of a key, masked.
fn digits(masked: &[u8]) -> Vec<u8> {
    let digit = |value: u8| (if value < 10 { b'0' + value } else { b'a' - 10 + value }) ^ MASK;
    masked
        .iter()
        .flat_map(|byte| [digit((byte ^ MASK) >> 4), digit((byte ^ MASK) & 15)])
        .collect()
}

fn write_keys_file(path: &Path) {
    let mut text = Zeroizing::new(Vec::with_capacity(100));
    text.extend(b"keys:\n  - \"");
    text.extend(digits(&OF_FILE).iter().map(|byte| byte ^ MASK));
    text.extend(b"\"\n");
    std::fs::write(path, &text).unwrap();
}

#[test]
fn loading_leaves_no_text_of_a_key_and_dropping_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.yaml");
    write_keys_file(&path);
    let sources = Sources {
        keys_file: Some(path),
        keys_dir: None,
        keyring: Some(KeyringSource {
            backend: KeyringBackend::Test,
            folder: concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/keyring").into(),
            service: "pocket".to_owned(),
            password: None,
            names: vec!["supplier1".to_owned()],
        }),
    };
    let loaded = KeySet::load(&sources);
    assert!(
        loaded.errors.is_empty() && loaded.keys.len() == 2,
        "{:?}",
        loaded.errors
    );
    for secret in [OF_FILE, OF_KEYRING] {
        assert_ne!(copies_of(&secret), [""; 0], "a key in use is in memory");
        assert_eq!(copies_of(&digits(&secret)), [""; 0], "its digits are not");
    }
    drop(loaded);
    for secret in [OF_FILE, OF_KEYRING] {
        assert_eq!(copies_of(&secret), [""; 0], "a key that is no longer used is gone");
    }
}
