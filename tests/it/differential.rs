//! The gateway's answers against DuckDB's over a physically filtered and masked copy (tests/python/differential.py).

use crate::support;

#[test]
fn external_answers_equal_those_of_a_masked_copy() {
    let Some(python) = support::python() else { return };
    let url = support::served().url();
    let mesh = support::mesh().to_str().unwrap();
    let compared = support::run_python(&python, "differential.py", &[&url, mesh, support::MASK_KEY]);
    assert_eq!(compared.trim(), "110", "five askers with twenty queries, two with five refusals");
}
