//! The program of this crate's tests, on both sides. Outside it is the sandbox's init (`sandbox-init`) and a caller
//! that can be killed (`call`); inside, copied into the test's root with the libraries it needs, it is the command
//! that looks around and misbehaves. It prints what it found; the tests compare.
#![expect(clippy::print_stdout, reason = "its output is what the tests read")]
#![expect(clippy::disallowed_methods, reason = "it prints the bare errors of the system")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::mount::MountFlags;
use rustix::process::Signal;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> io::Result<ExitCode> {
    match args {
        ["sandbox-init"] => sandbox::init_main(),
        ["call", root, program, args @ ..] => call(root, program, args, sandbox::run)?,
        ["call-on-terminal", root, program, args @ ..] => {
            call(root, program, args, |init, root, command| {
                let streams = sandbox::Streams::Terminal;
                sandbox::run(init, root, &sandbox::Command { streams, ..command.clone() })
            })?;
        }
        // As the kernel starts an emulator: the program, the first argument that it was given, and the others.
        ["/bin/foreign", first, rest @ ..] => println!("emulated as {first} with {rest:?}"),
        ["call-traced", root, program, args @ ..] => {
            call(root, program, args, |init, root, command| Ok(sandbox::trace(init, root, command)?.0))?;
        }
        ["trace", root, program, args @ ..] => trace(root, program, args)?,
        ["exit", status] => return Ok(ExitCode::from(status.parse::<u8>().unwrap_or(255))),
        ["kill-self", "TERM"] => rustix::process::kill_process(rustix::process::getpid(), Signal::TERM)?,
        ["kill-self", "KILL"] => rustix::process::kill_process(rustix::process::getpid(), Signal::KILL)?,
        ["echo-args", rest @ ..] => println!("{rest:?}"),
        ["environment"] => environment(),
        ["identity"] => identity()?,
        ["status", field] => status(field)?,
        ["list", path] => list(path)?,
        ["read", path] => print!("{}", fs::read_to_string(path)?),
        ["write", path, text] => report(fs::write(path, text)),
        ["remove", path] => report(fs::remove_file(path)),
        ["mode", path] => mode(path)?,
        ["devices"] => devices()?,
        ["stdin"] => println!("{}", io::read_to_string(io::stdin())?),
        ["fill", first, first_bytes, second, second_bytes] => {
            report(fill(first, number(first_bytes)));
            report(fill(second, number(second_bytes)));
        }
        ["flood", bytes] => flood(number(bytes))?,
        ["allocate", bytes] => println!("{}", allocate(number(bytes)).is_some()),
        ["allocate-and-sleep", bytes] => allocate_and_sleep(number(bytes)),
        ["allocate-in-children", count, bytes] => allocate_in_children(number(count), bytes)?,
        ["bomb", limit] => println!("{}", bomb(number(limit))?),
        ["leave", rest @ ..] => leave(rest)?,
        ["leave-and-sleep", token] => {
            leave(&["sleep", token])?;
            sleep();
        }
        ["orphans", count] => orphans(number(count))?,
        ["sleep", ..] => sleep(),
        ["size"] => size()?,
        ["look", count, path] => (0..number(count)).for_each(|_| _ = fs::metadata(path)),
        ["threads", count, looks] => threads(number(count), number(looks)),
        ["children", count] => children(number(count))?,
        ["kill-children", count] => kill_children(number(count))?,
        ["execute-in-thread", program, args @ ..] => execute_in_thread(program, args)?,
        ["hide-and-look", path] => {
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
            report(fs::metadata(path));
        }
        ["mount"] => report(rustix::mount::mount("t", "/tmp", "tmpfs", MountFlags::empty(), None)),
        ["interfaces"] => interfaces()?,
        ["listen", port] => report(TcpListener::bind(("127.0.0.1", port.parse().unwrap_or(0)))),
        ["connect", address] => report(TcpStream::connect(address)),
        ["connect-to-itself", address] => {
            report(
                TcpListener::bind(address).and_then(|listener| TcpStream::connect(listener.local_addr()?)),
            );
        }
        _ => println!("error: unknown arguments {args:?}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command as the tests do, with this process's own input and output, and waits for it.
fn call(
    root: &str,
    program: &str,
    args: &[&str],
    run: impl Fn(
        &sandbox::Program,
        &sandbox::Root,
        &sandbox::Command,
    ) -> Result<sandbox::Outcome, sandbox::SandboxError>,
) -> io::Result<()> {
    let init = sandbox::Program::current_executable("sandbox-init");
    let mut command = sandbox::Command::new(program);
    command.args = args.iter().map(Into::into).collect();
    command.streams = sandbox::Streams::Attached;
    let root = place(root);
    if root == sandbox::Root::InPlace {
        command.uid = rustix::process::getuid().as_raw();
        command.gid = rustix::process::getgid().as_raw();
    }
    match run(&init, &root, &command) {
        Ok(outcome) => println!("{:?}", outcome.status),
        Err(error) => {
            let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            return Err(io::Error::other(format!("{error}{hint}")));
        }
    }
    Ok(())
}

/// A folder, one to become the root by `chroot:` in front of it, or in place where there is none.
fn place(root: &str) -> sandbox::Root {
    match root.strip_prefix("chroot:") {
        Some(folder) => sandbox::Root::Chroot(PathBuf::from(folder)),
        None if root.is_empty() => sandbox::Root::InPlace,
        None => sandbox::Root::Layers(vec![PathBuf::from(root)]),
    }
}

/// Traces a command, as the user who calls.
fn trace(root: &str, program: &str, args: &[&str]) -> io::Result<()> {
    let init = sandbox::Program::current_executable("sandbox-init");
    let mut command = sandbox::Command::new(program);
    command.args = args.iter().map(Into::into).collect();
    command.uid = rustix::process::getuid().as_raw();
    command.gid = rustix::process::getgid().as_raw();
    command.env.insert("PATH".into(), "/usr/bin:/bin".into());
    match sandbox::trace(&init, &place(root), &command) {
        Ok((outcome, trace)) => {
            io::stdout().write_all(&outcome.stdout.bytes)?;
            io::stdout().write_all(&outcome.stderr.bytes)?;
            println!("{:?} after {:?}", outcome.status, outcome.duration);
            for (path, access) in trace.files {
                let found = if access.found { "" } else { ", not found" };
                println!("{:?}{found}: {}", access.used, path.escape_ascii());
            }
        }
        Err(error) => {
            let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            return Err(io::Error::other(format!("{error}{hint}")));
        }
    }
    Ok(())
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_default()
}

fn report<T, E: Into<io::Error>>(result: Result<T, E>) {
    match result.map_err(Into::into) {
        Ok(_) => println!("done"),
        Err(error) => println!("errno {}", error.raw_os_error().unwrap_or_default()),
    }
}

fn environment() {
    for (name, value) in std::env::vars() {
        println!("{name}={value}");
    }
}

fn identity() -> io::Result<()> {
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    let here = std::env::current_dir()?;
    let session = rustix::process::getsid(None)?.as_raw_nonzero();
    let group = rustix::process::getpgrp().as_raw_nonzero();
    let name = rustix::system::uname();
    println!("uid {uid} gid {gid} in {} on {}", here.display(), name.nodename().to_string_lossy());
    println!("pid {} session {session} group {group}", std::process::id());
    println!("umask {:o}", rustix::process::umask(rustix::fs::Mode::empty()).as_raw_mode());
    Ok(())
}

fn status(field: &str) -> io::Result<()> {
    for line in fs::read_to_string("/proc/self/status")?.lines() {
        if line.starts_with(field) {
            println!("{line}");
        }
    }
    Ok(())
}

fn list(path: &str) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().display().to_string());
    }
    names.sort();
    println!("{}", names.join(" "));
    Ok(())
}

fn mode(path: &str) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)?;
    println!("{:o} {} {}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    Ok(())
}

fn devices() -> io::Result<()> {
    let mut zeros = [1; 4];
    fs::File::open("/dev/zero")?.read_exact(&mut zeros)?;
    println!("zero {zeros:?}");
    println!("null {:?}", fs::read("/dev/null")?);
    println!("full {:?}", fs::write("/dev/full", "x").map_err(|error| error.kind()));
    let mut random = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    fs::File::open("/dev/random")?.read_exact(&mut random)?;
    println!("random {}", random != [0; 32]);
    println!("tty {:?}", fs::File::open("/dev/tty").err().and_then(|error| error.raw_os_error()));
    println!("ptmx {}", fs::File::options().read(true).write(true).open("/dev/ptmx").is_ok());
    fs::write("/dev/shm/x", "shared")?;
    fs::write("/dev/stdout", "stdout by name\n")?;
    fs::write("/dev/stderr", "stderr by name\n")
}

fn fill(path: &str, bytes: usize) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    let block = vec![1; 64 << 10];
    for _ in 0..bytes / block.len() {
        file.write_all(&block)?;
    }
    Ok(())
}

fn flood(bytes: usize) -> io::Result<()> {
    let block = vec![b'x'; 1000];
    for _ in 0..bytes / block.len() {
        io::stdout().write_all(&block)?;
        io::stderr().write_all(&block)?;
    }
    Ok(())
}

/// Memory that was touched; none if it was not to be had.
fn allocate(bytes: usize) -> Option<Vec<u8>> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(bytes).ok()?;
    memory.resize(bytes, 1);
    Some(std::hint::black_box(memory))
}

fn allocate_and_sleep(bytes: usize) {
    let memory = allocate(bytes);
    sleep();
    drop(memory);
}

fn myself(args: &[&str]) -> Command {
    // In a root without /proc.
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/bin/probe"));
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn allocate_in_children(count: usize, bytes: &str) -> io::Result<()> {
    for _ in 0..count {
        myself(&["allocate-and-sleep", bytes]).stdout(Stdio::null()).spawn()?;
    }
    sleep();
    Ok(())
}

/// Starts sleepers until that fails or `limit` are there; how many there are.
fn bomb(limit: usize) -> io::Result<usize> {
    for count in 0..limit {
        match myself(&["sleep"]).stdout(Stdio::null()).spawn() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
            Err(error) => return Err(error),
        }
    }
    sleep();
    Ok(limit)
}

/// Leaves a process behind, in a group of its own, that keeps the output open.
fn leave(args: &[&str]) -> io::Result<()> {
    myself(args).process_group(0).stdin(Stdio::null()).spawn()?;
    println!("left behind");
    Ok(())
}

/// Makes orphans, waits until the init has taken note of their end, and counts what is left in `/proc`.
fn orphans(count: usize) -> io::Result<()> {
    for _ in 0..count {
        myself(&["leave", "exit", "0"]).stdout(Stdio::null()).status()?;
    }
    loop {
        let others = fs::read_dir("/proc")?.flatten().filter(|entry| is_other_process(&entry.path())).count();
        if others == 0 {
            println!("all reaped");
            return Ok(());
        }
        std::thread::yield_now();
    }
}

/// Threads that each look for files of their own that are absent.
fn threads(count: usize, looks: usize) {
    std::thread::scope(|scope| {
        for thread in 0..count {
            let look = move |look| _ = fs::metadata(format!("/absent/{thread}/{look}"));
            scope.spawn(move || (0..looks).for_each(look));
        }
    });
}

/// Children that each look for a file of their own that is absent, twenty at a time.
fn children(count: usize) -> io::Result<()> {
    for first in (0..count).step_by(20) {
        let start = |child: usize| myself(&["look", "1", &format!("/absent/{child}")]).spawn();
        let started = (first..count.min(first + 20)).map(start).collect::<io::Result<Vec<_>>>()?;
        for mut child in started {
            child.wait()?;
        }
    }
    Ok(())
}

/// Children that do nothing but look for a file, killed while they do.
fn kill_children(count: usize) -> io::Result<()> {
    for _ in 0..count {
        let mut child = myself(&["look", "18446744073709551615", "/absent/child"]).spawn()?;
        // On one busy processor the two may take turns such that the child never waits when it is looked at.
        for _ in 0..1000 {
            if fs::read_to_string(format!("/proc/{}/wchan", child.id()))?.contains("seccomp") {
                break;
            }
            std::thread::yield_now();
        }
        child.kill()?;
        child.wait()?;
    }
    report(fs::metadata("/absent/last"));
    Ok(())
}

fn execute_in_thread(program: &str, args: &[&str]) -> io::Result<()> {
    let execute = || Command::new(program).args(args).exec();
    Err(std::thread::scope(|scope| scope.spawn(execute).join()).unwrap_or_else(|_| io::Error::other("panic")))
}

fn is_other_process(path: &Path) -> bool {
    let number = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    number.is_some_and(|number| number != 1 && number != std::process::id())
}

fn sleep() {
    println!("asleep");
    std::thread::sleep(Duration::from_secs(1_000_000));
}

fn size() -> io::Result<()> {
    let size = rustix::termios::tcgetwinsize(io::stdin())?;
    println!("{} rows, {} columns", size.ws_row, size.ws_col);
    Ok(())
}

fn interfaces() -> io::Result<()> {
    for line in fs::read_to_string("/proc/net/dev")?.lines().skip(2) {
        println!("{}", line.split(':').next().unwrap_or_default().trim());
    }
    println!("routes {}", fs::read_to_string("/proc/net/route")?.lines().skip(1).count());
    Ok(())
}
