//! One tree out of many: merged /usr, the packages, and the made files of an image, with the provenance of each entry.

use std::collections::{BTreeMap, BTreeSet};

use rootfs::{Content, Entry, InsertError, Origin, RootPath, StackError, TarError, Tree};
use rootfs::{Dialect, Layer, Limits};
use schema::image::FileSpec;
use schema::lock::PackageKey;

use crate::made::{self, Facts, MadeError};
use crate::project::ImageFolder;
use crate::underlay::Underlay;

/// The links that every Debian since bookworm has at the top of its root, and that debootstrap, not a package, makes
/// before bookworm (Debian Policy 10.1, file-hierarchy(7)). A package's `/lib/x` goes to `/usr/lib/x` through them.
const MERGED_USR: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// A package, opened: what it says of itself, and its files as a tar that is not unpacked.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// Which it is.
    pub key: PackageKey,
    /// Where it was found.
    pub source: PackageSource,
    /// Its control file (deb-control(5)).
    pub control: Vec<u8>,
    /// Its list of MD5 sums, where it has one (deb-md5sums(5)).
    pub md5sums: Vec<u8>,
    /// What else its control archive has, by name.
    pub records: BTreeMap<String, Content>,
    /// Its files; empty where it was found installed.
    pub data: Content,
}

impl Package {
    /// What a field of its control file says, on its first line.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let control = String::from_utf8_lossy(&self.control);
        control.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    }
}

/// Where a package was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackageSource {
    /// In the archive of the distro.
    Archive,
    /// Installed in the image that a Ruby is taken from: its files are there as they are, whatever it brought.
    Image,
}

/// What brought the files of a Ruby that are of no package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// The tarball that it was compiled from.
    Tarball,
    /// The image that it is taken from.
    Image,
}

/// A tree and where its entries came from.
#[derive(Debug)]
pub(crate) struct Stack<'a> {
    /// The tree.
    pub tree: Tree,
    /// The paths that were made for the image: what stands there is not what a package brought.
    pub made: BTreeSet<RootPath>,
    /// What it stands on: the layers of an image that is there already.
    pub lower: Tree,
    packages: &'a [Package],
    upstream: Option<Upstream>,
}

/// Packages that do not make a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The files of a package are no acceptable tar.
    #[error("cannot read the files of package {package}")]
    Tar {
        /// The package.
        package: String,
        /// What is wrong.
        source: TarError,
    },
    /// The files of a package do not fit on those below.
    #[error("cannot stack package {package}")]
    Stack {
        /// The package.
        package: String,
        /// What is wrong.
        source: StackError,
    },
    /// The files of an image do not fit.
    #[error("cannot put packages on the image that the Ruby is taken from")]
    Underlay(#[source] InsertError),
    /// The links of merged /usr do not fit.
    #[error("cannot merge /usr")]
    MergedUsr(#[source] InsertError),
    /// A compiled Ruby does not fit on the packages.
    #[error("cannot put a compiled Ruby on the packages")]
    Ruby(#[source] InsertError),
    /// The lower layers of an image do not fit on the packages of an upper one.
    #[error("cannot put packages on the lower layers")]
    Lower(#[source] InsertError),
    /// A file of the image cannot be made.
    #[error(transparent)]
    Made(#[from] MadeError),
}

/// What a Ruby brings that is of no package of the row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Below<'s> {
    /// The files of an image that it is taken from.
    pub underlay: Option<&'s Underlay>,
    /// The files of one that was compiled.
    pub ruby: Option<&'s Tree>,
}

impl<'a> Stack<'a> {
    /// Stacks `packages`, in their order, on what lies below them, a compiled Ruby where there is one, what an image has of
    /// `lower` on them, and made files on that; `facts` go into these. What `lower` has stays as it is there: a package gives
    /// what is missing in it.
    ///
    /// # Errors
    /// When a package is no acceptable one, or a file cannot be made.
    pub(crate) fn new<'f>(
        packages: &'a [Package],
        Below { underlay, ruby }: Below<'_>,
        lower: Tree,
        image: &ImageFolder,
        files: impl IntoIterator<Item = &'f FileSpec>,
        facts: &Facts,
    ) -> Result<Self, TreeError> {
        let (made, unowned) = (made_origin(packages), upstream_origin(packages));
        let mut tree = merged_usr(made, &lower).map_err(TreeError::MergedUsr)?;
        if let Some(underlay) = underlay {
            underlay.lay(&mut tree, packages, unowned).map_err(TreeError::Underlay)?;
        }
        let archived = (0..).map(Origin).zip(packages);
        for (origin, package) in archived.filter(|(_, package)| package.source == PackageSource::Archive) {
            stack_package(&mut tree, package, origin)?;
        }
        for (path, entry) in ruby.into_iter().flat_map(Tree::iter) {
            // Folders that packages have too stay as they are there.
            if !entry.is_directory() || tree.get(path).is_none() {
                let entry = Entry { origin: unowned, ..entry.clone() };
                tree.insert(path.clone(), entry).map_err(TreeError::Ruby)?;
            }
        }
        for (path, entry) in lower.iter() {
            tree.insert(path.clone(), Entry { origin: made, ..entry.clone() }).map_err(TreeError::Lower)?;
        }
        let mut paths = BTreeSet::new();
        for file in files {
            paths.extend(made::make(&mut tree, file, image, facts, made)?);
        }
        let upstream = match (underlay, ruby) {
            (Some(_), _) => Some(Upstream::Image),
            (None, Some(_)) => Some(Upstream::Tarball),
            (None, None) => None,
        };
        Ok(Self { tree, made: paths, lower, packages, upstream })
    }

    /// Whether a path is not as the lower layers have it.
    pub(crate) fn is_new(&self, path: &RootPath) -> bool {
        self.lower.get(path).is_none() || self.made.contains(path)
    }

    /// The origin of what no package brought.
    pub(crate) fn made_origin(&self) -> Origin {
        made_origin(self.packages)
    }

    /// What an entry came with that is of no package, but of the Ruby's source.
    pub(crate) fn upstream(&self, entry: &Entry) -> Option<Upstream> {
        self.upstream.filter(|_| entry.origin == upstream_origin(self.packages))
    }

    /// The packages, in their order.
    pub(crate) const fn packages(&self) -> &'a [Package] {
        self.packages
    }

    /// The package that an entry came from or was made from, if any.
    pub(crate) fn package(&self, entry: &Entry) -> Option<&'a Package> {
        self.packages.get(entry.origin.0 as usize)
    }
}

/// Packages have the numbers below.
fn made_origin(packages: &[Package]) -> Origin {
    Origin(u32::try_from(packages.len()).expect("a distro has fewer packages"))
}

/// Behind that of what was made.
fn upstream_origin(packages: &[Package]) -> Origin {
    Origin(made_origin(packages).0 + 1)
}

fn stack_package(tree: &mut Tree, package: &Package, origin: Origin) -> Result<(), TreeError> {
    let name = || format!("{} {}", package.key.name, package.key.version);
    let layer = Layer::parse(package.data.clone(), Dialect::Debian, Limits::default())
        .map_err(|source| TreeError::Tar { package: name(), source })?;
    tree.stack(&layer, origin).map_err(|source| TreeError::Stack { package: name(), source })
}

/// The links, but for folders that the lower layers have in their place, as images of old distros do.
fn merged_usr(origin: Origin, lower: &Tree) -> Result<Tree, InsertError> {
    let mut tree = Tree::new();
    let path = |text: String| RootPath::parse(text).expect("a constant path");
    let is_folder = |name: &str| lower.get(&path(format!("/{name}"))).is_some_and(Entry::is_directory);
    for name in MERGED_USR.into_iter().filter(|name| !is_folder(name)) {
        tree.insert(path(format!("/usr/{name}")), Entry::directory(rootfs::Metadata::root(0o755), origin))?;
        tree.insert(path(format!("/{name}")), Entry::symlink(format!("usr/{name}"), origin))?;
    }
    Ok(tree)
}
