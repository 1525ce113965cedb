//! Rows in groups: they are locked with the matrix, built where they are asked for, and keep their names in a run over
//! the matrix.

use crate::mirror::{Mirror, ruby, suite};
use crate::project::Project;
use testkit::archive::Suite;

fn mirror() -> Mirror {
    let mirror = Mirror::empty();
    for (distro, series) in [("trixie", "3.3"), ("bookworm", "3.1")] {
        mirror.publish(&suite(distro, ruby(series)));
        mirror.publish_security(&Suite::new(&format!("{distro}-security")));
    }
    mirror
}

/// A project whose second row is in the group `old`.
fn project(mirror: &Mirror) -> Project {
    let project = Project::with_matrix(mirror, &[("3.3", "trixie"), ("3.1", "bookworm")]);
    project.edit("matrix.toml", "ruby = \"3.1\"\n", "ruby = \"3.1\"\ngroup = \"old\"\n");
    project
}

/// The main names that are built with the plain series: `tiny:3.3`.
fn built(project: &Project) -> Vec<String> {
    project.images().into_keys().filter(|name| !name.contains('-')).collect()
}

#[test]
fn a_row_in_a_group_is_built_where_it_is_asked_for() {
    let mirror = mirror();
    for (arguments, images) in [
        (&["build-all"][..], &["tiny:3.3"][..]),
        (&["build-all", "--group", "old"], &["tiny:3.1"]),
        (&["build-all", "--group", "all"], &["tiny:3.1", "tiny:3.3"]),
        (&["build", "3.1-bookworm"], &["tiny:3.1"]),
        (&["build", "*"], &["tiny:3.3"]),
        (&["build", "--group", "old", "*bookworm"], &["tiny:3.1"]),
    ] {
        let project = project(&mirror);
        project.run(&[arguments, &["--no-check"]].concat()).good();
        assert_eq!(built(&project), images, "{arguments:?}");
        assert!(project.read("matrix.lock").contains("distro = \"bookworm\""), "every row is locked");
    }
}

#[test]
fn it_keeps_its_names_until_its_inputs_change_and_has_no_row_in_the_table() {
    let mirror = mirror();
    let project = project(&mirror);
    project.run(&["build-all", "--group", "old", "--no-check"]).good();
    project.build();
    assert_eq!(built(&project), ["tiny:3.1", "tiny:3.3"]);
    project.edit("matrix.toml", "ruby = \"3.1\"\ngroup = \"old\"\n", "ruby = \"3.1\"\ngroup = \"new\"\n");
    project.build();
    assert_eq!(built(&project), ["tiny:3.1", "tiny:3.3"], "the group is no input");
    project.edit("images/tiny/image.toml", "A small Ruby", "A little Ruby");
    project.build();
    assert_eq!(built(&project), ["tiny:3.3"]);
}

#[test]
fn a_group_that_is_not_there_is_an_error_with_those_that_there_are() {
    let mirror = mirror();
    insta::assert_snapshot!(project(&mirror).run(&["build-all", "--group", "odl"]), @"
    status 2
    -- errors
    error: no group is called `odl`
    hint: the groups are old
    ");
    insta::assert_snapshot!(Project::new(&mirror).run(&["build-all", "--group", "old"]), @"
    status 2
    -- errors
    error: no group is called `old`
    hint: no row is in a group
    ");
}

#[test]
fn list_tells_the_group() {
    let mirror = mirror();
    let listed = project(&mirror).run(&["list", "--json"]).good().output;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let of = |name: &str| listed.as_array().unwrap().iter().find(|image| image["name"] == name).unwrap();
    assert_eq!(of("tiny:3.1-bookworm")["group"], "old");
    assert_eq!(of("tiny:3.1-bookworm")["on_demand"], true);
    assert_eq!(of("tiny:3.3-trixie").get("group"), None);
}

#[test]
fn list_tells_the_jobs_of_several_machines() {
    let mirror = mirror();
    let project = project(&mirror);
    project.edit(
        "matrix.toml",
        "architectures = [\"amd64\"]\n",
        "architectures = [\"amd64\", \"arm64\"]\nrunners = { amd64 = \"here\", arm64 = \"there\" }\n",
    );
    project.edit("matrix.toml", "ruby = \"3.1\"\n", "ruby = \"3.1\"\narchitectures = [\"arm64\"]\n");
    insta::assert_snapshot!(project.run(&["list", "--jobs", "--json"]), @r#"
    status 0
    -- output
    {"include":[{"row":"3.3-trixie","architecture":"amd64","runner":"here"},{"row":"3.3-trixie","architecture":"arm64","runner":"there"}]}
    "#);
    insta::assert_snapshot!(project.run(&["list", "--jobs", "--json", "--group", "old"]), @r#"
    status 0
    -- output
    {"include":[{"row":"3.1-bookworm","architecture":"arm64","runner":"there","group":"old"}]}
    "#);
    insta::assert_snapshot!(project.run(&["list", "--jobs", "--group", "all"]), @"
    status 0
    -- output
     ROW           ARCHITECTURE  RUNNER  GROUP
     3.3-trixie    amd64         here
     3.3-trixie    arm64         there
     3.1-bookworm  arm64         there   old
    ");
    insta::assert_snapshot!(project.run(&["list", "--jobs", "--group", "new"]), @"
    status 2
    -- errors
    error: no group is called `new`
    hint: the groups are old
    ");
}

/// What a job does.
#[test]
fn a_row_is_built_by_its_name() {
    let mirror = mirror();
    let project = project(&mirror);
    let build = |row: &str| project.run(&["build-all", "--row", row, "--arch", "amd64", "--no-check"]);
    build("3.1-bookworm").good();
    assert_eq!(built(&project), ["tiny:3.1"], "a row in a group, and no other");
    build("3.3-trixie").good();
    assert_eq!(built(&project), ["tiny:3.1", "tiny:3.3"]);
    insta::assert_snapshot!(build("3.3-bookworm"), @"
    status 2
    -- errors
    error: no row is called `3.3-bookworm`
    hint: the rows are 3.3-trixie, 3.1-bookworm
    ");
}
