//! What holds for every archive, however odd: no panic, and nothing broken or outside the root comes of it.

use proptest::prelude::*;
use proptest::sample::select;
use rootfs::{Content, Dialect, Kind, Layer, Limits, Origin, Ownership, RootPath, Tree, write_directory};
use testkit::tar::{Member, Tar};

use crate::directory::on_disk;
use crate::listing::listing;
use crate::writing::{read, written};

const LIMITS: Limits = Limits { entries: 100, file_size: 1000 };

fn dialect() -> impl Strategy<Value = Dialect> {
    select(vec![Dialect::Debian, Dialect::Oci])
}

/// Names of few components, so that members meet one another, with some that no archive should have.
fn name() -> impl Strategy<Value = String> {
    let component = prop_oneof![
        20 => select(vec!["a", "b", "c", "a-b", "."]),
        2 => select(vec![".wh.a", ".wh.b", ".wh..wh..opq", ".wh..wh.x"]),
        1 => select(vec!["..", "", ".wh..", ".wh..."]),
    ];
    let start = prop_oneof![20 => Just("./"), 5 => Just(""), 1 => Just("/")];
    (start, prop::collection::vec(component, 1..5))
        .prop_map(|(start, names)| start.to_owned() + &names.join("/"))
}

fn target() -> impl Strategy<Value = String> {
    let component = select(vec!["a", "b", "c", "..", "."]);
    let start = prop_oneof![3 => Just(""), 1 => Just("/")];
    (start, prop::collection::vec(component, 0..5))
        .prop_map(|(start, names)| start.to_owned() + &names.join("/"))
}

fn member() -> impl Strategy<Value = Member> {
    prop_oneof![
        4 => (name(), "[a-z]{0,3}", 0_u32..0o10000).prop_map(|(name, content, mode)| {
            Member::file(name, content).mode(mode | 0o600)
        }),
        4 => (name(), 0_u32..0o10000).prop_map(|(name, mode)| Member::folder(name).mode(mode | 0o700)),
        3 => (name(), target()).prop_map(|(name, target)| Member::symlink(name, target)),
        2 => (name(), name()).prop_map(|(name, target)| Member::hard_link(name, target)),
        1 => (name(), any::<u8>(), any::<u64>()).prop_map(|(name, flag, size)| {
            Member::new(flag, name).claim_size(size)
        }),
    ]
}

/// Tars of which each member alone is acceptable, so that most of them stack.
fn tar(dialect: Dialect) -> impl Strategy<Value = Tar> {
    prop::collection::vec(member(), 0..12).prop_map(move |members| {
        let alone = |member: &Member| {
            let tar = Tar::new().add(member).finish();
            Layer::parse(Content::from(tar), dialect, LIMITS).is_ok()
        };
        members.into_iter().filter(alone).fold(Tar::new(), Tar::add)
    })
}

/// Stacks what can be stacked: after a refusal the tree holds a part, which must be sound too.
fn tree() -> impl Strategy<Value = Tree> {
    dialect().prop_flat_map(|dialect| {
        prop::collection::vec(tar(dialect), 1..4).prop_map(move |tars| {
            let mut tree = Tree::new();
            for tar in tars {
                let layer = Layer::parse(Content::from(tar.finish()), dialect, LIMITS).unwrap();
                drop(tree.stack(&layer, Origin(0)));
            }
            tree
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_bytes_make_the_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        dialect in dialect(),
    ) {
        drop(Layer::parse(Content::from(bytes), dialect, LIMITS));
    }

    #[test]
    fn no_damage_makes_the_reader_panic(
        members in prop::collection::vec(member(), 1..5),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        dialect in dialect(),
    ) {
        let mut bytes = members.into_iter().fold(Tar::new(), Tar::add).finish();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(layer) = Layer::parse(Content::from(bytes), dialect, LIMITS) {
            drop(Tree::new().stack(&layer, Origin(0)));
        }
    }

    #[test]
    fn no_extended_header_makes_the_reader_panic(
        flag in select(vec![b'x', b'g', b'L', b'K']),
        content in "([0-9]{1,3} )?(path|size|mtime|linkpath|uid|SCHILY.xattr.a)?=?[-0-9a-z./\n]{0,20}\n?",
        name in name(),
    ) {
        let tar = Tar::new().add(Member::new(flag, "x").content(content)).file(name, "").finish();
        drop(Layer::parse(Content::from(tar), Dialect::Oci, LIMITS));
    }

    #[test]
    fn every_tree_is_sound(tree in tree()) {
        for (path, entry) in tree.iter() {
            let parent = path.parent().unwrap();
            prop_assert!(tree.get(&parent).unwrap().is_directory(), "{path}");
            if let Ok(resolved) = tree.resolve(path) {
                let kind = &tree.get(&resolved.path).unwrap().kind;
                prop_assert!(!matches!(kind, Kind::Symlink(_)));
                prop_assert_eq!(resolved.links.is_empty(), !matches!(entry.kind, Kind::Symlink(_)));
            }
        }
        let below: usize = 1 + tree.children(&RootPath::root()).map(|(path, _)| {
            1 + tree.descendants(path).count()
        }).sum::<usize>();
        prop_assert_eq!(below, 1 + tree.len());
    }

    #[test]
    fn a_tar_read_back_and_written_again_is_the_same(tree in tree()) {
        let first = written(&tree);
        let again = read(first.clone());
        prop_assert_eq!(listing(&again), listing(&tree));
        prop_assert_eq!(written(&again), first);
    }
}

proptest! {
    // Each of these writes to a disk.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_tree_stays_in_its_folder(tree in tree()) {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("root");
        write_directory(&tree, &folder, Ownership::Ignore).unwrap();
        prop_assert_eq!(on_disk(&folder), listing(&tree));
        prop_assert_eq!(fs_err::read_dir(parent.path()).unwrap().count(), 1);
    }
}
