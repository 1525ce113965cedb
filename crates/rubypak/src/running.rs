//! Commands that are run: `--trace`, for the files that they use, and `--test`, in the result.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use analyzer::{Closure, Request, Root, analyze};
use anyhow::{Context, bail};
use rootfs::{Entry, Filesystem, Kind, LiveRoot, Origin, RootPath, Tree};
use sandbox::{Captured, Command, Limits, Outcome, Program, SandboxError, Status, Streams, Trace, Use};

use crate::SANDBOX_INIT;
use crate::cli::{Cli, Confine};
use crate::ending::Advice;
use crate::job::Job;
use crate::passing::Passing;
use crate::printer::Printer;
use crate::{output, surroundings, words};

/// The most that is kept of what a command prints.
const OUTPUT_LIMIT: usize = 16 << 20;

/// How commands are run.
pub(crate) struct Runner<'a> {
    root: &'a Path,
    is_own_root: bool,
    folder: PathBuf,
    search_path: OsString,
    confine: Option<Confine>,
    /// A build stage is told apart by itself, as magicpak asked for no namespaces.
    may_weaken: bool,
    time: Duration,
    printer: &'a Printer,
}

/// A file that a traced command used, and that nothing else leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Missed {
    pub(crate) path: RootPath,
    pub(crate) command: String,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(cli: &'a Cli, job: &'a Job, printer: &'a Printer) -> Self {
        let folders: Vec<_> = job.request.search_path.iter().map(RootPath::as_bytes).collect();
        Self {
            root: &cli.root,
            is_own_root: job.is_own_root,
            folder: PathBuf::from(OsStr::from_bytes(job.folder.as_bytes())),
            search_path: OsString::from_vec(folders.join(&b':')),
            confine: cli.confine,
            may_weaken: cli.is_magicpak(),
            time: Duration::from_secs(cli.time_limit),
            printer,
        }
    }

    /// Runs every command that is to be traced, and gives the request that has what they used as well, with what of it
    /// the closure lacked. `None` where a command failed, which was said.
    pub(crate) fn trace(
        &self,
        cli: &Cli,
        job: &Job,
        live: &LiveRoot,
        closure: &Closure,
    ) -> anyhow::Result<Option<(Request, Vec<Missed>)>> {
        let mut request = job.request.clone();
        let mut missed = BTreeMap::new();
        for words in traced_commands(cli, job)? {
            let name = words.join(OsStr::new(" ")).display().to_string();
            self.printer.detail(format_args!("tracing `{name}`"));
            let mut command = self.command(&words, cli.dynamic_stdin.as_deref());
            command.cwd.clone_from(&self.folder);
            let (strong, weak) = self.whole_root();
            let (outcome, trace) = self
                .confined(&strong, &weak, |root| sandbox::trace(&program(), root, &command))
                .with_context(|| format!("cannot trace `{name}`"))?;
            if self.failed(&name, &outcome) {
                return Ok(None);
            }
            for (path, used) in used_paths(live, &trace) {
                if !closure.entries.contains_key(&path.real) && !path.is_folder {
                    missed.entry(path.real).or_insert_with(|| name.clone());
                }
                request.roots.push(Root::alone(path.asked, format!("{used} by `{name}`")));
            }
        }
        let missed = missed.into_iter().map(|(path, command)| Missed { path, command }).collect();
        Ok(Some((request, missed)))
    }

    /// Says how a traced command ended, where that is of interest; whether that stops everything.
    fn failed(&self, name: &str, outcome: &Outcome) -> bool {
        let text = match outcome.status {
            Status::Exited(0) => {
                self.show(outcome, Printer::detail);
                return false;
            }
            // How a server is stopped.
            Status::TimedOut => {
                self.printer.line(format_args!("`{name}` was ended after {} s", self.time.as_secs()));
                return false;
            }
            status => describe(status),
        };
        self.show(outcome, Printer::error);
        self.printer.error(format_args!("`{name}` {text}"));
        true
    }

    /// Runs the test in a copy of the result; whether it passed. What went wrong was said.
    pub(crate) fn test(&self, cli: &Cli, job: &Job, live: &LiveRoot, result: &Tree) -> anyhow::Result<bool> {
        let Some(test) = Test::new(cli, job)? else { return Ok(true) };
        let (words, tree) = self.prepare(&test, cli, live, result)?;
        let copy = Passing::new_in(&surroundings::temporary_folder())
            .context("cannot make a folder to test the result in")?;
        let root = copy.path().join("root");
        rootfs::write_directory(&tree, &root, output::ownership())?;
        let command = self.command(&words, cli.test_stdin.as_deref());
        let strong = sandbox::Root::Layers(vec![root.clone()]);
        let weak = sandbox::Root::Chroot(root);
        let outcome = self
            .confined(&strong, &weak, |root| sandbox::run(&program(), root, &command))
            .with_context(|| format!("cannot test the result with `{}`", test.name))?;
        let problem = match outcome.status {
            Status::Exited(0) => test.mismatch(&outcome.stdout),
            status => Some(describe(status)),
        };
        let Some(problem) = problem else {
            self.show(&outcome, Printer::detail);
            self.printer.line(format_args!("passed `{}`", test.name));
            return Ok(true);
        };
        self.show(&outcome, Printer::error);
        self.printer.error(format_args!("FAILED `{}`: it {problem}", test.name));
        Ok(false)
    }

    /// The words to run, and the tree to run them in: where they take a shell or a tool and the result has none, it is lent.
    fn prepare(
        &self,
        test: &Test,
        cli: &Cli,
        live: &LiveRoot,
        result: &Tree,
    ) -> anyhow::Result<(Vec<OsString>, Tree)> {
        let shell_line = match &test.command {
            TestCommand::Program(path) => {
                return Ok((vec![OsString::from_vec(path.as_bytes().to_vec())], result.clone()));
            }
            TestCommand::Text(words) => words,
        };
        let mut missing = "shell";
        if !words::needs_shell(shell_line) {
            let words = words::split(shell_line)?;
            if words.first().is_some_and(|name| self.has_program(result, name)) {
                return Ok((words.into_iter().map(OsString::from).collect(), result.clone()));
            }
            missing = "program of this name";
        }
        let mut tree = result.clone();
        let shell = RootPath::parse("/bin/sh")?;
        if tree.resolve(&shell).is_err() {
            let name = cli.busybox.clone().unwrap_or_else(|| "busybox".into());
            self.lend_shell(live, &name, &mut tree)
                .with_context(|| format!("cannot run `{shell_line}` in a result that has no {missing}"))?;
        }
        Ok((vec!["/bin/sh".into(), "-c".into(), shell_line.into()], tree))
    }

    /// Whether a tree has a program, by its path or by its name.
    fn has_program(&self, tree: &Tree, name: &str) -> bool {
        let is_there = |path: Result<RootPath, _>| path.is_ok_and(|path| tree.resolve(&path).is_ok());
        if name.contains('/') {
            return is_there(RootPath::parse(name));
        }
        self.search_folders().any(|folder| is_there(folder.join(name.as_bytes())))
    }

    /// Puts a shell of the root into the tree, with what it needs and with the tools that it has inside.
    fn lend_shell(&self, live: &LiveRoot, name: &OsStr, tree: &mut Tree) -> anyhow::Result<()> {
        let name = name.to_str().context("the name of the program is not UTF-8")?;
        let mut request =
            Request { roots: vec![Root::pattern(name, "shell of a test")], ..Request::default() };
        request.search_path = self.search_folders().filter(|folder| live.resolve(folder).is_ok()).collect();
        let closure = analyze(live, &request);
        let is_shell = |path: &&RootPath| {
            let reasons = closure.entries.get(*path).into_iter().flatten();
            let is_root = reasons.into_iter().any(|reason| reason.from.is_none());
            is_root && live.get(path).is_some_and(|entry| matches!(entry.kind, Kind::File(_)))
        };
        let Some(program) = closure.entries.keys().find(is_shell) else {
            bail!(Advice {
                problem: format!("cannot find `{name}` in the root"),
                hint: "name a program with --busybox that is a shell where it is called `sh`".to_owned(),
            });
        };
        let lent = live.select(closure.entries.keys().cloned())?;
        for (path, entry) in lent.iter() {
            if tree.get(path).is_none() {
                // What the result has otherwise is what is to be tested.
                let _ = tree.insert(path.clone(), entry.clone());
            }
        }
        let bin = RootPath::parse("/bin")?;
        let bin = tree.resolve(&bin).map_or(bin, |resolved| resolved.path);
        let link = || Entry::symlink(program.as_bytes(), Origin::default());
        tree.insert(bin.join("sh")?, link())?;
        for tool in self.tools(program)? {
            if !self.has_program(tree, &tool) {
                tree.insert(bin.join(tool)?, link())?;
            }
        }
        Ok(())
    }

    /// The names by which a busybox is more than one program, which it prints itself. Others print none.
    fn tools(&self, program: &RootPath) -> anyhow::Result<Vec<String>> {
        let words = [OsStr::from_bytes(program.as_bytes()).to_owned(), "--list".into()];
        let command = self.command(&words, None);
        let (strong, weak) = self.whole_root();
        let outcome = self.confined(&strong, &weak, |root| sandbox::run(&self::program(), root, &command))?;
        if outcome.status != Status::Exited(0) {
            return Ok(Vec::new());
        }
        let names = String::from_utf8_lossy(&outcome.stdout.bytes);
        let is_name = |name: &&str| !name.is_empty() && !name.contains(['/', ' ']);
        Ok(names.lines().filter(is_name).map(str::to_owned).collect())
    }

    /// The root that is looked at, to run something in it.
    fn whole_root(&self) -> (sandbox::Root, sandbox::Root) {
        let strong = sandbox::Root::Layers(vec![self.root.to_owned()]);
        let weak = match self.is_own_root {
            true => sandbox::Root::InPlace,
            false => sandbox::Root::Chroot(self.root.to_owned()),
        };
        (strong, weak)
    }

    fn search_folders(&self) -> impl Iterator<Item = RootPath> {
        let folders = self.search_path.as_bytes().split(|&byte| byte == b':');
        folders.filter_map(|folder| RootPath::parse(folder).ok())
    }

    /// A command with what it finds around it: on this machine's own root what this program has, elsewhere little.
    fn command(&self, words: &[OsString], stdin: Option<&str>) -> Command {
        let mut env = if self.is_own_root { surroundings::variables() } else { BTreeMap::new() };
        env.entry("PATH".into()).or_insert_with(|| self.search_path.clone());
        env.entry("HOME".into()).or_insert_with(|| "/".into());
        let (program, args) =
            words.split_first().map_or((OsString::new(), &[][..]), |(program, args)| (program.clone(), args));
        Command {
            args: args.to_vec(),
            env,
            streams: Streams::Captured { stdin: stdin.unwrap_or_default().into(), limit: OUTPUT_LIMIT },
            limits: Limits { time: self.time, memory: 8 << 30, processes: 4096, ..Limits::default() },
            ..Command::new(program)
        }
    }

    /// Runs something as confined as was asked for, or as can be.
    fn confined<T>(
        &self,
        strong: &sandbox::Root,
        weak: &sandbox::Root,
        run: impl Fn(&sandbox::Root) -> Result<T, SandboxError>,
    ) -> anyhow::Result<T> {
        if self.confine == Some(Confine::Stage) {
            return Ok(run(weak)?);
        }
        match run(strong) {
            Err(error @ SandboxError::Unsupported { .. }) if self.confine.is_none() => {
                if !self.may_weaken {
                    bail!(anyhow::Error::from(error).context(Advice {
                        problem: "no namespaces can be made here".to_owned(),
                        hint: "in a build stage, --confine=stage does without: a test runs in a chroot, a traced \
                               command right here"
                            .to_owned(),
                    }));
                }
                self.printer.line(format_args!("{error}; going on without, as magicpak does"));
                Ok(run(weak)?)
            }
            other => Ok(other?),
        }
    }

    /// Shows what a command printed.
    fn show(&self, outcome: &Outcome, print: impl Fn(&Printer, String)) {
        for Captured { bytes, cut } in [&outcome.stdout, &outcome.stderr] {
            let text = String::from_utf8_lossy(bytes);
            for line in text.lines() {
                print(
                    self.printer,
                    format!(
                        "  | {}",
                        line.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
                    ),
                );
            }
            if *cut {
                print(self.printer, "  | ...".to_owned());
            }
        }
    }
}

fn program() -> Program {
    Program::current_executable(SANDBOX_INIT)
}

fn describe(status: Status) -> String {
    match status {
        Status::Exited(status) => format!("ended with status {status}"),
        Status::Signaled(signal) => format!("was ended by signal {signal}"),
        Status::TimedOut => "took too long (see --time-limit)".to_owned(),
        Status::OutOfMemory => "took too much memory".to_owned(),
        Status::TooManyProcesses => "started too many processes".to_owned(),
    }
}

/// The commands to trace, in the order in which they are run.
fn traced_commands(cli: &Cli, job: &Job) -> anyhow::Result<Vec<Vec<OsString>>> {
    let mut commands = Vec::new();
    if cli.dynamic {
        let first = job.programs.first().context("cannot run the first root: it names no program")?;
        let words = std::iter::once(OsString::from_vec(first.as_bytes().to_vec()));
        commands.push(words.chain(cli.dynamic_arg.iter().cloned()).collect());
    }
    for text in &cli.trace_command {
        commands.push(match words::needs_shell(text) {
            true => ["/bin/sh", "-c", text.as_str()].map(OsString::from).into(),
            false => words::split(text)?.into_iter().map(OsString::from).collect(),
        });
    }
    if cli.trace {
        commands.push(cli.command.clone());
    } else if !cli.command.is_empty() {
        bail!("cannot tell what the command behind `--` is for: --trace is missing");
    }
    Ok(commands)
}

/// Whether anything is to be traced.
pub(crate) fn is_traced(cli: &Cli) -> bool {
    cli.dynamic || cli.trace || !cli.trace_command.is_empty() || !cli.command.is_empty()
}

/// A path that a command used and that was there.
struct UsedPath {
    asked: RootPath,
    real: RootPath,
    is_folder: bool,
}

/// What a command used, and how. Left out is the loader's cache, which names the libraries of the whole root.
fn used_paths(live: &LiveRoot, trace: &Trace) -> Vec<(UsedPath, &'static str)> {
    let mut seen = BTreeSet::new();
    let mut paths = Vec::new();
    for (path, access) in trace.files.iter().filter(|(_, access)| access.found) {
        let Ok(asked) = RootPath::parse(path) else { continue };
        if asked.as_bytes() == b"/etc/ld.so.cache" || asked.is_root() || !seen.insert(asked.clone()) {
            continue;
        }
        let real = live.resolve(&asked).map_or_else(|_| asked.clone(), |resolved| resolved.path);
        let Some(entry) = live.get(&real) else { continue };
        let used = match access.used {
            Use::Executed => "executed",
            Use::Opened => "opened",
            Use::LookedUp => "looked up",
        };
        paths.push((UsedPath { asked, is_folder: entry.is_directory(), real }, used));
    }
    paths
}

struct Test {
    name: String,
    command: TestCommand,
    stdout: Option<String>,
}

enum TestCommand {
    Program(RootPath),
    Text(String),
}

impl Test {
    /// The test that is asked for, if any.
    fn new(cli: &Cli, job: &Job) -> anyhow::Result<Option<Self>> {
        let text = cli.test_command.clone().or_else(|| cli.test.clone().flatten());
        if cli.test.is_none() && text.is_none() && cli.test_stdout.is_none() && cli.test_stdin.is_none() {
            return Ok(None);
        }
        let (name, command) = match text {
            Some(text) => (text.clone(), TestCommand::Text(text)),
            None => {
                let first =
                    job.programs.first().context("cannot test the first root: it names no program")?;
                let place = job.install_to.as_ref().map(|to| to.place(first.name())).transpose()?;
                let path = place.unwrap_or_else(|| first.clone());
                (path.to_string(), TestCommand::Program(path))
            }
        };
        Ok(Some(Self { name, command, stdout: cli.test_stdout.clone() }))
    }

    /// What is wrong with what the test printed. White space around it makes no difference.
    fn mismatch(&self, printed: &Captured) -> Option<String> {
        let wanted = self.stdout.as_ref()?.as_bytes();
        let found = printed.bytes.as_slice();
        (printed.cut || wanted.trim_ascii() != found.trim_ascii())
            .then(|| format!("did not print what was expected, `{}`", wanted.escape_ascii()))
    }
}
