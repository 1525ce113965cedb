//! The ways to a mirror: flags, proxies, and mirrors that are not there.

use testkit::archive::Suite;

use crate::mirror::{Mirror, ruby, suite};
use crate::project::Project;

#[test]
fn a_mirror_on_the_command_line_comes_before_that_of_the_matrix() {
    let mirror = Mirror::start();
    let project = Project::new(&Mirror::empty());
    project.run(&["build-all", "--no-check", "--mirror", &format!("{}/", mirror.main())]).good();
    assert_eq!(project.images(), Project::undisturbed(&mirror));
    project.run(&["update", "--mirror", &mirror.main(), "--security-mirror", &mirror.security()]).good();
}

#[test]
fn a_proxy_is_used_except_for_hosts_that_need_none() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    let matrix = project.read("matrix.toml");
    project.write("matrix.toml", &matrix.replace(&mirror.server.url(""), "http://mirror.invalid"));
    let mut through = project.command(&["build-all", "--no-check"]);
    project.outcome(through.env("http_proxy", mirror.server.url(""))).good();
    let asked = mirror.server.requests();
    assert!(asked.iter().all(|request| request.target.starts_with("http://mirror.invalid/debian")));

    project.write("matrix.toml", &matrix);
    let mut past = project.command(&["update"]);
    past.env("http_proxy", "http://127.0.0.1:1").env("no_proxy", "localhost,127.0.0.1");
    project.outcome(&mut past).good();

    let mut wrong = project.command(&["update"]);
    insta::assert_snapshot!(project.outcome(wrong.env("http_proxy", "socks://127.0.0.1:1")), @"
    status 2
    -- errors
    error: cannot use the proxy `socks://127.0.0.1:1`: expected an address such as `http://proxy.example:3128`
    ");
}

#[test]
fn a_mirror_that_is_not_there() {
    let mirror = Mirror::start();
    let project = Project::new(&mirror);
    project.build();
    let lock = project.read("matrix.lock");
    // Nothing listens on the first port.
    let nowhere = ["update", "--mirror", "http://127.0.0.1:1/debian"];
    insta::assert_snapshot!(project.run(&nowhere), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: cannot download http://127.0.0.1:1/debian/dists/trixie/InRelease: Connection refused (os error 111) (4 attempts)
    hint: is the network up, and is a proxy needed? What was downloaded so far is kept: run it again
    ");
    assert_eq!(project.read("matrix.lock"), lock);
    // What is built needs none.
    project.edit("matrix.toml", &mirror.server.url(""), "http://127.0.0.1:1");
    project.build();
}

#[test]
fn keys_decide_whose_packages_are_taken() {
    let mirror = Mirror::empty();
    mirror.publish(&suite("trixie", ruby("3.3")));
    mirror.publish_security(&Suite::new("trixie-security"));
    let project = Project::new(&mirror);
    // Without keys of its own, a distro is Debian's.
    project.edit("matrix.toml", "keyring = \"keys.asc\"", "");
    insta::assert_snapshot!(project.run(&["build-all", "--no-check"]), @"
    status 2
    -- errors
    resolving the packages of trixie
    error: cannot read the suite trixie
      because: [mirror]/debian/dists/trixie/InRelease is not to be trusted
      because: it has no good signature: by key 49869D1697CAD862E3EB200F19678776BA025BDA, the key is not among those kept
    hint: use another mirror; if the archive has keys of its own, name them as `keyring` of the distro in matrix.toml
    ");
    assert!(project.images().is_empty());
}
