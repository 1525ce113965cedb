//! Killed at any moment, the next run is right; several runs at once are right.
//!
//! The moments are not a matter of time: a run is killed once it has asked the mirror for so many files, or once there
//! are so many files in its folders.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;

use fs_err as fs;

use crate::mirror::Mirror;
use crate::project::Project;

const BUILD: [&str; 2] = ["build-all", "--no-check"];

#[test]
fn killed_after_any_request() {
    let undisturbed = Mirror::start();
    let wanted = Project::undisturbed(&undisturbed);
    let requests = undisturbed.server.requests().len();
    assert!(requests > 5, "{requests}");
    let mut killed = 0;
    for count in 1..=requests {
        let mirror = Mirror::start();
        let project = Project::new(&mirror);
        let mut run = start(&project);
        mirror.server.wait_for_requests(count);
        killed += usize::from(kill(&mut run));
        project.build();
        assert_eq!(project.images(), wanted, "killed after request {count}");
        project.assert_whole();
    }
    assert!(killed > requests / 2, "{killed} of {requests} were killed in time");
}

#[test]
fn killed_after_any_file() {
    let mirror = Mirror::start();
    let undisturbed = Project::new(&mirror);
    let before = count(undisturbed.folder());
    undisturbed.build();
    let after = count(undisturbed.folder());
    assert!(after > before + 20, "{before}, then {after}");
    let mut killed = 0;
    for moment in (before + 1..=after).step_by(3) {
        let project = Project::new(&mirror);
        let mut run = start(&project);
        while count(project.folder()) < moment && run.try_wait().expect("it can be waited for").is_none() {
            thread::yield_now();
        }
        killed += usize::from(kill(&mut run));
        project.build();
        assert_eq!(project.images(), undisturbed.images(), "killed with {moment} files");
        project.assert_whole();
    }
    assert!(killed > 3, "{killed} were killed in time");
}

#[test]
fn several_runs_at_once_in_one_project() {
    let mirror = Mirror::start();
    let wanted = Project::undisturbed(&mirror);
    for _ in 0..3 {
        let project = Project::new(&mirror);
        for run in [(); 4].map(|()| start(&project)) {
            let output = run.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(project.images(), wanted);
        project.assert_whole();
    }
}

#[test]
fn several_projects_at_once_with_one_cache() {
    let mirror = Mirror::start();
    let wanted = Project::undisturbed(&mirror);
    let projects = [(); 4].map(|()| Project::new(&mirror));
    let runs = projects.each_ref().map(|project| {
        let mut command = project.command(&BUILD);
        command.env("DISTROLESS_RUBY_CACHE", &projects[0].cache).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    });
    for run in runs {
        let output = run.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for project in &projects {
        assert_eq!(project.images(), wanted);
        project.assert_whole();
    }
}

fn start(project: &Project) -> Child {
    project.command(&BUILD).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Without a chance to clean up. Whether it had not ended yet.
fn kill(run: &mut Child) -> bool {
    run.kill().expect("it may be killed");
    run.wait().expect("it ends").signal().is_some()
}

/// How many files there are below a folder that another process is changing.
fn count(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let entries = entries.filter_map(Result::ok);
    entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}
