//! Programs of another machine. The emulator is the probe, which says what it was started for.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sandbox::{Command, Emulator, Obstacle, Root, SandboxError, Status, Step};

use crate::fixture::{Fixture, NONROOT, is_root, probe, program, skip, text};

/// A machine whose programs nobody has: `EM_M32` of a processor of the eighties.
const MACHINE: u16 = 1;

/// The beginning of a program of that machine.
fn foreign() -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    bytes.extend(MACHINE.to_le_bytes());
    bytes.resize(128, 0);
    bytes
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let path = fixture.layers[0].join("bin/foreign");
    fs::write(&path, foreign()).expect("a program");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("its permissions");
    fixture
}

fn command(words: &[&str]) -> Command {
    // Who is not root has one user to give: user 0 sets an emulator up.
    let user = if is_root() { NONROOT } else { 0 };
    let emulator = Emulator { program: probe(), machine: MACHINE };
    let mut command = Command { emulator: Some(emulator), uid: user, gid: user, ..Command::new(words[0]) };
    command.args = words[1..].iter().map(Into::into).collect();
    command.env.insert("PATH".into(), "/bin".into());
    command
}

/// Whether this kernel lets a user namespace have a table of formats.
fn is_possible(fixture: &Fixture) -> bool {
    match fixture.try_run(&command(&["/bin/probe", "exit", "0"])) {
        Err(SandboxError::Unsupported { obstacle: Obstacle::Formats, source }) => {
            skip("programs of other machines", &source.to_string());
            false
        }
        outcome => {
            assert_eq!(
                outcome.expect("it starts").status,
                Status::Exited(0),
                "the machine's own programs run"
            );
            true
        }
    }
}

#[test]
fn a_program_of_another_machine_is_run_by_an_emulator_that_is_not_in_the_root() {
    let fixture = fixture();
    fixture.add_shell();
    if !is_possible(&fixture) {
        return;
    }
    let script = "foreign b 'c d'; exec foreign";
    for (words, wanted) in [
        (&["/bin/foreign", "a"][..], r#"emulated as /bin/foreign with ["a"]"#),
        (&["foreign"], "emulated as foreign with []"),
        (
            &["/bin/sh", "-c", script],
            "emulated as foreign with [\"b\", \"c d\"]\nemulated as foreign with []",
        ),
    ] {
        let outcome = fixture.run(&command(words));
        assert_eq!(text(&outcome.stdout.bytes), wanted, "{words:?}");
        assert_eq!(outcome.status, Status::Exited(0), "{words:?}");
    }
}

#[test]
fn it_serves_one_sandbox_alone() {
    let fixture = fixture();
    if !is_possible(&fixture) {
        return;
    }
    let alone = Command { emulator: None, ..command(&["/bin/foreign"]) };
    fixture.run(&command(&["/bin/foreign"]));
    let error = fixture.try_run(&alone).expect_err("nothing runs it");
    assert!(matches!(&error, SandboxError::Failed(failure) if failure.step == Step::Execute), "{error}");
}

#[test]
fn without_a_namespace_there_is_none() {
    let mut command = command(&["/bin/true"]);
    command.uid = rustix::process::getuid().as_raw();
    command.gid = rustix::process::getgid().as_raw();
    let error =
        sandbox::run(&program(), &Root::InPlace, &command).expect_err("it would be for all of the machine");
    assert!(matches!(error, SandboxError::Unsupported { obstacle: Obstacle::Formats, .. }), "{error}");
}

#[test]
fn an_emulator_that_is_not_there_is_told_with_its_path() {
    let fixture = fixture();
    if !is_possible(&fixture) {
        return;
    }
    let mut command = command(&["/bin/foreign"]);
    command.emulator = Some(Emulator { program: "/absent/emulator".into(), machine: MACHINE });
    let error = fixture.try_run(&command).expect_err("there is none");
    assert_eq!(
        error.to_string(),
        "cannot have programs of another machine run by `/absent/emulator` for the sandbox: \
         No such file or directory (os error 2)"
    );
}
