//! The page, of a run that was made up.

use crate::bench::report::render;
use crate::bench::results::tests::{results, row};

#[test]
fn every_section_is_there_and_nothing_of_a_text_is_markup() {
    let mut run = results(vec![
        row("set_sync", &[100.0, 105.0, 300.0]),
        row("engine_set_async", &[5_000.0; 3]),
        row("backup", &[1.0, 1.1]),
    ]);
    run.dir = "/tmp/<script>alert(1)</script>".to_string();
    run.machine.cpu = Some("\"Quoted\" & <Bold>".to_string());
    for measurement in run.rows.iter_mut().flat_map(|row| &mut row.measurements) {
        measurement.series.at_ms = (0..9).map(f64::from).collect();
        measurement.series.operations = (0..9).collect();
        measurement.series.disk_bytes = vec![1 << 20; 9];
        measurement.series.memory_bytes = vec![1 << 22; 9];
    }
    let page = render(&run);
    for section in [
        "Documented, and measured",
        "Rows",
        "Latency distributions",
        "Throughput over time",
        "Space over time",
        "On what, and how",
    ] {
        assert!(page.contains(&format!("<h2>{section}</h2>")), "{section}");
    }
    assert!(
        !page.contains("<script") && !page.contains("<Bold>") && page.contains("&lt;script&gt;")
    );
    // 300 is 2.9 times the median: an arrow; 100 is a dot.
    assert!(page.contains("<title>round 3: 300/s</title></path>"));
    assert!(page.contains("<title>round 1: 100/s</title></circle>"));
    // Write-only without sync: 5,000 a second is a tenth of what is documented.
    assert!(page.contains("bar worse") && page.contains("0.10×"));
}

#[test]
fn a_run_without_a_measurement_is_a_page_all_the_same() {
    let page = render(&results(Vec::new()));
    assert!(page.contains("On what, and how") && page.ends_with("</html>\n"));
    assert!(!page.contains("Latency distributions") && !page.contains("NaN"));
}
