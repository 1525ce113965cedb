//! A matrix of many rows: each has its own Ruby, and a run that changes nothing reads what is there and writes nothing.

use std::fmt::Write;

use testkit::archive::Suite;

use crate::mirror::{Mirror, ruby, suite};
use crate::project::Project;

const ROWS: u32 = 60;

/// A project with this many rows, each a Ruby of its own on the same distro, and the mirror that has them.
pub(crate) fn project(rows: u32) -> (Mirror, Project) {
    let series: Vec<String> = (0..rows).map(|row| format!("{}.{}", 1 + row / 100, row % 100)).collect();
    let mirror = Mirror::empty();
    let mut packages = ruby("99.9");
    for series in &series {
        let own = [format!("ruby{series}"), format!("libruby{series}")];
        let is_own = |package: &testkit::deb::Package| {
            package.get("Package").is_some_and(|name| own.iter().any(|own| own == name))
        };
        packages.extend(ruby(series).into_iter().filter(is_own));
    }
    mirror.publish(&suite("trixie", packages));
    mirror.publish_security(&Suite::new("trixie-security"));
    let project = Project::new(&mirror);
    // The interpreter under its own name: the package that links it to `ruby` is another Ruby's.
    project.edit("images/tiny/image.toml", "path = \"/usr/bin/ruby\"", "path = \"/usr/bin/ruby*\"");
    let matrix = project.read("matrix.toml");
    let mut matrix = matrix[..matrix.find("[[rows]]").expect("a row")].to_owned();
    for series in &series {
        let row =
            format!("ruby = \"{series}\"\ndistro = \"trixie\"\nsource = {{ package = \"ruby{series}\" }}\n");
        write!(matrix, "[[rows]]\n{row}").expect("writing to a text never fails");
    }
    project.write("matrix.toml", &matrix);
    (mirror, project)
}

#[test]
fn a_matrix_of_many_rows_is_found_unchanged() {
    let (_mirror, project) = project(ROWS);
    project.build();
    let before = crate::project::files_below(&project.root);
    let said = project.build().errors;
    let rows = usize::try_from(ROWS).expect("a small number");
    assert_eq!(said.matches("unchanged tiny:").count(), rows, "{said}");
    assert!(before == crate::project::files_below(&project.root), "nothing is written");
}
