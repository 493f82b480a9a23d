//! The objects for the Prometheus operator, as kubectl renders them, against the types of the operator's resources.

use std::process::Command;

use crate::root;

#[test]
fn kubectl_renders_the_folder_and_the_operator_knows_every_field() {
    let python = root().join(".venv-deploy/bin/python");
    assert!(python.exists(), "`make test` makes .venv-deploy and target/deploytools");
    let output = Command::new(python).arg(root().join("tests/deploy/monitoring.py")).output().expect("Python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("objects are right"), "{said}");
}
