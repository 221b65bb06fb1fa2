//! Compiles the `.proto` files with protox: no system protoc is needed.
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("proto");
    let mut files = Vec::new();
    for folder in ["pocket", "cosmos", "sdk"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            files.push(entry?.path().strip_prefix(root)?.to_path_buf());
        }
    }
    files.sort();
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(&files, [root])?;
    std::fs::write(
        PathBuf::from(std::env::var("OUT_DIR")?).join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        // Payloads are shared slices of what the socket delivered, never copies.
        .bytes(".")
        // Go writes map entries in key order; so do ordered maps.
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
