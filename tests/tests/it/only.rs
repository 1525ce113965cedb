//! A check that is for some images alone tells them from the others: in a real image that has neither the variant nor the
//! option it fails. It needs a cache with the real packages; the network is not used.

use fs_err as fs;
use schema::image::ImageSpec;

use crate::real;
use crate::skip;

const NAME: &str = "only-under-test";
const IMAGE: &str = "only-under-test:3.3-trixie";
const WHAT: &str = "checks of other images";

#[test]
fn a_check_for_some_images_fails_in_the_others() {
    let project = real::project(NAME);
    let ruby = |script: &str| real::run(project.path(), &["run", IMAGE, "--", "ruby", "-e", script]);
    if let Err(why) = real::build(project.path(), IMAGE).and_then(|()| ruby("exit")) {
        return skip(WHAT, &why);
    }
    let folder = project.path().join("images/ruby");
    let spec = fs::read_to_string(folder.join("image.toml")).expect("its description");
    let spec = ImageSpec::parse("image.toml", &spec).expect("a description");
    let others: Vec<_> = spec.checks.iter().filter(|check| !check.only.is_empty()).collect();
    assert!(others.iter().any(|check| check.name == "jemalloc"), "one of an option is among them");
    for check in others {
        let script = check.script.as_ref().expect("such a check is a script");
        let script = fs::read_to_string(folder.join(script)).expect("the script");
        assert!(ruby(&script).is_err(), "`{}` passes in an image that it is not for", check.name);
    }
}
