//! A project in a folder of its own, with a cache and a home beside it, as a person has them.

use std::collections::BTreeMap;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use fs_err as fs;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::mirror::Mirror;
use crate::program::{Outcome, xtask};

const IMAGE: &str = include_str!("image.toml");

const README: &str = "# Tiny\n\n<!-- sizes:begin -->\n<!-- sizes:end -->\n\nThe end.\n";

const PUBLISHED: &str = r#"[[images]]
image = "large:1"
ruby = "3.3"
architecture = "amd64"
disk = 900.0
source = "[its record](https://example.org/large)"
date = "2026-09"
"#;

/// A project and the folders around it. Gone when it is dropped.
pub(crate) struct Project {
    /// The folder of `matrix.toml`.
    pub(crate) root: PathBuf,
    /// The folder of the cache.
    pub(crate) cache: PathBuf,
    program: PathBuf,
    masks: Vec<(String, &'static str)>,
    folder: TempDir,
}

impl Project {
    /// A project with one row, Ruby 3.3 on `trixie`, whose packages come from `mirror`.
    pub(crate) fn new(mirror: &Mirror) -> Self {
        Self::with_matrix(mirror, &[("3.3", "trixie")])
    }

    /// A project with these rows, each a Ruby and a distro.
    pub(crate) fn with_matrix(mirror: &Mirror, rows: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().canonicalize().expect("its real path");
        let (root, cache) = (place.join("project"), place.join("cache"));
        let masks = vec![
            (root.display().to_string(), "[project]"),
            (cache.display().to_string(), "[cache]"),
            (place.display().to_string(), "[folder]"),
            (mirror.server.url(""), "[mirror]"),
        ];
        let project = Self { root, cache, program: xtask().to_owned(), masks, folder };
        project.write("matrix.toml", &matrix(mirror, rows));
        project.write("keys.asc", &testkit::archive::certificate());
        project.write("images/tiny/image.toml", IMAGE);
        project.write("images/tiny/passwd", "nonroot:x:65532:65532::/:/none\n");
        project.write("images/tiny/published.toml", PUBLISHED);
        project.write("README.md", README);
        project
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.root.join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("its folder");
        fs::write(path, text).expect("the file");
    }

    /// The text of a file of the project.
    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root.join(file)).expect("a file of the project")
    }

    /// Puts `to` in place of `from`, which must be there, in a file of the project.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} has {from}");
        self.write(file, &text.replace(from, to));
    }

    /// The folder that the project, its cache and its home are in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Gives everything to the user and the group of that number, with a copy of the program that they may read.
    pub(crate) fn give_to(&mut self, owner: u32) {
        let copy = self.folder().join("xtask");
        fs::copy(&self.program, &copy).expect("a copy of the program");
        self.program = copy;
        give(self.folder(), owner);
    }

    /// The program, to be run in the project, with nothing of the surrounding environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.in_place(Command::new(&self.program), arguments)
    }

    /// The same, started by another program: `wrapper` with its arguments, which are followed by the command.
    pub(crate) fn command_through(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let (program, rest) = wrapper.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(rest).arg(&self.program);
        self.in_place(command, arguments)
    }

    fn in_place(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.folder().join("home")).env("DISTROLESS_RUBY_CACHE", &self.cache);
        command
    }

    /// Runs a verb.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.outcome(&mut self.command(arguments))
    }

    /// Runs a command made by [`Project::command`] and bent since.
    pub(crate) fn outcome(&self, command: &mut Command) -> Outcome {
        Outcome::new(&command.output().expect("the program starts"), &self.masks)
    }

    /// Builds every image, without checks.
    #[track_caller]
    pub(crate) fn build(&self) -> Outcome {
        self.run(&["build-all", "--no-check"]).good()
    }

    /// Every file of `dist/oci`, with the time of its last change and its bytes; none where there is no layout.
    pub(crate) fn layout(&self) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
        files_below(&self.root.join("dist/oci"))
    }

    /// Every file of `dist` with its digest: images, what they declare, and the record. The record is the same twice where
    /// no check ran.
    pub(crate) fn products(&self) -> BTreeMap<String, String> {
        let dist = self.root.join("dist");
        let named = |(path, (_, bytes)): (PathBuf, (_, Vec<u8>))| {
            let inside = path.strip_prefix(&dist).expect("a file of dist").display().to_string();
            (inside, hex::encode(Sha256::digest(&bytes)))
        };
        files_below(&dist).into_iter().map(named).collect()
    }

    /// The images of a new project with a new cache.
    pub(crate) fn undisturbed(mirror: &Mirror) -> BTreeMap<String, String> {
        let project = Self::new(mirror);
        project.build();
        project.images()
    }

    /// Every file of the layout is one that belongs there, and a blob is what its name says.
    #[track_caller]
    pub(crate) fn assert_whole(&self) {
        for (path, (_, bytes)) in self.layout() {
            let below = path.strip_prefix(self.root.join("dist/oci")).expect("a file of the layout");
            let written = below.to_str().expect("ASCII");
            let blob = format!("blobs/sha256/{}", hex::encode(Sha256::digest(&bytes)));
            assert!(["oci-layout", "index.json", &blob].contains(&written), "{written}");
        }
    }

    /// A document among the blobs of the layout.
    pub(crate) fn document(&self, digest: &serde_json::Value) -> serde_json::Value {
        let hex = digest.as_str().expect("a digest").trim_start_matches("sha256:");
        serde_json::from_str(&self.read(&format!("dist/oci/blobs/sha256/{hex}"))).expect("JSON")
    }

    /// The index that a name leads to.
    pub(crate) fn index(&self, name: &str) -> serde_json::Value {
        self.document(&self.images()[name].clone().into())
    }

    /// How many blobs the layout has.
    pub(crate) fn blobs(&self) -> usize {
        files_below(&self.root.join("dist/oci/blobs")).len()
    }

    /// The names in the layout, each with the digest of its image; none where there is no layout.
    pub(crate) fn images(&self) -> BTreeMap<String, String> {
        let Ok(text) = fs::read_to_string(self.root.join("dist/oci/index.json")) else {
            return BTreeMap::new();
        };
        let index: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let manifests = index["manifests"].as_array().expect("a list of manifests");
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let pair = |manifest: &serde_json::Value| {
            let name = manifest["annotations"]["org.opencontainers.image.ref.name"].as_str()?;
            Some((name.to_owned(), text(&manifest["digest"])))
        };
        manifests.iter().filter_map(pair).collect()
    }
}

/// Every file below a folder, with the time of its last change and its bytes; a link with its target.
pub(crate) fn files_below(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("its metadata");
        if metadata.is_dir() {
            files.extend(files_below(&path));
        } else {
            let bytes = match fs::read_link(&path) {
                Ok(target) => target.into_os_string().into_encoded_bytes(),
                Err(_) => fs::read(&path).expect("its bytes"),
            };
            files.insert(path, (metadata.modified().expect("a time"), bytes));
        }
    }
    files
}

fn give(path: &Path, owner: u32) {
    chown(path, Some(owner), Some(owner)).expect("root may give it away");
    for entry in fs::read_dir(path).into_iter().flatten() {
        give(&entry.expect("an entry").path(), owner);
    }
}

fn matrix(mirror: &Mirror, rows: &[(&str, &str)]) -> String {
    let (main, security) = (mirror.main(), mirror.security());
    let head = format!(
        "image = \"tiny\"\narchitectures = [\"amd64\"]\nmirror = {{ main = \"{main}\", security = \"{security}\" }}\n"
    );
    let distros = rows.iter().map(|(_, distro)| {
        format!(
            "\n[distros.{distro}]\nsuites = [\"{distro}\"]\nsecurity = [\"{distro}-security\"]\nkeyring = \"keys.asc\"\n"
        )
    });
    let rows = rows.iter().map(|(ruby, distro)| {
        format!("\n[[rows]]\nruby = \"{ruby}\"\ndistro = \"{distro}\"\nsource = {{ package = \"ruby\" }}\n")
    });
    [head].into_iter().chain(distros).chain(rows).collect::<Vec<_>>().concat()
}
