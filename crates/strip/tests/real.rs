//! A real program: this test's own, which has symbols and debug information, and goes on without them.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use fs_err as fs;

#[test]
fn this_program_runs_without_its_symbols() {
    let own = fs::read(std::env::current_exe().unwrap()).unwrap();
    let stripped = strip::symbols(&own).unwrap().expect("a program under test has symbols");
    assert!(stripped.len() < own.len() / 2, "{} of {} bytes", stripped.len(), own.len());
    assert_eq!(strip::symbols(&stripped), Ok(None));

    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    fs::write(&program, &stripped).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let output = Command::new(&program).arg("--list").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("this_program_runs_without_its_symbols: test"));

    // Where binutils are, they find nothing to complain about.
    for argument in ["--all", "--sections"] {
        let Ok(output) = Command::new("readelf").args([argument, "--wide"]).arg(&program).output() else {
            return;
        };
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        if argument == "--sections" {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                text.contains(".dynsym") && !text.contains(".symtab") && !text.contains(".debug_info"),
                "{text}"
            );
        }
    }
}
