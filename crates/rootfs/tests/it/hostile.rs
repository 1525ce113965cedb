//! Archives that nobody should have made: each kind of damage or attack has its own error, which names the member.

use rootfs::{Content, Dialect, Layer, Limits, Origin, PathError, StackFault, TarFault, Tree};
use testkit::tar::{Member, Tar};

use crate::listing::{parse, path, stacked};

const LIMITS: Limits = Limits { entries: 3, file_size: 1000 };

/// A good member, then the bad one: the error must name the second.
fn fault_of(bad: Member) -> (String, TarFault) {
    let tar = Tar::new().folder("./").add(bad).finish();
    let error = Layer::parse(Content::from(tar), Dialect::Debian, LIMITS).unwrap_err();
    assert!(error.offset >= 512, "{error}");
    (error.member.to_string(), error.fault)
}

#[test]
fn each_bad_member_is_refused_by_name() {
    let climbing = |target: &str| TarFault::LinkClimbsOut(target.as_bytes().into());
    let hard_climbing = |target: &str| TarFault::HardLinkClimbsOut(target.as_bytes().into());
    let long = "n".repeat(256);
    let deep = "d/".repeat(2100);
    let cases = [
        (Member::file("../etc/passwd", ""), TarFault::ParentComponent),
        (Member::file("./usr/../../etc/passwd", ""), TarFault::ParentComponent),
        (Member::folder(".."), TarFault::ParentComponent),
        (Member::file("/etc/passwd", ""), TarFault::AbsoluteName),
        (Member::file("//etc/passwd", ""), TarFault::AbsoluteName),
        (Member::file("", ""), TarFault::Name(PathError::Empty)),
        (Member::file(".", ""), TarFault::RootNotFolder),
        (Member::symlink("./", "usr"), TarFault::RootNotFolder),
        (Member::hard_link("./", "usr"), TarFault::RootNotFolder),
        (Member::file(&long, ""), TarFault::Name(PathError::TooLong(long.as_bytes()[..255].into()))),
        (Member::file(&deep, ""), TarFault::Name(PathError::TooLong(deep.as_bytes()[..255].into()))),
        (Member::file("x", "").pax("path", "a\0b"), TarFault::Name(PathError::Nul(b"a\0b"[..].into()))),
        (Member::symlink("./out", ".."), climbing("..")),
        (Member::symlink("./usr/out", "../../etc/passwd"), climbing("../../etc/passwd")),
        (Member::symlink("./usr/out", "/../etc/passwd"), climbing("/../etc/passwd")),
        (Member::symlink("./usr/out", "in/../../../usr"), climbing("in/../../../usr")),
        (Member::symlink("./empty", ""), TarFault::LinkTarget),
        (Member::symlink("./long", "t".repeat(5000)), TarFault::LinkTarget),
        (Member::symlink("./nul", "").pax("linkpath", "a\0b"), TarFault::LinkTarget),
        (Member::hard_link("./hard", "../etc/passwd"), hard_climbing("../etc/passwd")),
        (Member::hard_link("./hard", "/etc/passwd"), hard_climbing("/etc/passwd")),
        (Member::hard_link("./hard", "usr/../../x"), hard_climbing("usr/../../x")),
        (Member::hard_link("./hard", ""), TarFault::HardLinkTarget(PathError::Empty)),
        (Member::new(b'3', "./dev/sda"), TarFault::CharacterDevice),
        (Member::new(b'4', "./dev/sda"), TarFault::BlockDevice),
        (Member::new(b'6', "./fifo"), TarFault::Fifo),
        (Member::new(b'S', "./sparse"), TarFault::UnsupportedType(b'S')),
        (Member::new(b'\xff', "./odd"), TarFault::UnsupportedType(0xff)),
        (Member::file("./huge", "").claim_size(1 << 40), TarFault::PastEnd { size: 1 << 40, left: 1024 }),
        (Member::file("./huge", "").claim_size(u64::MAX), TarFault::PastEnd { size: u64::MAX, left: 1024 }),
        (Member::file("./huge", "").pax("size", "99999"), TarFault::PastEnd { size: 99999, left: 1024 }),
        (Member::file("./large", [0; 1001]), TarFault::TooLarge { size: 1001, limit: 1000 }),
        (Member::folder("./full").content("x"), TarFault::UnexpectedContent(1)),
        (Member::symlink("./full", "usr").content("x"), TarFault::UnexpectedContent(1)),
        (Member::hard_link("./full", "usr").content("x"), TarFault::UnexpectedContent(1)),
        (Member::file("./sum", "").break_checksum(), TarFault::Checksum),
        (Member::file("./uid", "").owner(1 << 32, 0), TarFault::Number("uid")),
        (Member::file("./gid", "").owner(0, u64::MAX), TarFault::Number("gid")),
        (Member::file("./time", "").mtime(1 << 63), TarFault::Number("mtime")),
        (Member::new(b'x', "pax").content("path=/etc"), TarFault::Pax),
        (Member::new(b'x', "pax").content("9 size=x\n"), TarFault::PaxValue(b"size"[..].into())),
        (Member::new(b'g', "pax").content("10 path=x\n"), TarFault::PaxUnsupported(b"path"[..].into())),
        (Member::new(b'L', "long").claim_size(1 << 40), TarFault::PastEnd { size: 1 << 40, left: 1024 }),
    ];
    for (bad, wanted) in cases {
        let shown = format!("{bad:?}");
        let (_, fault) = fault_of(bad);
        assert_eq!(fault, wanted, "{shown}");
    }
}

#[test]
fn the_error_names_the_member_as_it_stands_in_the_archive() {
    for (bad, name) in [
        (Member::file("./usr/../\x1b[2J", ""), "./usr/../\\x1b[2J"),
        (Member::file(format!("/{}", "n".repeat(120)), ""), &*format!("/{}", "n".repeat(120))),
        (Member::file("short", "").pax("path", "/from/pax"), "/from/pax"),
        (Member::file("./sum", "").break_checksum(), "./sum"),
        (Member::new(b'6', "./fifo"), "./fifo"),
    ] {
        assert_eq!(fault_of(bad).0, name);
    }
    let tar = Tar::new().symlink("./usr/out", "../../etc");
    assert_eq!(
        parse(tar, Dialect::Debian).unwrap_err().to_string(),
        "cannot accept the archive member \"./usr/out\" (its header is at byte 0): \
         it links to ../../etc, which is outside the root"
    );
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let whole = Tar::new()
        .folder("./")
        .file("./usr/bin/ruby", [b'x'; 700])
        .add(Member::file("short", "content").pax("path", "p".repeat(200)))
        .file("n".repeat(150), "")
        .symlink("./link", "t".repeat(150))
        .finish();
    let parse = |bytes: &[u8]| {
        Layer::parse(Content::from(bytes.to_vec()), Dialect::Debian, Limits::default()).map(drop)
    };
    assert_eq!(parse(&whole), Ok(()));
    for length in 0..whole.len() {
        let fault = parse(&whole[..length]).unwrap_err().fault;
        assert!(matches!(fault, TarFault::Truncated | TarFault::PastEnd { .. }), "{length}: {fault}");
    }
}

#[test]
fn what_follows_the_end_is_not_read() {
    let padded = Tar::new().file("./a", "").raw([0; 10240]).raw([0xff; 512]);
    assert!(parse(padded, Dialect::Debian).is_ok());
}

#[test]
fn an_end_in_the_middle_is_refused() {
    let lone_block = Tar::new().file("./a", "").raw([0; 512]).file("./b", "");
    let nothing_to_extend = Tar::new().add(Member::new(b'x', "pax").content("9 path=x\n"));
    for tar in [lone_block, nothing_to_extend] {
        assert_eq!(parse(tar, Dialect::Debian).unwrap_err().fault, TarFault::End);
    }
}

#[test]
fn every_flipped_bit_of_a_header_is_found() {
    let whole = Tar::new().file("./usr/bin/ruby", "").finish();
    for bit in 0..512 * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let parsed = Layer::parse(Content::from(bytes), Dialect::Debian, Limits::default());
        // In the checksum itself a digit may become a space or NUL that means the same.
        let is_checksum = (148..156).contains(&(bit / 8));
        assert!(parsed.is_err() || is_checksum, "bit {bit}");
    }
}

#[test]
fn members_over_the_limit_are_refused() {
    let tar = (0..4).fold(Tar::new(), |tar, number| tar.file(format!("./{number}"), ""));
    let error = Layer::parse(Content::from(tar.finish()), Dialect::Debian, LIMITS).unwrap_err();
    assert_eq!((error.member.to_string().as_str(), error.fault), ("./3", TarFault::TooManyEntries(3)));
}

#[test]
fn folders_that_no_member_names_count_too() {
    for (name, accepted) in [("a/b/c/file", true), ("a/b/c/d/file", false)] {
        let tar = Tar::new().file(name, "").finish();
        let layer = Layer::parse(Content::from(tar), Dialect::Oci, LIMITS).unwrap();
        let stacked = Tree::new().stack(&layer, Origin(0)).map_err(|error| error.fault);
        assert_eq!(stacked, if accepted { Ok(()) } else { Err(StackFault::TooManyEntries(3)) });
    }
}

#[test]
fn a_file_cannot_be_a_parent() {
    for dialect in [Dialect::Debian, Dialect::Oci] {
        for (tar, file) in [
            (Tar::new().file("./usr", "").file("./usr/bin/ruby", ""), "/usr"),
            (Tar::new().file("./usr", "").symlink("./lib", "usr").file("./lib/x", ""), "/usr"),
            (Tar::new().file("./usr", "").symlink("./lib", "usr/lib").file("./lib/x", ""), "/usr"),
        ] {
            let error = stacked(dialect, [tar]).unwrap_err();
            assert_eq!(error.fault, StackFault::ParentNotFolder(path(file)));
        }
    }
}

#[test]
fn links_that_go_in_a_circle_are_no_parent() {
    let tar = Tar::new().symlink("./a", "b").symlink("./b", "a").file("./a/x", "");
    let error = stacked(Dialect::Debian, [tar]).unwrap_err();
    assert_eq!((error.member, error.fault), (path("/a/x"), StackFault::TooManyLinks));
}

#[test]
fn a_link_that_climbs_out_at_its_real_place_is_refused() {
    // By its name the link is two folders deep, in truth one.
    let tar = Tar::new()
        .folder("./shallow")
        .folder("./deep")
        .symlink("./deep/er", "../shallow")
        .symlink("./deep/er/out", "../../etc/passwd");
    let error = stacked(Dialect::Oci, [tar]).unwrap_err();
    assert_eq!(error.member, path("/deep/er/out"));
    assert_eq!(error.fault, StackFault::LinkClimbsOut(b"../../etc/passwd"[..].into()));
}

#[test]
fn a_real_path_that_grows_too_long_is_refused() {
    let long = "d/".repeat(1500);
    let tar = Tar::new().symlink("./a", &long).file(format!("./a/{long}x"), "");
    assert_eq!(stacked(Dialect::Oci, [tar]).unwrap_err().fault, StackFault::TooLong);
}

#[test]
fn whiteouts_that_name_nothing_or_climb_are_refused() {
    for name in ["a/.wh.", "a/.wh..", "a/.wh...", "a/.wh.b/c"] {
        let error = parse(Tar::new().file(name, ""), Dialect::Oci).unwrap_err();
        assert_eq!((error.member.to_string().as_str(), error.fault), (name, TarFault::Whiteout));
        assert!(parse(Tar::new().file(name, ""), Dialect::Debian).is_ok());
    }
}

#[test]
fn a_hard_link_to_what_is_no_file_is_refused() {
    for target in ["./none", "./folder", "./link/none"] {
        let tar = Tar::new().folder("./folder").symlink("./link", "folder").hard_link("./hard", target);
        let error = stacked(Dialect::Debian, [tar]).unwrap_err();
        assert_eq!(error.member, path("/hard"));
        assert_eq!(error.fault, StackFault::HardLinkTarget(path(target)));
    }
}
