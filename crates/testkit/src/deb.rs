//! Binary packages in memory: honest ones in every packing, and the parts to make others of (deb(5)).

use std::io::Write;

use crate::tar::{Member, Tar};

/// How the two archives of a package are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// xz, as Debian does.
    Xz,
    /// zstd, as Ubuntu does.
    Zstd,
}

impl Packing {
    /// What the name of a packed file ends with.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// Packs `bytes`.
    ///
    /// # Panics
    /// When a library fails to write into memory.
    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        match self {
            Self::None => packed.extend(bytes),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast());
                encoder.write_all(bytes).and_then(|()| encoder.try_finish()).expect("memory takes it");
            }
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(&mut packed, 0);
                encoder.write_all(bytes).and_then(|()| encoder.try_finish()).expect("memory takes it");
            }
            Self::Zstd => zstd::stream::copy_encode(bytes, &mut packed, 1).expect("memory takes it"),
        }
        packed
    }
}

/// A package under construction.
#[derive(Debug, Clone)]
pub struct Package {
    fields: Vec<(String, String)>,
    data: Tar,
    md5sums: String,
    records: Vec<(String, String)>,
    packing: Packing,
}

impl Package {
    /// A package of that name and version, for amd64, packed with gzip, without files.
    pub fn new(name: &str, version: &str) -> Self {
        let package = Self {
            fields: Vec::new(),
            data: Tar::new().folder("./"),
            md5sums: String::new(),
            records: Vec::new(),
            packing: Packing::Gzip,
        };
        package.field("Package", name).field("Version", version).field("Architecture", "amd64")
    }

    /// With this field, in place of an earlier one of the same name.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|(field, _)| field == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// With this file, mode 0644, and a line in `md5sums`. No folder is added for it.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        // Nothing checks these sums: they are of the right form alone.
        let sum = format!("{:032x}  {path}\n", content.as_ref().len());
        self.md5sums.push_str(&sum);
        self.member(Member::file(format!("./{path}"), content))
    }

    /// With this member in its data archive, honest or not.
    #[must_use]
    pub fn member(mut self, member: Member) -> Self {
        self.data = self.data.add(member);
        self
    }

    /// With this file in its control archive, beside the usual ones.
    #[must_use]
    pub fn record(mut self, name: &str, content: &str) -> Self {
        self.records.push((format!("./{name}"), content.to_owned()));
        self
    }

    /// With both of its archives packed like that.
    #[must_use]
    pub fn packing(mut self, packing: Packing) -> Self {
        self.packing = packing;
        self
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The text of its control file.
    pub fn control(&self) -> String {
        self.fields.iter().flat_map(|(name, value)| [name, ": ", value, "\n"]).collect()
    }

    /// The members of its outer archive, to be put together by [`ar`].
    pub fn members(&self) -> Vec<(String, Vec<u8>)> {
        let control =
            Tar::new().folder("./").file("./control", self.control()).file("./md5sums", &self.md5sums);
        let control = self.records.iter().fold(control, |tar, (name, text)| tar.file(name, text)).finish();
        let data = self.data.clone().finish();
        let suffix = self.packing.suffix();
        vec![
            ("debian-binary".to_owned(), b"2.0\n".to_vec()),
            (format!("control.tar{suffix}"), self.packing.pack(&control)),
            (format!("data.tar{suffix}"), self.packing.pack(&data)),
        ]
    }

    /// The package.
    pub fn build(&self) -> Vec<u8> {
        ar(&self.members())
    }
}

/// An `ar` archive of those members.
pub fn ar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        archive.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644).bytes());
        archive.extend(content);
        if size % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}
