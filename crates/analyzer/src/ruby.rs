//! The Rubies of a root filesystem. Each is described by its `rbconfig.rb`, which names its program, its library and its
//! folders; where that file lies follows from the place of the program or of the library.

use std::collections::{BTreeMap, BTreeSet};

use rootfs::{Filesystem, Kind, RootPath};

use crate::rbconfig::RbConfig;

/// A folder that a Ruby looks into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LibraryFolder {
    /// Its real path.
    pub(crate) path: RootPath,
    pub(crate) holds: Holds,
}

/// What a folder of a Ruby holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// The standard library in Ruby.
    Library,
    /// The compiled part of the standard library, with the encodings.
    Compiled,
    /// Libraries of the distributor.
    Vendor,
    /// Libraries of this machine.
    Site,
    /// Installed gems.
    Gems,
}

/// One Ruby.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ruby {
    pub(crate) rbconfig: RootPath,
    /// The interpreter, where the tree has it, by its real path.
    pub(crate) program: Option<RootPath>,
    /// The shared library of the interpreter, likewise.
    pub(crate) library: Option<RootPath>,
    /// The version that the folders carry, as `3.3.0`.
    pub(crate) version: String,
    /// Its own version, as `3.3.8`; none where its description does not say.
    pub(crate) release: Option<String>,
    /// Where `require` and RubyGems look, as far as the tree has it. A folder inside of another one comes before it.
    pub(crate) folders: Vec<LibraryFolder>,
}

/// The commands that Ruby installs with itself: its own, and those of its default and bundled gems.
pub(crate) const COMMANDS: [&str; 13] = [
    "bundle",
    "bundler",
    "erb",
    "gem",
    "irb",
    "racc",
    "rake",
    "rbs",
    "rdbg",
    "rdoc",
    "ri",
    "syntax_suggest",
    "typeprof",
];

/// The name of the file that describes a Ruby.
const RBCONFIG: &str = "rbconfig.rb";

/// Whether a path can be that of the file that describes a Ruby.
pub(crate) fn is_rbconfig(path: &RootPath) -> bool {
    path.name() == RBCONFIG.as_bytes()
}

/// The files that may describe the Ruby whose program or library lies in `folder`, in order. For a Ruby in `/usr/bin`,
/// `/usr/lib/x86_64-linux-gnu` or `/opt/ruby/bin`, they lie in the folder `ruby` of a library folder of the same prefix,
/// or below that in a folder for the version, or below that in one for the architecture.
pub(crate) fn rbconfigs_near(tree: &dyn Filesystem, folder: &RootPath) -> BTreeSet<RootPath> {
    let prefix = folder.parent().unwrap_or_else(RootPath::root);
    let libraries: Vec<RootPath> =
        ["lib", "lib64"].iter().filter_map(|name| at(tree, &prefix, name)).collect();
    let is_multiarch = |path: &RootPath| memchr::memmem::find(path.name(), b"-linux-").is_some();
    let multiarch = libraries.iter().flat_map(|library| folders(tree, library)).filter(is_multiarch);
    let own = [folder.clone(), prefix].into_iter().chain(multiarch).chain(libraries.iter().cloned());

    let tops: Vec<RootPath> = own.filter_map(|library| at(tree, &library, "ruby")).collect();
    let versions: Vec<RootPath> = tops.iter().flat_map(|top| folders(tree, top)).collect();
    let architectures = versions.iter().flat_map(|version| folders(tree, version));
    let holders = architectures.chain(versions.iter().cloned()).chain(tops.iter().cloned());
    holders.filter_map(|folder| at(tree, &folder, RBCONFIG)).collect()
}

/// Where a name in a folder leads.
fn at(tree: &dyn Filesystem, folder: &RootPath, name: &str) -> Option<RootPath> {
    Some(tree.resolve(&folder.join(name).ok()?).ok()?.path)
}

/// The folders in a folder.
fn folders(tree: &dyn Filesystem, folder: &RootPath) -> Vec<RootPath> {
    let children = tree.children(folder).filter(|(_, entry)| entry.is_directory());
    children.map(|(path, _)| path.clone()).collect()
}

/// Reads the file that describes a Ruby. `None` where it describes none that is there.
pub(crate) fn read(tree: &dyn Filesystem, path: &RootPath) -> Option<Ruby> {
    let Kind::File(file) = &tree.get(path)?.kind else { return None };
    let config = RbConfig::parse(&file.content, &path.parent()?.to_string());
    let version = config.get("ruby_version")?;
    let real = |path: String| Some(tree.resolve(&RootPath::parse(&path).ok()?).ok()?.path);
    let named = |folder: &str, name: &str| real(format!("{}/{}", config.get(folder)?, config.get(name)?));

    let mut folders = BTreeMap::new();
    for (path, holds) in named_folders(&config, &version) {
        if path.starts_with('/')
            && let Some(path) = real(path)
        {
            folders.entry(path).or_insert(holds);
        }
    }
    // The compiled part must be there for this to be a Ruby, and not a file that only bears the name.
    config.get("rubyarchdir").and_then(real).filter(|folder| path.starts_with(folder))?;
    let folders = folders.into_iter().rev().map(|(path, holds)| LibraryFolder { path, holds }).collect();
    Some(Ruby {
        rbconfig: path.clone(),
        program: named("bindir", "ruby_install_name"),
        library: ["libdir", "archlibdir"].iter().find_map(|folder| named(folder, "LIBRUBY_SO")),
        version,
        release: config.get("RUBY_PROGRAM_VERSION").or_else(|| parts(&config)),
        folders,
    })
}

/// The version in its parts, of which the older `rbconfig.rb` have it alone.
fn parts(config: &RbConfig) -> Option<String> {
    let part = |name| config.get(name);
    Some([part("MAJOR")?, part("MINOR")?, part("TEENY")?].join("."))
}

/// The full versions, as `3.4.5`, of the Rubies whose programs are in the folder `bin` of `prefix`.
pub fn versions(tree: &dyn Filesystem, prefix: &RootPath) -> BTreeSet<String> {
    let Ok(bin) = prefix.join("bin") else { return BTreeSet::new() };
    let rubies = rbconfigs_near(tree, &bin).into_iter().filter_map(|path| read(tree, &path));
    let is_here = |ruby: &Ruby| ruby.program.as_ref().is_some_and(|program| program.starts_with(&bin));
    rubies.filter(is_here).filter_map(|ruby| ruby.release).collect()
}

/// Where `require` looks (`$LOAD_PATH`), then where RubyGems does, upstream's place and those of Debian's RubyGems
/// (`rubygems/defaults/operating_system.rb` of package ruby-rubygems).
fn named_folders(config: &RbConfig, version: &str) -> Vec<(String, Holds)> {
    let arch = config.get("arch").unwrap_or_default();
    let settings = [
        ("rubyarchdir", Holds::Compiled),
        ("rubylibdir", Holds::Library),
        ("vendorarchdir", Holds::Vendor),
        ("vendorlibdir", Holds::Vendor),
        ("vendordir", Holds::Vendor),
        ("sitearchdir", Holds::Site),
        ("sitelibdir", Holds::Site),
        ("sitedir", Holds::Site),
    ];
    let settings = settings.into_iter().filter_map(|(name, holds)| Some((config.get(name)?, holds)));
    let own = config.get("rubylibprefix").map(|prefix| format!("{prefix}/gems/{version}"));
    let debian = [
        format!("/var/lib/gems/{version}"),
        format!("/usr/local/lib/ruby/gems/{version}"),
        // GEM_HOME of the official images, and of Bundler in them.
        "/usr/local/bundle".to_owned(),
        format!("/usr/lib/ruby/gems/{version}"),
        format!("/usr/lib/{arch}/ruby/gems/{version}"),
        format!("/usr/share/rubygems-integration/{version}"),
        "/usr/share/rubygems-integration/all".to_owned(),
        format!("/usr/lib/{arch}/rubygems-integration/{version}"),
    ];
    settings.chain(own.into_iter().chain(debian).map(|path| (path, Holds::Gems))).collect()
}
