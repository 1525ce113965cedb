//! The pages. Everything but the answer to "why is this file here" is in them as text.
#![expect(clippy::format_collect, reason = "a page is small, and a template reads as what it makes")]

use schema::run::{CheckOutcome, CheckRecord, ImageRecord};

use super::history::History;
use super::{SiteImage, treemap};
use crate::markup::escape;
use crate::size::{megabytes, readable};

/// What is not known.
const UNKNOWN: &str = "-";

/// The file name of an image's page.
pub(crate) fn name(image: &ImageRecord) -> String {
    format!("{}-{}.html", image.name.replace([':', '/'], "-"), image.architecture)
}

/// The page of all images.
pub(crate) fn index(images: &[SiteImage<'_>]) -> String {
    let rows = images.iter().map(|SiteImage { record, .. }| {
        vec![
            Cell::Html(format!("<a href=\"{}\">{}</a>", escape(&name(record)), escape(&record.name))),
            Cell::text(record.architecture),
            Cell::text(&record.ruby),
            Cell::number(megabytes(record.disk)),
            Cell::number(megabytes(record.pull)),
            Cell::number(record.zstd.map_or_else(|| UNKNOWN.to_owned(), megabytes)),
            Cell::number(record.files),
            Cell::number(record.packages.len()),
            Cell::number(checks(record)),
        ]
    });
    let heads = [
        "Image",
        "Architecture",
        "Ruby",
        "On disk",
        "To pull, gzip",
        "To pull, zstd",
        "Files",
        "Packages",
        "Checks passed",
    ];
    let table = table(&heads, rows);
    page(
        "Distroless Ruby images",
        &[],
        &format!(
            "<h1>Distroless Ruby images</h1>\n<p>MB are 10<sup>6</sup> bytes. On disk: the files of the unpacked image. \
             To pull: the compressed layers and the configuration.</p>\n{table}\
             <p><img src=\"sizes.svg\" alt=\"The sizes beside those of other images\"></p>\n"
        ),
    )
}

/// The page of one image; `data` are the scripts with what is in it.
pub(crate) fn image<'a>(
    SiteImage { record, listing, .. }: &SiteImage<'_>,
    data: impl Iterator<Item = &'a String>,
    history: &History,
) -> String {
    let data: Vec<&str> = data.map(String::as_str).collect();
    let sections = [
        head(record),
        question(),
        section(
            "sizes",
            "Where the bytes are",
            &format!(
                "<h3>By package</h3>\n{}<h3>By folder</h3>\n{}",
                treemap::packages(listing),
                treemap::folders(listing)
            ),
        ),
        section("layers", "Layers", &layers(record)),
        section("packages", "Packages", &packages(record)),
        section("rules", "What rules saved", &rules(record)),
        section("checks", "Checks", &check_list(record)),
        section("needs", "Needs that are open", &needs(record)),
        section("history", "History", &past(record, history)),
    ];
    let title = format!("{}, {}", record.name, record.architecture);
    page(&title, &data, &sections.concat())
}

fn page(title: &str, data: &[&str], main: &str) -> String {
    let title = escape(title);
    let script = |path: &&str| format!("<script src=\"{path}\" defer></script>\n");
    let scripts: String =
        if data.is_empty() { String::new() } else { ["site.js"].iter().chain(data).map(script).collect() };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"site.css\">\n{scripts}</head>\n<body>\n\
         <nav><a href=\"index.html\">All images</a></nav>\n<main>\n{main}</main>\n</body>\n</html>\n"
    )
}

fn section(id: &str, title: &str, content: &str) -> String {
    format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{content}</section>\n")
}

fn head(record: &ImageRecord) -> String {
    let zstd = record.zstd.map_or_else(String::new, |zstd| format!(", {} in zstd", megabytes(zstd)));
    let also: Vec<String> =
        record.references.iter().map(|reference| format!("<code>{}</code>", escape(reference))).collect();
    format!(
        "<h1>{}</h1>\n<dl>\n<dt>Ruby</dt><dd>{} on {}, {}</dd>\n<dt>On disk</dt><dd>{} in {} files</dd>\n\
         <dt>To pull</dt><dd>{} in gzip{zstd}</dd>\n<dt>Names</dt><dd>{}</dd>\n<dt>Manifest</dt><dd><code>{}</code></dd>\n</dl>\n",
        escape(&record.name),
        escape(&record.ruby),
        escape(&record.distro),
        record.architecture,
        megabytes(record.disk),
        record.files,
        megabytes(record.pull),
        also.join(" "),
        record.manifest,
    )
}

fn question() -> String {
    section(
        "why",
        "Why is this file here?",
        "<form role=\"search\">\n<label for=\"query\">A path, or a part of it</label>\n\
         <input id=\"query\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" \
         placeholder=\"libyaml\">\n</form>\n<noscript><p>The answers need JavaScript; the rest of the page does not.</p></noscript>\n\
         <div id=\"answer\" aria-live=\"polite\"></div>\n",
    )
}

fn layers(record: &ImageRecord) -> String {
    let rows = record.layers.iter().map(|layer| {
        vec![
            Cell::text(&layer.name),
            Cell::number(megabytes(layer.disk)),
            Cell::number(megabytes(layer.size)),
            Cell::number(layer.files),
            Cell::Html(format!("<code>{}</code>", layer.digest)),
        ]
    });
    table(&["Layer", "On disk", "To pull", "Files", "Digest"], rows)
}

fn packages(record: &ImageRecord) -> String {
    let mut packages: Vec<_> = record.packages.iter().collect();
    packages.sort_by(|one, other| other.disk.cmp(&one.disk).then_with(|| one.name.cmp(&other.name)));
    let rows = packages.into_iter().map(|package| {
        let name = escape(&package.name);
        vec![
            Cell::Html(format!("<a href=\"#package={name}\">{name}</a>")),
            Cell::text(&package.version),
            Cell::number(readable(package.disk)),
            Cell::number(package.files),
        ]
    });
    table(&["Package", "Version", "On disk", "Files"], rows)
}

fn rules(record: &ImageRecord) -> String {
    let dropped =
        record.dropped.iter().map(|rule| (&rule.name, "left out", rule.disk, rule.files, &rule.why));
    let shrunk =
        record.shrunk.iter().map(|rule| (&rule.name, "made smaller", rule.saved, rule.files, &rule.why));
    let mut rules: Vec<_> = dropped.chain(shrunk).collect();
    rules.sort_by(|one, other| other.2.cmp(&one.2).then_with(|| one.0.cmp(other.0)));
    let rows = rules.into_iter().map(|(name, how, saved, files, why)| {
        vec![
            Cell::text(name),
            Cell::text(how),
            Cell::number(readable(saved)),
            Cell::number(files),
            Cell::text(why),
        ]
    });
    table(&["Rule", "Its files are", "Saved", "Files", "Why"], rows)
}

fn checks(record: &ImageRecord) -> String {
    match record.checks.len() {
        0 => "not run".to_owned(),
        all => format!("{} of {all}", record.checks_passed()),
    }
}

fn check_list(record: &ImageRecord) -> String {
    if record.checks.is_empty() {
        return "<p>None was run.</p>\n".to_owned();
    }
    record.checks.iter().map(check).collect()
}

fn check(CheckRecord { name, proves, outcome, milliseconds }: &CheckRecord) -> String {
    let said = |output: &str, errors: &str| {
        let shown = |title: &str, text: &str| match text.is_empty() {
            true => String::new(),
            false => format!("<h4>{title}</h4>\n<pre>{}</pre>\n", escape(text)),
        };
        shown("Output", output) + &shown("Errors", errors)
    };
    let (class, word, more) = match outcome {
        CheckOutcome::Passed { output } => ("passed", "passed", said(output, "")),
        CheckOutcome::NotRun { why } => ("not-run", "not run", format!("<p>{}</p>\n", escape(why))),
        CheckOutcome::Failed { message, output, errors } => {
            ("failed", "FAILED", format!("<p>{}</p>\n{}", escape(message), said(output, errors)))
        }
    };
    let open = if class == "failed" { " open" } else { "" };
    format!(
        "<details class=\"{class}\"{open}><summary>{word}: {} <span class=\"time\">{milliseconds} ms</span></summary>\n\
         <p>Proves: {}</p>\n{more}</details>\n",
        escape(name),
        escape(proves)
    )
}

fn needs(record: &ImageRecord) -> String {
    let accepted = record.accepted.iter().map(|accepted| {
        format!("<li><code>{}</code>: accepted, {}</li>\n", escape(&accepted.finding), escape(&accepted.why))
    });
    let undecided = record.undecided.iter().map(|finding| format!("<li>{}</li>\n", escape(finding)));
    let items: String = accepted.chain(undecided).collect();
    match items.is_empty() {
        true => "<p>None.</p>\n".to_owned(),
        false => format!("<ul>\n{items}</ul>\n"),
    }
}

fn past(record: &ImageRecord, history: &History) -> String {
    let rows = history.of(record).map(|(date, past)| {
        vec![
            Cell::text(date),
            Cell::text(&past.ruby),
            Cell::number(readable(past.disk)),
            Cell::number(readable(past.pull)),
            Cell::number(past.zstd.map_or_else(|| UNKNOWN.to_owned(), readable)),
            Cell::Html(format!("<code>{}</code>", past.manifest)),
        ]
    });
    table(&["Packages of", "Ruby", "On disk", "To pull, gzip", "To pull, zstd", "Manifest"], rows)
}

/// What is in a cell of a table.
enum Cell {
    Text(String),
    Number(String),
    Html(String),
}

impl Cell {
    fn text(text: impl std::fmt::Display) -> Self {
        Self::Text(format!("{text}"))
    }

    fn number(number: impl std::fmt::Display) -> Self {
        Self::Number(format!("{number}"))
    }
}

/// A table that scrolls by itself where a screen is narrow.
fn table(heads: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    let rows: String = rows
        .map(|cells| {
            let cells: String = cells
                .into_iter()
                .map(|cell| match cell {
                    Cell::Text(text) => format!("<td>{}</td>", escape(&text)),
                    Cell::Number(number) => format!("<td class=\"number\">{}</td>", escape(&number)),
                    Cell::Html(html) => format!("<td>{html}</td>"),
                })
                .collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    format!(
        "<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use schema::run::{AcceptRecord, RunRecord, VERSION};

    use super::*;
    use crate::fixture;

    #[test]
    fn a_page_says_everything_of_an_image() {
        let mut record = fixture::image("ruby:3.3-trixie", &[true, false]);
        record.accepted =
            vec![AcceptRecord { finding: "file:/usr/lib/<x>".to_owned(), why: "nobody asks".to_owned() }];
        record.undecided = vec!["/usr/lib/a.rb:1: opens what it is given".to_owned()];
        let run = RunRecord { version: VERSION, images: vec![record.clone()] };
        let history = History::default().with("2026-11-20", &run);
        let listing = fixture::listing();
        let shown = SiteImage { record: &record, listing: &listing, is_charted: true };
        let data = ["data/one.js".to_owned()];
        insta::assert_snapshot!(image(&shown, data.iter(), &history), @r##"
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <title>ruby:3.3-trixie, amd64</title>
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="site.css">
        <script src="site.js" defer></script>
        <script src="data/one.js" defer></script>
        </head>
        <body>
        <nav><a href="index.html">All images</a></nav>
        <main>
        <h1>ruby:3.3-trixie</h1>
        <dl>
        <dt>Ruby</dt><dd>3.3.8 on trixie, amd64</dd>
        <dt>On disk</dt><dd>35.7 MB in 3657 files</dd>
        <dt>To pull</dt><dd>11.8 MB in gzip</dd>
        <dt>Names</dt><dd><code>ruby:3.3-trixie</code></dd>
        <dt>Manifest</dt><dd><code>sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f</code></dd>
        </dl>
        <section id="why">
        <h2>Why is this file here?</h2>
        <form role="search">
        <label for="query">A path, or a part of it</label>
        <input id="query" type="search" autocomplete="off" spellcheck="false" placeholder="libyaml">
        </form>
        <noscript><p>The answers need JavaScript; the rest of the page does not.</p></noscript>
        <div id="answer" aria-live="polite"></div>
        </section>
        <section id="sizes">
        <h2>Where the bytes are</h2>
        <h3>By package</h3>
        <div class="map" role="group" aria-label="Sizes by package">
        <a href="#package=libc6" class="hue0" title="libc6: 2.0 MB, 1 file" style="left:0.00%;top:0.00%;width:98.86%;height:100.00%"><b>libc6</b> 2.0 MB</a>
        <a href="#package=ruby3.3" class="hue1" title="ruby3.3: 14.0 kB, 1 file" style="left:98.86%;top:0.00%;width:1.14%;height:60.84%"><b>ruby3.3</b> 14.0 kB</a>
        <a href="#package=libx" class="hue2" title="libx: 9.0 kB, 2 files" style="left:98.86%;top:60.84%;width:1.14%;height:39.11%"><b>libx</b> 9.0 kB</a>
        <a href="#package=" class="hue3" title="made for the image: 12 bytes, 1 file" style="left:98.86%;top:99.95%;width:1.14%;height:0.05%"><b>made for the image</b> 12 bytes</a>
        </div>
        <h3>By folder</h3>
        <div class="map" role="group" aria-label="Sizes by folder">
        <a href="#/usr/lib/libc.so.6" class="hue0" title="/usr/lib/libc.so.6: 2.0 MB, 1 file" style="left:0.00%;top:0.00%;width:98.86%;height:100.00%"><b>/usr/lib/libc.so.6</b> 2.0 MB</a>
        <a href="#folder=/usr/" class="hue1" title="/usr/…: 14.0 kB, 1 file" style="left:98.86%;top:0.00%;width:1.14%;height:60.84%"><b>/usr/…</b> 14.0 kB</a>
        <a href="#folder=/usr/lib/" class="hue2" title="/usr/lib/…: 9.0 kB, 2 files" style="left:98.86%;top:60.84%;width:1.14%;height:39.11%"><b>/usr/lib/…</b> 9.0 kB</a>
        <a href="#folder=/" class="hue3" title="/…: 12 bytes, 1 file" style="left:98.86%;top:99.95%;width:1.14%;height:0.05%"><b>/…</b> 12 bytes</a>
        </div>
        </section>
        <section id="layers">
        <h2>Layers</h2>
        <div class="wide" tabindex="0"><table>
        <thead><tr><th scope="col">Layer</th><th scope="col">On disk</th><th scope="col">To pull</th><th scope="col">Files</th><th scope="col">Digest</th></tr></thead>
        <tbody>
        </tbody>
        </table></div>
        </section>
        <section id="packages">
        <h2>Packages</h2>
        <div class="wide" tabindex="0"><table>
        <thead><tr><th scope="col">Package</th><th scope="col">Version</th><th scope="col">On disk</th><th scope="col">Files</th></tr></thead>
        <tbody>
        <tr><td><a href="#package=libc6">libc6</a></td><td>1</td><td class="number">1 bytes</td><td class="number">1</td></tr>
        <tr><td><a href="#package=libruby3.3">libruby3.3</a></td><td>1</td><td class="number">1 bytes</td><td class="number">1</td></tr>
        </tbody>
        </table></div>
        </section>
        <section id="rules">
        <h2>What rules saved</h2>
        <div class="wide" tabindex="0"><table>
        <thead><tr><th scope="col">Rule</th><th scope="col">Its files are</th><th scope="col">Saved</th><th scope="col">Files</th><th scope="col">Why</th></tr></thead>
        <tbody>
        </tbody>
        </table></div>
        </section>
        <section id="checks">
        <h2>Checks</h2>
        <details class="passed"><summary>passed: ruby -v <span class="time">9 ms</span></summary>
        <p>Proves: it starts</p>
        <h4>Output</h4>
        <pre>ruby 3.3.8
        </pre>
        </details>
        <details class="failed" open><summary>FAILED: ruby -v <span class="time">9 ms</span></summary>
        <p>Proves: it starts</p>
        <p>expected 3</p>
        </details>
        </section>
        <section id="needs">
        <h2>Needs that are open</h2>
        <ul>
        <li><code>file:/usr/lib/&lt;x&gt;</code>: accepted, nobody asks</li>
        <li>/usr/lib/a.rb:1: opens what it is given</li>
        </ul>
        </section>
        <section id="history">
        <h2>History</h2>
        <div class="wide" tabindex="0"><table>
        <thead><tr><th scope="col">Packages of</th><th scope="col">Ruby</th><th scope="col">On disk</th><th scope="col">To pull, gzip</th><th scope="col">To pull, zstd</th><th scope="col">Manifest</th></tr></thead>
        <tbody>
        <tr><td>2026-11-20</td><td>3.3.8</td><td class="number">35.7 MB</td><td class="number">11.8 MB</td><td class="number">-</td><td><code>sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f</code></td></tr>
        </tbody>
        </table></div>
        </section>
        </main>
        </body>
        </html>
        "##);
        insta::assert_snapshot!(index(&[shown]), @r#"
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <title>Distroless Ruby images</title>
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="site.css">
        </head>
        <body>
        <nav><a href="index.html">All images</a></nav>
        <main>
        <h1>Distroless Ruby images</h1>
        <p>MB are 10<sup>6</sup> bytes. On disk: the files of the unpacked image. To pull: the compressed layers and the configuration.</p>
        <div class="wide" tabindex="0"><table>
        <thead><tr><th scope="col">Image</th><th scope="col">Architecture</th><th scope="col">Ruby</th><th scope="col">On disk</th><th scope="col">To pull, gzip</th><th scope="col">To pull, zstd</th><th scope="col">Files</th><th scope="col">Packages</th><th scope="col">Checks passed</th></tr></thead>
        <tbody>
        <tr><td><a href="ruby-3.3-trixie-amd64.html">ruby:3.3-trixie</a></td><td>amd64</td><td>3.3.8</td><td class="number">35.7 MB</td><td class="number">11.8 MB</td><td class="number">-</td><td class="number">3657</td><td class="number">2</td><td class="number">1 of 2</td></tr>
        </tbody>
        </table></div>
        <p><img src="sizes.svg" alt="The sizes beside those of other images"></p>
        </main>
        </body>
        </html>
        "#);
    }

    #[test]
    fn a_name_is_one_of_a_file() {
        let image = fixture::image("team/ruby:3.3-trixie", &[]);
        assert_eq!(name(&image), "team-ruby-3.3-trixie-amd64.html");
    }
}
