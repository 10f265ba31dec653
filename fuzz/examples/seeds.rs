//! Writes the seed corpora: `cargo run --release --example seeds` in `fuzz/`.

use esker_fuzz::DECODERS;
use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in DECODERS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
