//! Random operations against a map, under many options at once, and relations
//! between sequences that must come to the same.
//!
//! A failure is shrunk and its seed is kept below `proptest-regressions`.

mod held;
mod metamorphic;
mod options;
mod run;
mod steps;

use proptest::prelude::*;
use run::Run;
use steps::Step;

fn behaves_like_a_map(mut run: Run, steps: &[Step]) -> Result<(), TestCaseError> {
    for step in steps {
        run.apply(step)?;
    }
    run.finish()
}

fn config(cases: u32) -> ProptestConfig {
    let persistence =
        proptest::test_runner::FileFailurePersistence::Direct("proptest-regressions/model.txt");
    ProptestConfig {
        cases,
        max_shrink_iters: 2000,
        failure_persistence: Some(Box::new(persistence)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(220))]

    #[test]
    fn behaves_like_a_map_in_memory_under_all_options(steps in steps::steps()) {
        for (name, options) in options::all() {
            behaves_like_a_map(Run::in_memory(options), &steps)
                .map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
        }
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn behaves_like_a_map_on_disk(
        options in proptest::sample::select(options::all()),
        steps in steps::steps(),
    ) {
        let dir = tempfile::tempdir()?;
        behaves_like_a_map(Run::on_disk(dir.path().to_path_buf(), options.1), &steps)?;
    }
}
