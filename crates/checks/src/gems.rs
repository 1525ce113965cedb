//! The gem source that checks install from: made in the image from packages, and served in the check's own container.

use rootfs::{Content, Dialect, Kind, Layer, Limits, Origin, RootPath, TarOptions, Tree, write_tar};

use crate::error::{GemPackageFault, GemPackagesError};

/// Serves the tar behind `__END__` as a gem source; goes in front of a check's script.
pub(crate) const SERVE: &str = include_str!("serve_gems.rb");

/// Packages that gems are made of, as one tar: each package's files in a folder of its name.
#[derive(Debug, Clone)]
pub struct GemPackages {
    tar: Vec<u8>,
}

impl GemPackages {
    /// Takes packages by name, each with the plain tar of its files.
    ///
    /// # Errors
    /// A tar that is damaged or has an entry that no package may have.
    pub fn new<'a>(packages: impl IntoIterator<Item = (&'a str, Content)>) -> Result<Self, GemPackagesError> {
        let mut tree = Tree::new();
        for (package, tar) in packages {
            add(&mut tree, package, tar)
                .map_err(|source| GemPackagesError::Package { package: package.to_owned(), source })?;
        }
        let mut tar = Vec::new();
        write_tar(&tree, &mut tar, &TarOptions::default())?;
        Ok(Self { tar })
    }

    /// What `script` reads to make a gem source of these packages.
    pub fn input_of(&self, script: &str) -> Vec<u8> {
        with_data(script, &self.tar)
    }
}

fn add(tree: &mut Tree, package: &str, tar: Content) -> Result<(), GemPackageFault> {
    let mut files = Tree::new();
    files.stack(&Layer::parse(tar, Dialect::Debian, Limits::default())?, Origin::default())?;
    let folder = RootPath::root().join(package)?;
    for (path, entry) in files.iter() {
        if matches!(entry.kind, Kind::File(_)) {
            tree.insert(folder.join(path.relative())?, entry.clone())?;
        }
    }
    Ok(())
}

/// A script with data that it reads as `DATA`.
pub(crate) fn with_data(script: &str, data: &[u8]) -> Vec<u8> {
    [script.as_bytes(), b"\n__END__\n", data].concat()
}

#[cfg(test)]
mod tests {
    use testkit::tar::Tar;

    use super::*;

    #[test]
    fn each_package_has_a_folder_of_its_own() {
        let package = |content: &str| -> Content {
            let tar = Tar::new().folder("./usr").file("./usr/LICENSE", content);
            tar.symlink("./usr/COPYING", "LICENSE").finish().into()
        };
        let packages = GemPackages::new([("rack", package("one")), ("tilt", package("two"))]).unwrap();
        let input = packages.input_of("puts DATA.read");
        let tar = input.strip_prefix(b"puts DATA.read\n__END__\n").expect("the script comes first");

        let layer = Layer::parse(tar.to_vec().into(), Dialect::Oci, Limits::default()).unwrap();
        let mut tree = Tree::new();
        tree.stack(&layer, Origin::default()).unwrap();
        let files: Vec<String> = tree
            .iter()
            .filter_map(|(path, entry)| match &entry.kind {
                Kind::File(file) => Some(format!("{path}: {}", String::from_utf8_lossy(&file.content))),
                _ => None,
            })
            .collect();
        assert_eq!(files, ["/rack/usr/LICENSE: one", "/tilt/usr/LICENSE: two"]);
    }

    #[test]
    fn a_damaged_package_is_named() {
        let error = GemPackages::new([("rack", vec![b'x'; 1024].into())]).expect_err("no tar");
        assert_eq!(error.to_string(), "cannot take gems from package `rack`");
    }
}
