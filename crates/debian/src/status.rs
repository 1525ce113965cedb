//! What dpkg knows of the packages that are installed in a root (dpkg(1), "FILES"): the paragraphs of
//! `/var/lib/dpkg/status`, and those below `status.d`, where images without dpkg keep them.
//!
//! A name that comes from here may become part of a path: one that no package can have is refused.

use crate::control::{ControlError, Paragraph, paragraphs};

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// Its control fields, as its package has them: without what dpkg adds.
    pub control: String,
}

/// What dpkg is said to know cannot be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// It is no control data.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A paragraph is about no package.
    #[error("it has a paragraph without the field `{0}`")]
    Missing(&'static str),
    /// No package can be called so.
    #[error("`{0}` cannot be the name of a package")]
    Name(String),
}

/// Fields that are dpkg's own, and in no package (dpkg's `lib/dpkg/parse.c`).
const OF_DPKG: [&str; 5] = ["Status", "Conffiles", "Config-Version", "Triggers-Pending", "Triggers-Awaited"];

/// The longest that a name and an architecture may be together, in bytes: names of files have 255 (`NAME_MAX`), and
/// those of dpkg's records have an ending too.
const LONGEST: usize = 200;

/// The packages of a status file that are installed. One without `Status`, as below `status.d`, is.
///
/// # Errors
/// A text that is none, or that names a package as no package is named (Debian Policy 5.6.1).
pub fn installed(text: &str) -> Result<Vec<InstalledPackage>, StatusError> {
    let is_installed = |paragraph: &&Paragraph<'_>| {
        paragraph
            .get("Status")
            .is_none_or(|status| status.split_ascii_whitespace().nth(2) == Some("installed"))
    };
    paragraphs(text)?.iter().filter(is_installed).map(package).collect()
}

fn package(paragraph: &Paragraph<'_>) -> Result<InstalledPackage, StatusError> {
    let field = |name| paragraph.get(name).map(str::to_owned).ok_or(StatusError::Missing(name));
    let name = field("Package")?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || !name.bytes().all(is_plain) {
        return Err(StatusError::Name(name));
    }
    let architecture = field("Architecture")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !architecture.bytes().all(is_plain) || name.len() + architecture.len() > LONGEST {
        return Err(StatusError::Name(format!("{name}:{architecture}")));
    }
    let own = paragraph.fields().filter(|(name, _)| !OF_DPKG.iter().any(|of| of.eq_ignore_ascii_case(name)));
    let control = own.flat_map(|(name, value)| [name, ": ", value, "\n"]).collect();
    Ok(InstalledPackage { name, version: field("Version")?, architecture, control })
}

impl InstalledPackage {
    /// What dpkg's files about it may be called in `info`, without their endings: with its architecture where it may be
    /// there for several (deb-control(5), `Multi-Arch`).
    pub fn record_names(&self) -> [String; 2] {
        [format!("{}:{}", self.name, self.architecture), self.name.clone()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "Package: libc6
Status: install ok installed
Multi-Arch: same
Architecture: amd64
Version: 2.41-12
Conffiles:
 /etc/ld.so.conf.d/x86_64-linux-gnu.conf d4e7a7b88a71b5ffd9e2644e71a0cfab
Description: GNU C Library: Shared libraries
 Contains the standard libraries.
 .
 More of it.

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
";

    #[test]
    fn what_is_installed_has_the_fields_of_its_package() {
        let packages = installed(STATUS).unwrap();
        assert_eq!(packages.len(), 1);
        assert_eq!(packages[0].record_names(), ["libc6:amd64", "libc6"]);
        insta::assert_snapshot!(packages[0].control, @"
        Package: libc6
        Multi-Arch: same
        Architecture: amd64
        Version: 2.41-12
        Description: GNU C Library: Shared libraries
         Contains the standard libraries.
         .
         More of it.
        ");
    }

    #[test]
    fn a_record_of_an_image_without_dpkg_has_no_status() {
        let packages = installed("Package: base-files\nVersion: 13\nArchitecture: amd64\n").unwrap();
        assert_eq!((packages[0].name.as_str(), packages[0].version.as_str()), ("base-files", "13"));
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        let long = format!("Package: a\nVersion: 1\nArchitecture: {}\n", "x".repeat(LONGEST));
        for (text, says) in [
            (long.as_str(), "cannot be the name"),
            ("Package: ../../etc\nVersion: 1\nArchitecture: all\n", "`../../etc` cannot be the name"),
            ("Package: a/b\nVersion: 1\nArchitecture: all\n", "`a/b` cannot be the name"),
            ("Package: a\nVersion: 1\nArchitecture: ../x\n", "`a:../x` cannot be the name"),
            ("Package: a\nArchitecture: all\n", "without the field `Version`"),
            ("Version: 1\n", "without the field `Package`"),
            ("nonsense", "is not of the form"),
        ] {
            let error = installed(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_text_never_makes_it_panic(at in any::<prop::sample::Index>(), put in "[A-Za-z:/. \n]{0,4}") {
            let at = at.index(STATUS.len());
            let changed = [&STATUS[..at], &put, &STATUS[at + 1..]].concat();
            for package in installed(&changed).unwrap_or_default() {
                prop_assert!(!package.name.contains('/'));
            }
        }
    }
}
