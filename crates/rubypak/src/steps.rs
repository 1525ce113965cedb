//! The steps of a run, in their order: look, trace, judge, show, make, test, write.

use std::io;

use analyzer::{Closure, Request, analyze};
use anyhow::bail;
use rootfs::{LiveRoot, RootPath, Tree};

use crate::bundle::{self, Bundle};
use crate::cli::Cli;
use crate::ending::Ending;
use crate::job::Job;
use crate::json::{self, Report, Totals};
use crate::judgement::{self, Judged, Tolerance, Verdict};
use crate::minus::Bases;
use crate::output::Target;
use crate::printer::{Printer, count, megabytes};
use crate::running::{self, Missed, Runner};
use crate::{tree_view, why};

/// Does what the flags say.
pub(crate) fn run(cli: &Cli, printer: &Printer) -> anyhow::Result<Ending> {
    note_flags(cli, printer);
    // It is there until the end, when the system takes its memory faster than thousands of paths are given back.
    let live: &LiveRoot = Box::leak(Box::new(LiveRoot::open(&cli.root)?));
    let job = Job::new(cli, live)?;
    if let Some(target) = &job.target {
        if target.is_stdout() && (cli.json || cli.tree || cli.why.is_some()) {
            bail!("cannot write a tar and a report to standard output at once");
        }
        target.check()?;
    }
    let bases = Bases::read(&cli.minus)?;
    let runner = Runner::new(cli, &job, printer);

    let mut request = job.request.clone();
    let mut closure = analyze(live, &request);
    let mut missed = Vec::new();
    if running::is_traced(cli) {
        let Some(traced) = runner.trace(cli, &job, live, &closure)? else { return Ok(Ending::Bad) };
        (request, missed) = traced;
        closure = analyze(live, &request);
    }

    let tolerance = Tolerance { keys: &cli.accept, excludes: &job.excludes, bases: &bases };
    let judged = tolerance.judge(&closure);
    let unmet = judgement::unmet(&judged).count();
    let answer = Answer { live, request: &request, closure: &closure, judged: &judged, missed: &missed };
    if let Some(path) = &job.why {
        return answer.show_why(path, printer);
    }
    if !cli.json {
        show_findings(&judged, &missed, &tolerance, printer);
        for name in job.idle_excludes(&closure) {
            printer.line(format_args!("nothing is left out by {name}"));
        }
    }
    answer.show(cli, &bases, printer)?;
    if unmet > 0 {
        printer.error(format_args!(
            "{} not met",
            if unmet == 1 { "1 need is".into() } else { format!("{unmet} needs are") }
        ));
        if job.target.is_some() && !cli.dry_run {
            printer.error("nothing was written; --accept KEY goes on without one");
        }
        return Ok(Ending::Bad);
    }
    let tests = cli.test.is_some() || cli.test_command.is_some() || cli.test_stdout.is_some();
    if cli.dry_run || (job.target.is_none() && !tests) {
        return Ok(Ending::Good);
    }
    let bundle = bundle::make(live, &closure, &bases, &job)?;
    if !is_same_elsewhere(&job, &judged, &bundle, printer)? || !runner.test(cli, &job, live, &bundle.tree)? {
        return Ok(Ending::Bad);
    }
    if let Some(target) = &job.target {
        write(target, &bundle, printer)?;
    }
    Ok(Ending::Good)
}

/// Says what becomes of flags that mean nothing here.
fn note_flags(cli: &Cli, printer: &Printer) {
    let magicpak = &cli.magicpak;
    if magicpak.compress
        || magicpak.upx.is_some()
        || !magicpak.upx_arg.is_empty()
        || !magicpak.upx_option.is_empty()
    {
        printer.line(
            "--compress is not done: the layers of an image are compressed, and a program that unpacks itself takes its \
             memory anew in each process",
        );
    }
    if magicpak.cc.is_some() {
        printer.detail("--cc is not needed: no C compiler is");
    }
    if magicpak.experimental_noload_resolver {
        printer.detail("--experimental-noload-resolver is not needed: nothing is ever loaded");
    }
    if !cli.dynamic && !cli.dynamic_arg.is_empty() {
        printer.line("--dynamic-arg does nothing without --dynamic");
    }
    if !running::is_traced(cli) && cli.dynamic_stdin.is_some() {
        printer.line("--dynamic-stdin does nothing where no command is traced");
    }
}

fn show_findings(judged: &[Judged<'_>], missed: &[Missed], tolerance: &Tolerance<'_>, printer: &Printer) {
    let mut undecided = 0;
    for Judged { finding, key, verdict } in judged {
        match verdict {
            Verdict::Unmet => printer.error(format_args!("{finding}\n  key: {key}")),
            Verdict::Accepted(by) => printer.line(format_args!("accepted ({by}): {finding}")),
            Verdict::Undecided => {
                undecided += 1;
                printer.detail(format_args!("undecided: {finding}"));
            }
        }
    }
    if undecided > 0 && !printer.is_verbose() {
        printer.line(format_args!(
            "{} cannot be decided without a run; --verbose lists them, --trace runs a command",
            count(undecided, "need")
        ));
    }
    for Missed { path, command } in missed {
        printer.line(format_args!("only the trace of `{command}` leads to {path}"));
    }
    for key in tolerance.unused(judged) {
        printer.line(format_args!("nothing is accepted by the key `{key}`"));
    }
}

/// What was found out.
struct Answer<'a> {
    live: &'a LiveRoot,
    request: &'a Request,
    closure: &'a Closure,
    judged: &'a [Judged<'a>],
    missed: &'a [Missed],
}

impl Answer<'_> {
    fn show_why(&self, path: &RootPath, printer: &Printer) -> anyhow::Result<Ending> {
        let mut is_kept = false;
        printer.result(|out| {
            is_kept = why::explain(self.live, self.request, self.closure, path, out)?;
            Ok(())
        })?;
        Ok(if is_kept { Ending::Good } else { Ending::Bad })
    }

    /// Prints the report that is asked for.
    fn show(&self, cli: &Cli, bases: &Bases, printer: &Printer) -> io::Result<()> {
        if cli.tree {
            return printer.result(|out| tree_view::write(self.live, self.closure, self.judged, out));
        }
        if !cli.json && !cli.dry_run && !printer.is_verbose() {
            return Ok(());
        }
        let kept: Vec<_> = bundle::kept(self.live, self.closure, bases).collect();
        if cli.json {
            let owners = json::owners(self.live, &kept);
            let report = Report::new(self.closure, &kept, self.judged, self.missed, &owners);
            return printer.result(|out| {
                serde_json::to_writer_pretty(&mut *out, &report)?;
                writeln!(out)
            });
        }
        if printer.is_verbose() {
            for (path, _) in &kept {
                if let Some(reason) = self.closure.entries.get(*path).and_then(|reasons| reasons.first()) {
                    printer.detail(format_args!("{path}: {reason}"));
                }
            }
        } else {
            printer.result(|out| kept.iter().try_for_each(|(path, _)| writeln!(out, "{path}")))?;
        }
        if cli.dry_run {
            let totals = Totals::of(kept.iter().map(|(_, entry)| *entry));
            printer.line(format_args!("{}", describe(&totals)));
        }
        Ok(())
    }
}

/// Whether programs that were put elsewhere find the same there as where they were.
fn is_same_elsewhere(
    job: &Job,
    judged: &[Judged<'_>],
    bundle: &Bundle,
    printer: &Printer,
) -> anyhow::Result<bool> {
    let Some(to) = &job.install_to else { return Ok(true) };
    let places = job.programs.iter().map(|program| to.place(program.name()));
    let roots = places.map(|place| Ok(analyzer::Root::path(place?, "installed there")));
    let request =
        Request { roots: roots.collect::<anyhow::Result<_>>()?, drop: Vec::new(), ..job.request.clone() };
    let again = analyze(&bundle.tree, &request);
    let is_new = |finding: &&analyzer::Finding| {
        finding.severity() == analyzer::Severity::Unmet
            && !judged.iter().any(|known| known.finding.kind == finding.kind)
    };
    let new: Vec<_> = again.findings.iter().filter(is_new).collect();
    for finding in &new {
        printer.error(format_args!("{finding}, which it found where it was"));
    }
    Ok(new.is_empty())
}

fn write(target: &Target, bundle: &Bundle, printer: &Printer) -> anyhow::Result<()> {
    for (path, error) in &bundle.unstripped {
        printer.line(format_args!("{path} stays as it is: {error}"));
    }
    if target.is_folder()
        && crate::output::ownership() == rootfs::Ownership::Ignore
        && has_owners(&bundle.tree)
    {
        printer.line(
            "owners and extended attributes are not kept in a folder unless root writes it; a tar keeps them",
        );
    }
    target.write(&bundle.tree)?;
    let totals = Totals::of(bundle.tree.iter().map(|(_, entry)| entry));
    let stripped = match bundle.stripped {
        0 => String::new(),
        bytes => format!(", {} of symbols less", megabytes(bytes)),
    };
    printer.line(format_args!("wrote {}: {}{stripped}", target.name(), describe(&totals)));
    Ok(())
}

fn has_owners(tree: &Tree) -> bool {
    let own = rustix::process::geteuid().as_raw();
    tree.iter().any(|(_, entry)| {
        let metadata = &entry.metadata;
        (metadata.uid != own && metadata.uid != 0) || !metadata.xattrs.is_empty()
    })
}

fn describe(totals: &Totals) -> String {
    let Totals { files, folders, links, bytes } = totals;
    format!(
        "{}, {}, {}, {}",
        count(*files, "file"),
        count(*links, "link"),
        count(*folders, "folder"),
        megabytes(*bytes)
    )
}
