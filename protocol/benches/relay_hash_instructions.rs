//! Instructions of hashing a relay, counted: the same on a busy machine as on an idle one.

// The benchmark macros make public items without documentation.
#![allow(missing_docs)]

mod sample;

use std::hint::black_box;

use iai_callgrind::{library_benchmark, library_benchmark_group, main};
use pocket_proto::pocket::service::{RelayRequest, RelayResponse};
use pocket_protocol::relay;

#[library_benchmark]
#[bench::small(sample::relay(1 << 10))]
#[bench::large(sample::relay(64 << 10))]
fn request_signable_hash((request, _): (RelayRequest, RelayResponse)) -> [u8; 32] {
    relay::request_signable_hash(black_box(&request))
}

#[library_benchmark]
#[bench::small(sample::relay(1 << 10))]
#[bench::large(sample::relay(64 << 10))]
fn relay_hash((request, response): (RelayRequest, RelayResponse)) -> [u8; 32] {
    relay::relay_hash(black_box(&request), black_box(&response))
}

#[library_benchmark]
#[bench::small(sample::relay(1 << 10))]
#[bench::large(sample::relay(64 << 10))]
fn mined_relay((request, response): (RelayRequest, RelayResponse)) -> relay::MinedRelay {
    relay::mined_relay(black_box(&request), black_box(&response))
}

library_benchmark_group!(name = relay_hashes; benchmarks = request_signable_hash, relay_hash, mined_relay);
main!(library_benchmark_groups = relay_hashes);
