//! A signed archive in memory: suites of packages made by [`deb`](crate::deb), as paths and bytes for a web server.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::deb::{Package, Packing};
use crate::openpgp::{Certificate, Key, Signature, cleartext};

/// When the key and the indexes of an archive are from: 2026-11-21, 00:00:00 UTC, in seconds since 1970.
pub const MADE: u32 = 1_795_219_200;

/// The same time, as an index has it.
pub const DATE: &str = "Sat, 21 Nov 2026 00:00:00 UTC";

/// A suite under construction.
#[derive(Debug, Clone)]
pub struct Suite {
    name: String,
    date: String,
    valid_until: Option<String>,
    by_hash: bool,
    packings: Vec<Packing>,
    architectures: Vec<String>,
    listed_as: Option<Vec<u8>>,
    packages: Vec<Package>,
    sources: Vec<Source>,
}

/// A source package.
#[derive(Debug, Clone)]
struct Source {
    name: String,
    version: String,
    tarball: Vec<u8>,
}

/// The key that signs archives here.
pub fn key() -> Key {
    Key::new(1, MADE)
}

/// The certificate of [`key`], armoured.
pub fn certificate() -> String {
    Certificate::plain(&key()).armored()
}

impl Suite {
    /// An empty suite with a `main` component for amd64, made at [`DATE`], served by hash and plainly, packed with
    /// xz.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            date: DATE.to_owned(),
            valid_until: None,
            by_hash: true,
            packings: vec![Packing::Xz],
            architectures: vec!["amd64".to_owned()],
            listed_as: None,
            packages: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// With a source package that has `tarball` from upstream.
    #[must_use]
    pub fn source(mut self, name: &str, version: &str, tarball: &[u8]) -> Self {
        let (name, version) = (name.to_owned(), version.to_owned());
        self.sources.push(Source { name, version, tarball: tarball.to_vec() });
        self
    }

    /// With this package.
    #[must_use]
    pub fn package(mut self, package: Package) -> Self {
        self.packages.push(package);
        self
    }

    /// With this `Date`.
    #[must_use]
    pub fn date(mut self, date: &str) -> Self {
        date.clone_into(&mut self.date);
        self
    }

    /// With this `Valid-Until`.
    #[must_use]
    pub fn valid_until(mut self, date: &str) -> Self {
        self.valid_until = Some(date.to_owned());
        self
    }

    /// Served without hashes in names.
    #[must_use]
    pub fn without_by_hash(mut self) -> Self {
        self.by_hash = false;
        self
    }

    /// With its index packed in these ways alone. The unpacked one is listed, but not served unless it is among them.
    #[must_use]
    pub fn packings(mut self, packings: &[Packing]) -> Self {
        self.packings = packings.to_vec();
        self
    }

    /// For this architecture too: its index lists the packages for it and those for `all`.
    #[must_use]
    pub fn architecture(mut self, name: &str) -> Self {
        self.architectures.push(name.to_owned());
        self
    }

    /// With its unpacked index listed as if it were these bytes.
    #[must_use]
    pub fn listed_as(mut self, bytes: &[u8]) -> Self {
        self.listed_as = Some(bytes.to_vec());
        self
    }

    /// The files of an archive that has this suite, by their paths below its address.
    pub fn build(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut listed = Vec::new();
        for architecture in &self.architectures {
            let mut index = String::new();
            for package in &self.packages {
                if !package.get("Architecture").is_some_and(|own| own == "all" || own == architecture) {
                    continue;
                }
                let bytes = package.build();
                let path = pool_path(package);
                let file = format!("Filename: {path}\nSize: {}\nSHA256: {}\n\n", bytes.len(), sha256(&bytes));
                index.extend([package.control(), file]);
                files.insert(path, bytes);
            }
            self.put_index(&mut files, &mut listed, &format!("main/binary-{architecture}/Packages"), &index);
        }
        if !self.sources.is_empty() {
            let mut index = String::new();
            for Source { name, version, tarball } in &self.sources {
                let upstream = version.rsplit_once('-').map_or(version.as_str(), |(upstream, _)| upstream);
                let (folder, file) = (format!("pool/main/{name}"), format!("{name}_{upstream}.orig.tar.xz"));
                let digest = sha256(tarball);
                let lines = [
                    format!("Package: {name}\nVersion: {version}\nDirectory: {folder}\n"),
                    format!("Checksums-Sha256:\n {digest} {} {file}\n\n", tarball.len()),
                ];
                index.extend(lines);
                files.insert(format!("{folder}/{file}"), tarball.clone());
            }
            self.put_index(&mut files, &mut listed, "main/source/Sources", &index);
        }
        let signed = cleartext(&self.release(&listed), &[(&Signature::of_text(MADE), &key())]);
        files.insert(format!("dists/{}/InRelease", self.name), signed.into_bytes());
        files
    }

    /// Puts an index where it is served, in every form, and into the list of the release file.
    fn put_index(
        &self,
        files: &mut BTreeMap<String, Vec<u8>>,
        listed: &mut Vec<(String, Vec<u8>)>,
        name: &str,
        index: &str,
    ) {
        let root = format!("dists/{}", self.name);
        let (folder, _) = name.rsplit_once('/').expect("an index is in a folder");
        let unpacked = self.listed_as.clone().unwrap_or_else(|| index.to_owned().into_bytes());
        listed.push((name.to_owned(), unpacked));
        for packing in &self.packings {
            let name = format!("{name}{}", packing.suffix());
            let bytes = packing.pack(index.as_bytes());
            if self.by_hash {
                files.insert(format!("{root}/{folder}/by-hash/SHA256/{}", sha256(&bytes)), bytes.clone());
            }
            files.insert(format!("{root}/{name}"), bytes.clone());
            listed.push((name, bytes));
        }
    }

    /// The text of the `Release` file, without its last line feed.
    fn release(&self, listed: &[(String, Vec<u8>)]) -> String {
        let mut lines = vec![
            "Origin: Test".to_owned(),
            format!("Suite: {}", self.name),
            format!("Codename: {}", self.name),
            format!("Date: {}", self.date),
        ];
        lines.extend(self.valid_until.iter().map(|date| format!("Valid-Until: {date}")));
        lines.extend(self.by_hash.then(|| "Acquire-By-Hash: yes".to_owned()));
        lines.push("SHA256:".to_owned());
        lines.extend(listed.iter().map(|(name, bytes)| format!(" {} {} {name}", sha256(bytes), bytes.len())));
        lines.join("\n")
    }
}

/// Where the file of a package is below the address of an archive.
pub fn pool_path(package: &Package) -> String {
    let field = |name| package.get(name).unwrap_or_default();
    let version = field("Version").split_once(':').map_or(field("Version"), |(_, version)| version);
    format!("pool/main/{}_{version}_{}.deb", field("Package"), field("Architecture"))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
