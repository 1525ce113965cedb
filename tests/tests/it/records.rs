//! What real images say of their packages, against the files that they have and against the packages themselves: every sum
//! in `status.d` is that of the file, every file is a package's and listed, and a file that is not as its package brings it
//! was made smaller by a rule. It needs a cache with the real packages; the network is not used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use analyzer::Drops;
use cache::Store;
use debian::deb::Deb;
use fs_err as fs;
use md5::{Digest as _, Md5};
use oci::{Layout, Prefer};
use rootfs::{Dialect, Kind, Layer, Limits, Origin, RootPath, Tree};
use schema::Architecture;
use schema::image::{ImageSpec, ShrinkHow};
use schema::lock::{Lock, PackageKey};
use schema::matrix::{Matrix, Row, Source};

use crate::program::workspace;
use crate::real;
use crate::skip;

const NAME: &str = "records-under-test";
const WHAT: &str = "the records of packages";
const RECORDS: &str = "/var/lib/dpkg/status.d";

#[test]
fn the_records_of_packages_are_true_to_the_files() {
    let project = real::project(NAME);
    let matrix = fs::read_to_string(project.path().join("matrix.toml")).expect("the matrix");
    let matrix = Matrix::parse("matrix.toml", &matrix).expect("a matrix");
    // A Ruby that is compiled or pulled is of no package.
    let packaged = |row: &&Row| matches!(row.source, Source::Package { .. });
    for row in matrix.rows.iter().filter(packaged) {
        let options: Vec<&str> = row.options.iter().flat_map(|option| ["-", option]).collect();
        // The variant that has what the others have, and a layer more.
        let name = format!("{NAME}:{}-{}{}-debug", row.ruby, row.distro, options.concat());
        match real::build(project.path(), &name) {
            Err(why) => skip(&format!("{WHAT} of {name}"), &why),
            Ok(()) => compare(project.path(), &name),
        }
    }
}

fn compare(project: &Path, name: &str) {
    let layout = Layout::open(&project.join("dist/oci")).expect("a layout");
    let images = layout.resolve(name).expect("the images");
    let host = Architecture::host().expect("an architecture that images are built for");
    let image = images.image(host, Prefer::Gzip).expect("the image").tree().expect("its files");
    let spec = fs::read_to_string(project.join("images/ruby/image.toml")).expect("its description");
    let spec = ImageSpec::parse("image.toml", &spec).expect("a description");
    let made = made(&spec, &image);

    let sums = sums(&image);
    let mut known: BTreeSet<RootPath> = made.clone();
    let (mut as_brought, mut smaller) = (0, 0);
    for (key, package) in packages(&image) {
        let listed = &sums[&key.name];
        for (path, brought) in package.files {
            // The links of merged /usr lie between a package's name for a file and the file.
            let Some((real, sum)) = file(&image, &path).filter(|(real, _)| !made.contains(real)) else {
                continue;
            };
            match listed.get(&real) {
                Some(recorded) => assert_eq!(*recorded, sum, "{path} of {} in {name}", key.name),
                None => {
                    assert!(package.configuration.contains(&path), "{path} of {} is not listed", key.name);
                }
            }
            if sum == brought {
                as_brought += 1;
            } else {
                assert!(is_made_smaller(&spec, &real), "{path} of {} is another one in {name}", key.name);
                smaller += 1;
            }
            known.insert(real);
        }
        for path in listed.keys() {
            assert!(known.contains(path), "{path} is listed for {}, which does not bring it", key.name);
        }
    }
    let all = image.iter().filter(|(_, entry)| matches!(entry.kind, Kind::File(_))).map(|(path, _)| path);
    let records = RootPath::parse(RECORDS).expect("a path");
    let unknown: Vec<&RootPath> =
        all.filter(|path| !known.contains(*path) && !path.starts_with(&records)).collect();
    assert_eq!(unknown, Vec::<&RootPath>::new(), "of no package in {name}");
    assert!(
        as_brought > 500 && smaller > 500,
        "{name}: {as_brought} files are as brought, {smaller} smaller"
    );
}

/// The sums that `status.d` has, by package and real path; each is that of the file.
fn sums(image: &Tree) -> BTreeMap<String, BTreeMap<RootPath, String>> {
    let records = image.children(&RootPath::parse(RECORDS).expect("a path"));
    let lists = records.filter_map(|(path, entry)| match &entry.kind {
        Kind::File(file) => {
            let package = std::str::from_utf8(path.name()).ok()?.strip_suffix(".md5sums")?.to_owned();
            Some((package, String::from_utf8(file.content.to_vec()).expect("paths of Ruby are UTF-8")))
        }
        _ => None,
    });
    let read = |package: &str, line: &str| {
        let (sum, path) = line.split_once("  ").expect("a sum, two spaces, a path");
        let path = RootPath::parse(format!("/{path}")).expect("a path");
        let (real, found) = file(image, &path).unwrap_or_else(|| panic!("{path} of {package} is no file"));
        assert_eq!(found, sum, "{path} of {package}");
        (real, found)
    };
    lists
        .map(|(package, list)| {
            let lines = list.lines().map(|line| read(&package, line)).collect();
            (package, lines)
        })
        .collect()
}

/// Where a path leads, but for a link at its end.
fn real(tree: &Tree, path: &RootPath) -> Option<RootPath> {
    tree.resolve(&path.parent()?).ok()?.path.join(path.name()).ok()
}

/// The real path of a file, and the sum of its bytes.
fn file(tree: &Tree, path: &RootPath) -> Option<(RootPath, String)> {
    let real = real(tree, path)?;
    match &tree.get(&real)?.kind {
        Kind::File(file) => Some((real, hex::encode(Md5::digest(&file.content)))),
        _ => None,
    }
}

/// The paths that are made, and of no package.
fn made(spec: &ImageSpec, image: &Tree) -> BTreeSet<RootPath> {
    let variants = spec.variants.iter().flat_map(|variant| &variant.addition.layers);
    let files = spec.layers.iter().chain(variants).flat_map(|layer| &layer.files);
    let paths = files.map(|file| RootPath::parse(file.path.as_str()).expect("a path"));
    paths.filter_map(|path| real(image, &path)).collect()
}

/// Whether a rule that changes the bytes of files is for this one.
fn is_made_smaller(spec: &ImageSpec, path: &RootPath) -> bool {
    let changing = spec.shrink.iter().filter(|rule| rule.how != ShrinkHow::Link);
    let rules: Vec<analyzer::Drop> = changing
        .map(|rule| analyzer::Drop {
            name: rule.name.clone(),
            globs: rule.paths.iter().map(|pattern| pattern.for_prefix("/usr").into_owned()).collect(),
            reason: rule.why.clone(),
        })
        .collect();
    Drops::new(&rules).0.taking(path).is_some()
}

/// A package as its archive has it.
struct Package {
    /// Its files by the names that it has for them, with the sums of their bytes.
    files: Vec<(RootPath, String)>,
    /// Its configuration files, which it does not list (deb-conffiles(5)).
    configuration: BTreeSet<RootPath>,
}

/// The packages that an image has records of.
fn packages(image: &Tree) -> Vec<(PackageKey, Package)> {
    let lock = fs::read_to_string(workspace().join("matrix.lock")).expect("the lock");
    let lock = Lock::parse("matrix.lock", &lock).expect("a lock");
    let store = Store::open(&real::cache()).expect("the cache");
    let records = image.children(&RootPath::parse(RECORDS).expect("a path"));
    let records = records.filter(|(path, _)| !path.name().ends_with(b".md5sums"));
    records
        .map(|(path, entry)| {
            let Kind::File(file) = &entry.kind else { panic!("{path} is no file") };
            let text = std::str::from_utf8(&file.content).expect("control files are UTF-8");
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                line.unwrap_or_else(|| panic!("{path} has no {name}")).to_owned()
            };
            let key = PackageKey {
                name: field("Package"),
                version: field("Version"),
                architecture: field("Architecture"),
            };
            let blob = store.get(&lock.packages[&key].digest).expect("the cache is readable");
            let blob = blob.expect("it was built of this package");
            (key, package(blob.content()))
        })
        .collect()
}

fn package(bytes: &[u8]) -> Package {
    let deb = Deb::open(bytes).expect("a package");
    let mut tar = Vec::new();
    deb.data_tar(&mut tar, 1 << 30).expect("its files");
    let layer = Layer::parse(tar.into(), Dialect::Debian, Limits::default()).expect("a tar");
    let mut tree = Tree::new();
    tree.stack(&layer, Origin::default()).expect("a tree");
    let files = tree.iter().filter_map(|(path, entry)| match &entry.kind {
        Kind::File(file) => Some((path.clone(), hex::encode(Md5::digest(&file.content)))),
        _ => None,
    });
    let configuration = deb.records().get("conffiles").map(|list| String::from_utf8_lossy(list).into_owned());
    let configuration = configuration.iter().flat_map(|list| list.lines());
    Package {
        files: files.collect(),
        configuration: configuration.filter_map(|path| RootPath::parse(path).ok()).collect(),
    }
}
