//! How cost grows: with the number of keys, the size of values, the threads, and as the cache shrinks.
//!
//! `cargo bench --bench growth -- [--keys] [--values] [--threads] [--cache]` runs these sweeps, or without a name all
//! of them, and prints a table of each. `--out DIR` keeps `growth-SWEEP.csv` there after each point, for the plots
//! (`docs/performance/growth-*.gp`) and the page; `--table` writes the tables on the page anew from those of
//! `docs/performance`. Each point has a process of its own, so that its peak of memory is its own, and a directory below
//! `--dir` (the system's temporary one).
//!
//! How large: `--max-million N` the most keys of `--keys`, in millions (64); `--mib N` the keys and values of each point of
//! `--values` (512); `--unit N` how many keys "a million" is, in all sweeps (1,000,000); `--seconds S` for what goes by time
//! (10); `--gets N` for what goes by number (500,000). `--quick` only shows that it runs, and that the page has the
//! figures of the CSV files.
//!
//! Keys are 23 bytes in random order; of values half compresses away. Answers are checked: a present key must come with
//! what was set, an absent one must not; after a merge of all there must be as many entries as keys, and what the
//! engine says it wrote must have gone through the system's calls. `disk_reserve_bytes` is 0: 16 MiB would be a tenth of a
//! million keys. Linux alone.

mod account;
mod arguments;
#[path = "../inputs/bytes.rs"]
mod bytes;
mod cache;
mod csv;
mod data;
#[path = "../gauges/disk.rs"]
mod disk;
#[path = "../inputs/keys.rs"]
mod keys;
mod latency;
#[path = "../page/marked.rs"]
mod marked;
#[path = "../gauges/memory.rs"]
mod memory;
#[path = "../inputs/mix.rs"]
mod mix;
mod page;
mod spinner;
mod subject;
mod sweep;
mod threads;
mod volume;

use arguments::{Arguments, Task};

fn main() {
    let arguments = Arguments::read();
    match &arguments.task {
        Task::Sweeps => {
            for sweep in &arguments.sweeps {
                let csv = sweep.run(&arguments);
                println!("\n{}", page::table(*sweep, &csv));
            }
            if arguments.scale.is_quick {
                page::check();
            }
        }
        Task::Table => page::update(),
        Task::Point { sweep, point } => {
            print!("{}", sweep.measure(*point, &arguments.below, &arguments.scale).to_text());
        }
        Task::Spin => spinner::spin(),
    }
}
