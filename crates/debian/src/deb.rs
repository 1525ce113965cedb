//! Binary packages: an `ar` archive of a version, a control archive and a data archive (deb(5)).
//!
//! [`Deb::open`] reads the first two; the data archive stays packed until [`Deb::data_tar`] unpacks it. Everything
//! that a package claims is bounded before memory is taken for it. Maintainer scripts are never run.

use std::collections::BTreeMap;
use std::io::Write;

use rootfs::{Content, Dialect, Kind, Layer, Limits, Origin, RootPath, StackError, TarError, Tree};

use crate::compression::{Compression, UnpackError};
use crate::control::{self, ControlError};

const AR_MAGIC: &[u8] = b"!<arch>\n";
const AR_HEADER: usize = 60;

/// How much of a format that is not known is shown.
const SHOWN: usize = 16;

/// The most that a control archive may hold. The largest ones of Debian list the digests of 80,000 files: 10 MB.
const CONTROL_LIMIT: u64 = 64 << 20;

/// A file that is no binary package, or a damaged one.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It does not begin as an `ar` archive does.
    #[error("it is no Debian package")]
    NotPackage,
    /// A header of the outer archive is malformed.
    #[error("the header of a member at byte {0} is malformed")]
    Header(usize),
    /// A member has fewer bytes than it claims.
    #[error("it ends inside of its member `{0}`")]
    Truncated(String),
    /// It is of a format that is not known.
    #[error("its format is `{0}` instead of 2.x")]
    Format(String),
    /// A member is missing, or comes in another order.
    #[error("it has no `{0}` where it should be")]
    Missing(&'static str),
    /// A member is there twice.
    #[error("it has two members `{0}`")]
    Repeated(&'static str),
    /// A member has a compression that is not known.
    #[error("its member `{0}` is compressed in a way that is not supported")]
    Compression(String),
    /// A member cannot be unpacked.
    #[error("cannot unpack its `{member}`")]
    Unpack {
        /// The member.
        member: &'static str,
        /// What is wrong.
        source: UnpackError,
    },
    /// The control archive is no harmless tar.
    #[error("its control archive is refused")]
    ControlTar(#[from] TarError),
    /// The control archive contradicts itself.
    #[error("its control archive is refused")]
    ControlTree(#[from] StackError),
    /// The control archive has no control file.
    #[error("its control archive has no `control` file")]
    NoControl,
    /// The control file is no text.
    #[error("its `control` file is not UTF-8")]
    ControlNotText,
    /// The control file is no control data.
    #[error("its `control` file is malformed")]
    Control(#[from] ControlError),
}

/// A binary package.
#[derive(Debug)]
pub struct Deb<'a> {
    control: String,
    md5sums: Option<Content>,
    records: BTreeMap<String, Content>,
    data: Packed<'a>,
}

/// A member of the outer archive, still packed.
#[derive(Debug, Clone, Copy)]
struct Packed<'a> {
    compression: Compression,
    bytes: &'a [u8],
}

impl<'a> Deb<'a> {
    /// Reads the frame and the control archive of a package.
    ///
    /// # Errors
    /// When it is no package, is damaged, or has a control archive that is not harmless.
    pub fn open(bytes: &'a [u8]) -> Result<Self, DebError> {
        let mut members =
            Members { rest: bytes.strip_prefix(AR_MAGIC).ok_or(DebError::NotPackage)?, whole: bytes.len() };
        match members.next_member()? {
            Some(Member { name: b"debian-binary", bytes }) => check_format(bytes)?,
            _ => return Err(DebError::Missing("debian-binary")),
        }
        let (mut control, mut data) = (None, None);
        while let Some(member) = members.next_member()? {
            if let Some(suffix) = member.name.strip_prefix(b"control.tar") {
                member.take("control.tar", suffix, &mut control)?;
            } else if let Some(suffix) = member.name.strip_prefix(b"data.tar") {
                if control.is_none() {
                    return Err(DebError::Missing("control.tar"));
                }
                member.take("data.tar", suffix, &mut data)?;
            }
        }
        let control = control.ok_or(DebError::Missing("control.tar"))?;
        let data = data.ok_or(DebError::Missing("data.tar"))?;
        let Described { control, md5sums, records } = read_control(control)?;
        control::paragraph(&control)?;
        Ok(Self { control, md5sums, records, data })
    }

    /// The text of its control file: one paragraph.
    pub fn control(&self) -> &str {
        &self.control
    }

    /// The MD5 sums of its files, as md5sum(1) writes them, if it brings them.
    pub fn md5sums(&self) -> Option<&Content> {
        self.md5sums.as_ref()
    }

    /// What else is in its control archive, by name: what dpkg keeps of a package that is installed, as the list of its
    /// configuration files, and its maintainer scripts, of which none is run or read here.
    pub fn records(&self) -> &BTreeMap<String, Content> {
        &self.records
    }

    /// Unpacks its data archive into `out`: a plain tar of at most `limit` bytes, whose number it gives.
    ///
    /// # Errors
    /// When the archive is damaged or larger, or `out` fails.
    pub fn data_tar(&self, out: &mut dyn Write, limit: u64) -> Result<u64, DebError> {
        self.data.unpack("data.tar", out, limit)
    }
}

impl Packed<'_> {
    fn unpack(self, member: &'static str, out: &mut dyn Write, limit: u64) -> Result<u64, DebError> {
        self.compression.unpack(self.bytes, out, limit).map_err(|source| DebError::Unpack { member, source })
    }
}

/// The first line is the format; a later minor one, and lines after it, may be ignored (deb(5)).
fn check_format(text: &[u8]) -> Result<(), DebError> {
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let format = &text[..end];
    match format.strip_prefix(b"2.") {
        Some(minor) if !minor.is_empty() && minor.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(DebError::Format(shown(&format[..format.len().min(SHOWN)]))),
    }
}

/// What is in a control archive.
struct Described {
    control: String,
    md5sums: Option<Content>,
    records: BTreeMap<String, Content>,
}

/// Reads the files of the control archive.
fn read_control(packed: Packed<'_>) -> Result<Described, DebError> {
    let mut tar = Vec::new();
    packed.unpack("control.tar", &mut tar, CONTROL_LIMIT)?;
    let mut tree = Tree::new();
    tree.stack(&Layer::parse(Content::from(tar), Dialect::Debian, Limits::default())?, Origin::default())?;
    let files = tree.children(&RootPath::root()).filter_map(|(path, entry)| match &entry.kind {
        Kind::File(file) => Some((str::from_utf8(path.name()).ok()?.to_owned(), file.content.clone())),
        _ => None,
    });
    let mut records: BTreeMap<String, Content> = files.collect();
    let control = records.remove("control").ok_or(DebError::NoControl)?;
    let control = str::from_utf8(&control).map_err(|_| DebError::ControlNotText)?.to_owned();
    Ok(Described { control, md5sums: records.remove("md5sums"), records })
}

/// A member of an `ar` archive.
#[derive(Debug, Clone, Copy)]
struct Member<'a> {
    name: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Member<'a> {
    fn take(self, name: &'static str, suffix: &[u8], place: &mut Option<Packed<'a>>) -> Result<(), DebError> {
        let compression =
            Compression::from_suffix(suffix).ok_or_else(|| DebError::Compression(shown(self.name)))?;
        match place.replace(Packed { compression, bytes: self.bytes }) {
            None => Ok(()),
            Some(_) => Err(DebError::Repeated(name)),
        }
    }
}

/// The members of an `ar` archive (ar(5)): headers of text fields, contents padded to even lengths.
#[derive(Debug)]
struct Members<'a> {
    rest: &'a [u8],
    whole: usize,
}

impl<'a> Members<'a> {
    fn next_member(&mut self) -> Result<Option<Member<'a>>, DebError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let malformed = || DebError::Header(self.whole - self.rest.len());
        let (header, rest) = self.rest.split_at_checked(AR_HEADER).ok_or_else(malformed)?;
        let (name, size, end) = (&header[..16], &header[48..58], &header[58..]);
        let (Some(size), b"`\n") = (decimal(size.trim_ascii_end()), end) else { return Err(malformed()) };
        let name = name.trim_ascii_end();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        let cut = || DebError::Truncated(shown(name));
        let (bytes, rest) = rest.split_at_checked(size).ok_or_else(cut)?;
        self.rest = rest.get(size % 2..).ok_or_else(cut)?;
        Ok(Some(Member { name, bytes }))
    }
}

/// A number of digits alone: `parse` would take a sign as well.
fn decimal(digits: &[u8]) -> Option<usize> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use testkit::deb::{self, Packing};
    use testkit::tar::{Member, Tar};

    use super::*;

    const PACKINGS: [Packing; 4] = [Packing::None, Packing::Gzip, Packing::Xz, Packing::Zstd];

    fn package() -> deb::Package {
        deb::Package::new("ruby", "1:3.3")
            .field("Description", "a language\n of its own")
            .file("usr/bin/ruby", b"#!")
    }

    #[test]
    fn every_packing_is_read() {
        for packing in PACKINGS {
            let bytes = package().packing(packing).build();
            let deb = Deb::open(&bytes).unwrap();
            assert!(deb.control().contains("\nVersion: 1:3.3\n"), "{}", deb.control());
            assert!(deb.control().ends_with("Description: a language\n of its own\n"), "{}", deb.control());
            let md5sums = deb.md5sums().unwrap();
            assert!(md5sums.ends_with(b"  usr/bin/ruby\n"), "{md5sums:?}");
            let mut tar = Vec::new();
            let size = deb.data_tar(&mut tar, 1 << 20).unwrap();
            assert_eq!((tar.len() as u64, tar.len() % 512), (size, 0));
            let error = deb.data_tar(&mut Vec::new(), size - 1).unwrap_err();
            assert!(
                matches!(
                    error,
                    DebError::Unpack { member: "data.tar", source: UnpackError::TooLarge { .. } }
                ),
                "{packing:?}: {error}"
            );
        }
    }

    #[test]
    fn what_else_is_in_the_control_archive_is_kept_by_name() {
        let bytes = package().record("conffiles", "/etc/x\n").record("postinst", "#!/bin/sh\n").build();
        let deb = Deb::open(&bytes).unwrap();
        let records: Vec<_> = deb.records().iter().map(|(name, text)| (name.as_str(), &**text)).collect();
        assert_eq!(records, [("conffiles", &b"/etc/x\n"[..]), ("postinst", b"#!/bin/sh\n")]);
    }

    #[test]
    fn members_that_deb_does_not_name_are_passed_over() {
        let members =
            [package().members(), vec![("_extra".into(), vec![1]), ("note/".into(), vec![2, 3])]].concat();
        assert!(Deb::open(&deb::ar(&members)).is_ok());
    }

    #[test]
    fn a_later_minor_format_is_read() {
        let mut members = package().members();
        members[0].1 = b"2.17\nmore\n".to_vec();
        assert!(Deb::open(&deb::ar(&members)).is_ok());
    }

    #[test]
    fn a_header_that_is_malformed_is_refused() {
        let bytes = package().build();
        let size = AR_MAGIC.len() + 48;
        for (position, text) in
            [(size, "+4"), (size, "x"), (size, " 4"), (size, "99999999999"), (size + 10, "x")]
        {
            let mut bytes = bytes.clone();
            bytes[position..position + text.len()].copy_from_slice(text.as_bytes());
            assert!(matches!(Deb::open(&bytes), Err(DebError::Header(8))), "{position} {text}");
        }
    }

    #[test]
    fn another_frame_is_refused() {
        let edit = |edit: fn(&mut Vec<(String, Vec<u8>)>)| {
            let mut members = package().members();
            edit(&mut members);
            Deb::open(&deb::ar(&members)).unwrap_err().to_string()
        };
        let cases = [
            (edit(Vec::clear), "it has no `debian-binary` where it should be"),
            (edit(|members| members.swap(0, 1)), "it has no `debian-binary` where it should be"),
            (edit(|members| members.swap(1, 2)), "it has no `control.tar` where it should be"),
            (edit(|members| drop(members.remove(2))), "it has no `data.tar` where it should be"),
            (edit(|members| members[0].1 = b"3.0\n".to_vec()), "its format is `3.0` instead of 2.x"),
            (edit(|members| members[0].1 = b"2.\n".to_vec()), "its format is `2.` instead of 2.x"),
            (
                edit(|members| members[0].1 = vec![b'9'; 100]),
                "its format is `9999999999999999` instead of 2.x",
            ),
            (edit(|members| members.push(members[2].clone())), "it has two members `data.tar`"),
            (
                edit(|members| members[2].0 = "data.tar.bz2".into()),
                "its member `data.tar.bz2` is compressed in a way that is not supported",
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(error, expected);
        }
        assert!(matches!(Deb::open(b"PK\x03\x04"), Err(DebError::NotPackage)));
    }

    #[test]
    fn a_hostile_control_archive_is_refused() {
        let open = |tar: Vec<u8>| {
            let mut members = package().members();
            members[1] = ("control.tar".into(), tar);
            Deb::open(&deb::ar(&members)).map(|_| ()).unwrap_err()
        };
        let control = |text: &[u8]| Tar::new().file("./control", text).finish();
        assert!(matches!(open(Tar::new().finish()), DebError::NoControl));
        assert!(matches!(open(Tar::new().symlink("./control", "/etc/passwd").finish()), DebError::NoControl));
        assert!(matches!(open(Tar::new().file("../control", "").finish()), DebError::ControlTar(_)));
        assert!(matches!(
            open(Tar::new().add(Member::file("control", "").claim_size(1 << 40)).finish()),
            DebError::ControlTar(_)
        ));
        assert!(matches!(open(control(&[0xff])), DebError::ControlNotText));
        assert!(matches!(open(control(b"no field")), DebError::Control(_)));
        assert!(matches!(open(control(b"A: 1\n\nB: 2\n")), DebError::Control(_)));
    }

    #[test]
    fn a_package_that_is_cut_anywhere_is_refused() {
        for packing in PACKINGS {
            let bytes = package().packing(packing).build();
            for length in 0..bytes.len() {
                let Ok(deb) = Deb::open(&bytes[..length]) else { continue };
                assert!(deb.data_tar(&mut Vec::new(), 1 << 20).is_err(), "{packing:?} cut at {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(position in 0_usize..2000, byte: u8, tail in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = package().packing(Packing::None).build();
            let length = bytes.len();
            bytes[position % length] = byte;
            bytes.extend(tail);
            if let Ok(deb) = Deb::open(&bytes) {
                let _ = deb.data_tar(&mut Vec::new(), 1 << 16);
            }
        }
    }
}
