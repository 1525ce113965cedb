//! `Sources` indexes: a paragraph for each source package of a suite and component (Debian repository format, "Sources
//! Indices"). The paragraphs are found as those of packages are.
//!
//! A source package has the *upstream tarball* as its authors published it, beside what Debian changed (Debian Policy,
//! appendix C.3). The index has the digests of both, so the signature of the suite's release file is one of the tarball.

use jiff::Timestamp;
use schema::Digest;

use crate::packages::{FieldError, Index, Package, is_path};

/// The field with the files of a source package (Debian Policy, 5.6.24).
const CHECKSUMS: &str = "Checksums-Sha256";

/// What a suite has of one source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceIndex {
    /// When its release file was made.
    pub date: Timestamp,
    /// The digest of that file, with its signature.
    pub release: Digest,
    /// The tarballs of each version of the package, the highest version first.
    pub tarballs: Vec<UpstreamTarball>,
}

/// The upstream tarball of a source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTarball {
    /// The version of the source package.
    pub version: String,
    /// Where it is below the address of a mirror.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
    /// Their digest.
    pub sha256: Digest,
}

/// The upstream tarballs of the source packages of that name, the highest version first. A package that is its own
/// upstream has none.
///
/// # Errors
/// When what a package says of its files is malformed.
pub(crate) fn tarballs(index: &Index, name: &str) -> Result<Vec<UpstreamTarball>, FieldError> {
    let mut packages = index
        .named(name)
        .map(|package| Ok((package.version()?, package)))
        .collect::<Result<Vec<_>, FieldError>>()?;
    packages.sort_by(|(one, _), (other, _)| other.cmp(one));
    let tarballs = packages.into_iter().map(|(_, package)| tarball(package));
    tarballs.filter_map(Result::transpose).collect()
}

fn tarball(package: Package<'_>) -> Result<Option<UpstreamTarball>, FieldError> {
    let folder = package.needed("Directory")?;
    let version = package.version()?.as_str();
    for line in package.needed(CHECKSUMS)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let malformed = || FieldError::SourceFile { field: CHECKSUMS, line: line.to_owned() };
        let [digest, size, file] = line.split_ascii_whitespace().collect::<Vec<_>>()[..] else {
            return Err(malformed());
        };
        // `name_version.orig.tar.xz`: what has `.orig-component` there is a part of several (Debian Policy, appendix C.3).
        // Its signature beside it has one more ending.
        if file.split_once(".orig.tar.").is_none_or(|(_, form)| form.contains('.')) {
            continue;
        }
        let path = format!("{folder}/{file}");
        if !is_path(&path) || file.contains('/') {
            return Err(malformed());
        }
        return Ok(Some(UpstreamTarball {
            version: version.to_owned(),
            path,
            size: size.parse().map_err(|_| malformed())?,
            sha256: Digest::from_hex(digest).map_err(|_| malformed())?,
        }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use rootfs::Content;

    use super::*;

    const DIGEST: &str = "e2e1233ad275b7623a05edf23a01192626d1da454bdfe353a28a87acd8ef015c";

    /// A source package with these files, each of 7 bytes.
    fn package(name: &str, version: &str, files: &[&str]) -> String {
        let line = |file: &&str| format!("\n {DIGEST} 7 {file}");
        let files: String = files.iter().map(line).collect();
        format!(
            "Package: {name}\nBinary: {name}, lib{name}\nVersion: {version}\nChecksums-Sha256:{files}\n\
             Package-List: \n {name} deb ruby optional arch=any\nDirectory: pool/main/r/{name}\n\n"
        )
    }

    fn found(text: &str) -> Result<Vec<String>, String> {
        let index = Index::parse(Content::from(text.as_bytes().to_vec())).unwrap();
        let tarballs = tarballs(&index, "ruby").map_err(|error| error.to_string())?;
        let shown =
            |tarball: UpstreamTarball| format!("{} {} {}", tarball.version, tarball.path, tarball.size);
        Ok(tarballs.into_iter().map(shown).collect())
    }

    #[test]
    fn the_tarball_of_each_version_is_found() {
        let text = [
            package("other", "1-1", &["other_1.orig.tar.xz"]),
            package(
                "ruby",
                "3.4.5-1~exp1",
                &["ruby_3.4.5-1~exp1.dsc", "ruby_3.4.5.orig.tar.xz", "ruby_x.debian.tar.xz"],
            ),
            package(
                "ruby",
                "3.4.11-1",
                &["ruby_3.4.11.orig-gems.tar.gz", "ruby_3.4.11.orig.tar.gz.asc", "ruby_3.4.11.orig.tar.gz"],
            ),
            package("ruby", "1", &["ruby_1.tar.xz"]),
        ];
        let wanted = [
            "3.4.11-1 pool/main/r/ruby/ruby_3.4.11.orig.tar.gz 7",
            "3.4.5-1~exp1 pool/main/r/ruby/ruby_3.4.5.orig.tar.xz 7",
        ];
        assert_eq!(found(&text.concat()).unwrap(), wanted);
        assert_eq!(found("").unwrap(), [""; 0]);
    }

    #[test]
    fn files_that_are_none_are_refused() {
        let good = package("ruby", "1-1", &["ruby_1.orig.tar.xz"]);
        for (from, to, says) in [
            ("ruby_1.orig", "../ruby_1.orig", "has the line"),
            ("ruby_1.orig", "a/ruby_1.orig", "has the line"),
            ("pool/main/r", "pool/../r", "has the line"),
            ("pool/main/r", "/pool", "has the line"),
            (" 7 ", " -7 ", "has the line"),
            (" 7 ", " ", "has the line"),
            ("e2e1233a", "", "has the line"),
            ("Checksums-Sha256", "Files", "no field `Checksums-Sha256`"),
            ("Directory", "Folder", "no field `Directory`"),
            ("Version", "Release", "no field `Version`"),
        ] {
            let error = found(&good.replace(from, to)).expect_err(to);
            assert!(error.contains(says), "{to}: {error}");
        }
    }
}
