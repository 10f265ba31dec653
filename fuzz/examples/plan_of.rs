//! Prints what an input of a target that runs a database stands for: options,
//! steps, and what goes wrong: `cargo run --example plan_of -- TARGET INPUT`.

use esker_fuzz::STATEFUL;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, input] = &arguments[..] else { panic!("usage: plan_of TARGET INPUT") };
    let target = STATEFUL
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("{name} is no target that runs a database"));
    let input = std::fs::read(input).expect("the input is there");
    print!("{}", (target.describe)(&input));
}
