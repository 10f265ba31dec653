//! Performance experiments: rows of work over databases of their own, measured, kept, shown and compared.
//!
//! Place on the data's path: beside it; it uses the library as any program does. `run` goes through the rows and the
//! rounds and starts a process (`child`) for each measurement; that does the `work` on the clock (`timed`), while a thread
//! looks at space and memory (`series`). What comes of it are `results`: a document that is kept, shown as text
//! (`tables`) and as a page (`report`), and compared with another (`compare`).
//!
//! INV-1: no database that is there is touched (`ground`).
//! INV-2: whatever may make two figures incomparable stands in the results: the plan of each row, the settings, the
//! machine, the build.
//!
//! Not here: other engines. `benches/peers` runs the same rows over them; it is a package of its own, since some
//! of them compile C.

pub mod child;
pub mod compare;
mod data;
mod documented;
mod figures;
mod ground;
mod machine;
mod measurement;
mod plan;
pub mod report;
pub mod results;
pub mod rows;
pub mod run;
mod series;
pub mod settings;
mod store;
pub mod tables;
mod timed;
mod work;
