//! The flags of every verb, and nothing else: what they mean is up to the verbs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use schema::Architecture;
use schema::reference::{Reference, Repository};

/// Builds, checks and hands on distroless Ruby images.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) output: OutputFlags,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Args)]
pub(crate) struct OutputFlags {
    /// Say only what went wrong
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Build every image of the matrix, check it, and write the size report
    BuildAll(BuildAllFlags),
    /// Build and check some of the images
    Build(BuildFlags),
    /// Run the checks of images that are built
    Check(CheckFlags),
    /// List the images of the matrix
    List(ListFlags),
    /// Say why a file is in an image, or which rule left it out
    Why(WhyFlags),
    /// Run a command in an image
    Run(RunFlags),
    /// Hand an image to Docker or Podman, under all of its names
    Load(LoadFlags),
    /// Hand an image on as an OCI layout, an archive for `docker load`, or a folder
    Export(ExportFlags),
    /// Send images to a registry, and set their tags once everything is there
    Push(PushFlags),
    /// Show which tags a release would set, or release: every image of the matrix whose checks passed, under all its tags
    Release(ReleaseFlags),
    /// Hand on what this machine built, or join what others handed on: builds on several machines
    #[command(subcommand)]
    Part(PartVerb),
    /// Sign what was released, and attest what is in it and where it comes from, with cosign
    Sign(SignFlags),
    /// Show what differs between two images or two runs; the status is 0 where nothing does, 1 where something does
    Diff(DiffFlags),
    /// Write the sizes in the README, or a site about the images, from the last run
    Report(ReportFlags),
    /// Resolve the suites anew, and show what changes in the lock
    Update(UpdateFlags),
    /// The first process of a sandbox; started by the program itself
    #[command(name = SANDBOX_INIT, hide = true)]
    SandboxInit,
}

/// The subcommand that a sandbox's first process is started with.
pub(crate) const SANDBOX_INIT: &str = "sandbox-init";

#[derive(Debug, Args)]
pub(crate) struct DiffFlags {
    /// An image by name or tag, as in 3.3-trixie; one elsewhere, as `oci:FOLDER:NAME` or `docker://REGISTRY/NAME:TAG`; or
    /// all of a run: a folder as `dist`, or a run.json
    #[arg(value_name = "BEFORE")]
    pub(crate) before: String,
    /// The same, to compare it with
    #[arg(value_name = "AFTER")]
    pub(crate) after: String,
    /// How it is shown: markdown is for a pull request, json for programs
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: DiffFormat,
    /// The images for this architecture instead of the machine's; runs are compared for all
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) arch: Option<Architecture>,
    /// A registry that is reached without TLS, as in localhost:5000; may be given several times
    #[arg(long, value_name = "HOST")]
    pub(crate) plain_http: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DiffFormat {
    Text,
    Markdown,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct BuildAllFlags {
    /// Only images whose name or tag matches; a glob, as in '3.3*'
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<String>,
    #[command(flatten)]
    pub(crate) build: BuildOptions,
}

#[derive(Debug, Args)]
pub(crate) struct BuildFlags {
    /// Names or tags, as in ruby:3.3-trixie, or globs over them
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) build: BuildOptions,
}

#[derive(Debug, Args)]
pub(crate) struct BuildOptions {
    /// Compress as hard as can be
    #[arg(long)]
    pub(crate) release: bool,
    /// Build, but run no checks
    #[arg(long)]
    pub(crate) no_check: bool,
    #[command(flatten)]
    pub(crate) kinds: KindOptions,
    /// Switch a rule of image.toml off that leaves files out or makes them smaller; may be given several times
    #[arg(long, value_name = "RULE")]
    pub(crate) keep: Vec<String>,
    /// Keep the folder that a Ruby is compiled in, below dist/failed, where that fails
    #[arg(long)]
    pub(crate) keep_failed: bool,
    /// Build for this architecture instead of the matrix's
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) arch: Option<Architecture>,
    /// Take what was compiled and packed elsewhere from a cache in a registry, as in registry.example.org/team/ruby-cache
    #[arg(long, value_name = "REGISTRY/REPOSITORY")]
    pub(crate) cache_from: Option<Repository>,
    /// Put what was compiled and packed here into such a cache
    #[arg(long, value_name = "REGISTRY/REPOSITORY")]
    pub(crate) cache_to: Option<Repository>,
    /// Threads to work with; as many as there are cores by default
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    pub(crate) packages: PackageOptions,
}

/// Which variants, and which rows.
#[derive(Debug, Args)]
pub(crate) struct KindOptions {
    /// Only this variant, also one that is built on demand, or `all` of them; may be given several times
    #[arg(long = "variant", value_name = "NAME")]
    pub(crate) variants: Vec<String>,
    /// Only the rows of this group, which are not built with the matrix, or `all` rows; may be given several times
    #[arg(long = "group", value_name = "NAME")]
    pub(crate) groups: Vec<String>,
    /// Only this row, as in 3.3-trixie, whatever group it is in; may be given several times
    #[arg(long = "row", value_name = "NAME", conflicts_with = "groups")]
    pub(crate) rows: Vec<String>,
}

/// Where packages come from, and which.
#[derive(Debug, Args)]
pub(crate) struct PackageOptions {
    /// Fail if matrix.lock would have to change
    #[arg(long)]
    pub(crate) locked: bool,
    /// Use nothing but what is in the cache
    #[arg(long)]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) mirror: MirrorOptions,
}

#[derive(Debug, Args)]
pub(crate) struct MirrorOptions {
    /// The Debian mirror, instead of the one in matrix.toml or of this machine's apt
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<String>,
    /// The mirror of the security archive; MIRROR with `-security` at its end by default
    #[arg(long, value_name = "URL", requires = "mirror")]
    pub(crate) security_mirror: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EngineName {
    Sandbox,
    Docker,
    Podman,
}

#[derive(Debug, Args)]
pub(crate) struct CheckFlags {
    /// Names or tags, or globs over them; every image by default
    #[arg(value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    /// The images for this architecture instead of this machine's
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) arch: Option<Architecture>,
    #[command(flatten)]
    pub(crate) kinds: KindOptions,
    /// What runs the image
    #[arg(long, value_enum, default_value_t = EngineName::Sandbox)]
    pub(crate) engine: EngineName,
    #[command(flatten)]
    pub(crate) packages: PackageOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ListFlags {
    /// As JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// The images for this architecture instead of this machine's
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) arch: Option<Architecture>,
    /// Instead, the jobs that a build on several machines consists of: one for each row and architecture. As JSON they are a
    /// `strategy.matrix` of GitHub Actions
    #[arg(long, conflicts_with = "arch")]
    pub(crate) jobs: bool,
    /// The jobs for this group of rows, or for `all` rows; may be given several times
    #[arg(long = "group", value_name = "NAME", requires = "jobs")]
    pub(crate) groups: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WhyFlags {
    /// Its name or tag, as in ruby:3.3-trixie
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// An absolute path in the image
    #[arg(value_name = "PATH")]
    pub(crate) path: std::ffi::OsString,
    /// The image for this architecture instead of this machine's
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) arch: Option<Architecture>,
    #[command(flatten)]
    pub(crate) packages: PackageOptions,
}

#[derive(Debug, Args)]
pub(crate) struct RunFlags {
    /// Its name or tag, as in ruby:3.3-trixie
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The image for this architecture instead of this machine's
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) arch: Option<Architecture>,
    /// What runs the image
    #[arg(long, value_enum, default_value_t = EngineName::Sandbox)]
    pub(crate) engine: EngineName,
    /// The command and its arguments; the image's own by default
    #[arg(value_name = "COMMAND", last = true)]
    pub(crate) command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ToolName {
    Docker,
    Podman,
}

#[derive(Debug, Args)]
pub(crate) struct LoadFlags {
    /// Its name or tag, as in ruby:3.3-trixie
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// Which engine gets it
    #[arg(long, value_enum, default_value_t = ToolName::Docker)]
    pub(crate) engine: ToolName,
    /// The image for this architecture instead of this machine's
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) arch: Option<Architecture>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportFormat {
    /// An OCI image layout with this image alone, for every architecture
    Oci,
    /// An archive for `docker load`, for one architecture
    DockerArchive,
    /// The files, as they are in a container, for one architecture
    Dir,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CompressionName {
    /// Taken by every engine
    Gzip,
    /// Smaller
    Zstd,
}

#[derive(Debug, Args)]
pub(crate) struct ExportFlags {
    /// Its name or tag, as in ruby:3.3-trixie
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The form
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// The image for this architecture instead of this machine's; for an OCI layout, instead of all
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) arch: Option<Architecture>,
    /// For an OCI layout: the images in this compression alone, for programs that know one image under a name
    #[arg(long, value_enum)]
    pub(crate) compression: Option<CompressionName>,
    /// Where to: a new path, or `-` for an archive on standard output
    #[arg(long, value_name = "PATH")]
    pub(crate) output: PathBuf,
    /// Replace the file that is there; for a folder, one that is empty or an earlier export
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PushFlags {
    /// Names or tags, or globs over them; every image by default
    #[arg(value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) destination: Destination,
    /// Show what every tag would lead to and what would be sent, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A repository that images are sent to.
#[derive(Debug, Args)]
pub(crate) struct Destination {
    /// Where to, as in registry.example.org/team/ruby; tags are those of the images
    #[arg(long, value_name = "REGISTRY/REPOSITORY")]
    pub(crate) to: Repository,
    /// Another repository of that registry, which blobs are taken from where it has them
    #[arg(long, value_name = "REGISTRY/REPOSITORY")]
    pub(crate) mount_from: Vec<Repository>,
    /// Speak to this host without TLS; to loopback nobody needs it
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) plain_http: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseFlags {
    /// Names or tags, or globs over them; every image of the matrix by default
    #[arg(value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) kinds: KindOptions,
    #[command(flatten)]
    pub(crate) destination: Destination,
    /// Really send the images and set the tags, instead of showing what each would lead to
    #[arg(long)]
    pub(crate) push: bool,
    /// Release images for this architecture too whose checks were not run; may be given several times
    #[arg(long, value_name = "ARCHITECTURE")]
    pub(crate) unchecked: Vec<Architecture>,
    /// Write what changes for those who use the images, as Markdown, to this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) notes: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PartVerb {
    /// Send every image of the last run, and its record, under one tag
    Push(PartPushFlags),
    /// Bring the images of several machines together, in dist, as if they had been built here
    Join(PartJoinFlags),
}

#[derive(Debug, Args)]
pub(crate) struct PartPushFlags {
    /// Where to, as in registry.example.org/team/ruby-parts:3.3-trixie-amd64
    #[arg(long, value_name = "REGISTRY/REPOSITORY:TAG")]
    pub(crate) to: Reference,
    /// Speak to this host without TLS; to loopback nobody needs it
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) plain_http: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PartJoinFlags {
    /// Where the parts are
    #[arg(value_name = "REGISTRY/REPOSITORY:TAG", required = true)]
    pub(crate) parts: Vec<Reference>,
    /// Speak to this host without TLS; to loopback nobody needs it
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) plain_http: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SignFlags {
    /// Names or tags, or globs over them; every image of the matrix by default
    #[arg(value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) kinds: KindOptions,
    /// Where the images were released, as in registry.example.org/team/ruby
    #[arg(long, value_name = "REGISTRY/REPOSITORY")]
    pub(crate) to: Repository,
    /// Where the source is that they were built from, as in `git+https://github.com/team/project@refs/heads/main`
    #[arg(long, value_name = "URI")]
    pub(crate) source: String,
    /// The commit of that source
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: String,
    /// What built them: an address that stands for the workflow or the person
    #[arg(long, value_name = "URI")]
    pub(crate) builder: String,
    /// Which run of it that was
    #[arg(long, value_name = "URI")]
    pub(crate) invocation: Option<String>,
    /// Further arguments of cosign, as `--key cosign.key`; without a key it signs with the identity of who runs it
    #[arg(value_name = "ARGUMENT", last = true)]
    pub(crate) arguments: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportFlags {
    /// Change nothing, and fail if the README is not what the last run gives
    #[arg(long)]
    pub(crate) check: bool,
    /// Write a site instead: a page for each image, with every file and why it is there
    #[arg(long, value_name = "FOLDER", conflicts_with = "check")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateFlags {
    /// Show what would change, and leave the lock as it is
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) mirror: MirrorOptions,
}
