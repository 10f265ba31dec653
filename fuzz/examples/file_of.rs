//! Writes the file that an input of a decoder target stands for, to replay a
//! crash as a test: `cargo run --example file_of -- TARGET INPUT OUTPUT`.

use esker_fuzz::DECODERS;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, input, output] = &arguments[..] else {
        panic!("usage: file_of TARGET INPUT OUTPUT");
    };
    let target = DECODERS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("{name} is no decoder target"));
    let input = std::fs::read(input).expect("the input is there");
    std::fs::write(output, (target.file_of)(&input)).expect("the output is written");
}
