//! What the source of a row's Ruby decides: which packages are asked for, where the Ruby is, and how its full version is
//! known before anything is built. A kind of source is matched here, and nowhere else in this crate.

use std::collections::BTreeSet;

use schema::image::ImageSpec;
use schema::lock::Lock;
use schema::matrix::Source;

use crate::plan::Target;

/// What stands for the package of the Ruby in the name of another one.
const PACKAGE: &str = "{package}";

impl Target {
    /// The folder that the Ruby was installed to.
    pub(crate) fn prefix(&self) -> &'static str {
        match self.row.source {
            Source::Package(_) => "/usr",
        }
    }

    /// The packages that the Ruby comes in.
    pub(crate) fn ruby_packages(&self) -> BTreeSet<String> {
        match &self.row.source {
            Source::Package(package) => BTreeSet::from([package.clone()]),
        }
    }

    /// The packages of a list that this target asks for.
    pub(crate) fn asked_for(&self, packages: &[String]) -> BTreeSet<String> {
        match &self.row.source {
            Source::Package(package) => packages.iter().map(|want| want.replace(PACKAGE, package)).collect(),
        }
    }

    /// The full version of the Ruby, as the lock has it: `3.3.8` of `ruby3.3 3.3.8-2`.
    pub fn locked_version(&self, spec: &ImageSpec, lock: &Lock) -> Option<String> {
        match self.row.source {
            Source::Package(_) => {
                let versioned = format!("ruby{}", self.row.ruby);
                let set = self.image_set(spec);
                let (package, _) = lock.set(&set)?.find(|(package, _)| package.name == versioned)?;
                Some(upstream_version(&package.version).to_owned())
            }
        }
    }

    /// What the Ruby comes in, as people call it.
    pub(crate) fn origin(&self) -> String {
        match &self.row.source {
            Source::Package(package) => format!("package {package} of its distro"),
        }
    }
}

/// A Debian version without its epoch and revision (Debian Policy 5.6.12). What comes after `+really` is the version that
/// it really is (Debian Policy 3.2.2).
fn upstream_version(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    upstream.rsplit_once("+really").map_or(upstream, |(_, real)| real)
}

#[cfg(test)]
mod tests {
    use super::*;

    use schema::Architecture;
    use schema::matrix::Matrix;

    use crate::plan;
    use crate::selection::Architectures;

    const IMAGE: &str = r#"
name = "tiny"
packages = ["tzdata", "{package}-data"]

[about]
description = ""
source = ""
vendor = ""

[config]
user = "0:0"
working-directory = "/"
command = []
environment = {}

[[layers]]
name = "base"
roots = []
"#;

    fn target(source: &str) -> (Target, ImageSpec) {
        let matrix = format!(
            "image = \"tiny\"\narchitectures = [\"amd64\"]\n[distros.trixie]\nsuites = []\n\
             [[rows]]\nruby = \"3.3\"\ndistro = \"trixie\"\nsource = {source}\n"
        );
        let matrix = Matrix::parse("matrix.toml", &matrix).unwrap();
        let spec = ImageSpec::parse("image.toml", IMAGE).unwrap();
        let only = Architectures::Only(Architecture::Amd64);
        (plan::targets(&matrix, &spec, Architecture::Amd64, only).remove(0), spec)
    }

    #[test]
    fn a_row_asks_for_what_its_ruby_comes_in() {
        let (target, spec) = target("{ package = \"ruby3.3\" }");
        let wants = ["ruby3.3", "ruby3.3-data", "tzdata"].map(str::to_owned);
        assert_eq!(target.image_set(&spec).wants, wants.into());
    }

    #[test]
    fn an_upstream_version_has_no_epoch_and_no_revision() {
        for (version, upstream) in [
            ("3.3.8-2", "3.3.8"),
            ("2.7.4-1+deb11u5", "2.7.4"),
            ("1:3.3+b1", "3.3+b1"),
            ("3.3", "3.3"),
            ("3.1.7+really3.1.2-7", "3.1.2"),
        ] {
            assert_eq!(upstream_version(version), upstream);
        }
    }
}
