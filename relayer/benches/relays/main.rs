//! What a relay costs, beside a raw proxy in the same run. One program: it is linked once for all ways.
//!
//! `cargo bench -p pocket-relayer --bench relays -- loopback|websocket|streaming|grpc [NUMBERS]`. Numbers left out have
//! defaults.

mod common;
mod grpc;
mod loopback;
#[path = "../../examples/raw_proxy.rs"]
#[allow(dead_code)] // Its `main`.
mod raw_proxy;
mod streaming;
mod websocket;

fn main() {
    // Cargo adds words of its own.
    let words = || std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let numbers = words().filter_map(|word| word.parse().ok());
    match words().next().as_deref() {
        Some("loopback") => loopback::run(numbers),
        Some("websocket") => websocket::run(numbers),
        Some("streaming") => streaming::run(numbers),
        Some("grpc") => grpc::run(numbers),
        _ => println!("say which: loopback, websocket, streaming or grpc"),
    }
}
