//! Writes the seed corpora: `cargo run --release --example seeds` in `fuzz/`.

use esker_fuzz::{DECODERS, STATEFUL};
use std::path::Path;

fn main() -> std::io::Result<()> {
    let decoders = DECODERS.iter().map(|target| (target.name, target.seeds));
    let stateful = STATEFUL.iter().map(|target| (target.name, target.seeds));
    for (name, seeds) in decoders.chain(stateful) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
