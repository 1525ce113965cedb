//! The Rubies of a tree: each is found by its `rbconfig.rb`, which names its program, its library and its folders.

use std::collections::BTreeMap;

use rootfs::{Kind, RootPath, Tree};

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
    /// Where `require` and RubyGems look, as far as the tree has it. A folder inside of another one comes before it.
    pub(crate) folders: Vec<LibraryFolder>,
}

/// Every Ruby of a tree, by the place of its `rbconfig.rb`.
pub(crate) fn find(tree: &Tree) -> Vec<Ruby> {
    let files = tree.iter().filter(|(path, _)| path.as_bytes().ends_with(b"/rbconfig.rb"));
    files
        .filter_map(|(path, entry)| match &entry.kind {
            Kind::File(file) => read(tree, path, &file.content),
            _ => None,
        })
        .collect()
}

fn read(tree: &Tree, path: &RootPath, text: &[u8]) -> Option<Ruby> {
    let config = RbConfig::parse(text, &path.parent()?.to_string());
    let version = config.get("ruby_version")?;
    let real = |path: String| Some(tree.resolve(&RootPath::parse(&path).ok()?).ok()?.path);
    let at = |folder: &str, name: &str| real(format!("{}/{}", config.get(folder)?, config.get(name)?));

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
        program: at("bindir", "ruby_install_name"),
        library: ["libdir", "archlibdir"].iter().find_map(|folder| at(folder, "LIBRUBY_SO")),
        version,
        folders,
    })
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
        format!("/usr/lib/ruby/gems/{version}"),
        format!("/usr/lib/{arch}/ruby/gems/{version}"),
        format!("/usr/share/rubygems-integration/{version}"),
        "/usr/share/rubygems-integration/all".to_owned(),
        format!("/usr/lib/{arch}/rubygems-integration/{version}"),
    ];
    settings.chain(own.into_iter().chain(debian).map(|path| (path, Holds::Gems))).collect()
}
