//! The report as a site: what a folder has after `report --html`, and what Chromium shows of it.

use std::process::Command;

use fs_err as fs;

use crate::mirror::Mirror;
use crate::project::Project;
use crate::skip;

fn project(mirror: &Mirror) -> Project {
    let project = Project::new(mirror);
    project.build();
    project
}

#[test]
fn a_site_is_written_into_a_folder_of_its_own() {
    let mirror = Mirror::start();
    let project = project(&mirror);
    insta::assert_snapshot!(project.run(&["report", "--html", "site"]), @"
    status 0
    -- errors
    wrote site/index.html
    ");
    let files = |project: &Project| -> Vec<String> {
        let mut names: Vec<String> = ["site", "site/data"]
            .iter()
            .flat_map(|folder| fs::read_dir(project.root.join(folder)).expect("a folder of the site"))
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let before = files(&project);
    let pages: Vec<&String> =
        before.iter().filter(|name| !name.contains(".js") || name.ends_with("json")).collect();
    insta::assert_debug_snapshot!(pages, @r#"
    [
        "data",
        "history.json",
        "index.html",
        "site.css",
        "sizes.svg",
        "tiny-3.3-trixie-amd64.html",
    ]
    "#);

    // Written again, it is the same; what an earlier site had goes.
    let page = project.read("site/tiny-3.3-trixie-amd64.html");
    project.write("site/tiny-3.2-trixie-amd64.html", "<p>An image that is not built any more.");
    project.write("site/CNAME", "ruby.example.org");
    project.run(&["report", "--html", "site"]).good();
    assert_eq!(project.read("site/tiny-3.3-trixie-amd64.html"), page);
    assert_eq!(project.read("site/CNAME"), "ruby.example.org");
    assert_eq!(files(&project).len(), before.len() + 1);

    project.write("else/file", "");
    insta::assert_snapshot!(project.run(&["report", "--html", "else"]), @"
    status 2
    -- errors
    error: else has files, and is no site
    hint: name a folder that is new, empty, or has an earlier site
    ");
    project.edit("images/tiny/passwd", "nonroot", "somebody");
    insta::assert_snapshot!(project.run(&["report", "--html", "site"]), @"
    status 2
    -- errors
    error: tiny:3.3-trixie was built from something else than what the project says now
    hint: run `cargo xtask build-all`
    ");
}

#[test]
fn runs_make_a_history() {
    let mirror = Mirror::start();
    let project = project(&mirror);
    project.run(&["report", "--html", "site"]).good();
    project.edit("site/history.json", "\"date\":\"", "\"date\":\"in the year before ");
    project.edit("images/tiny/passwd", "nonroot", "somebody");
    project.build();
    project.run(&["report", "--html", "site"]).good();
    let page = project.read("site/tiny-3.3-trixie-amd64.html");
    let (_, history) = page.split_once("id=\"history\"").expect("a history");
    assert_eq!(history.matches("<tr><td>").count(), 2, "{history}");
    assert!(history.contains("in the year before"), "{history}");
}

/// What Chromium makes of a page: its elements when nothing is left to do, and what it said on its console.
fn shown(project: &Project, page: &str) -> Result<(String, Vec<String>), String> {
    let profile = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}/site/{page}", project.root.display()))
        .output()
        .map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let console = errors.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), console))
}

/// The text of what a page answers, without its elements.
fn answer(document: &str) -> String {
    let (_, answer) = document.split_once("<div id=\"answer\"").expect("a place for answers");
    let (answer, _) = answer.split_once("</div>").expect("its end");
    let (_, answer) = answer.split_once('>').expect("its beginning");
    let lines = answer.replace("</p>", "\n").replace("</li>", "\n");
    lines.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect()
}

#[test]
fn a_page_answers_in_chromium() {
    let mirror = Mirror::start();
    let project = project(&mirror);
    project.run(&["report", "--html", "site"]).good();
    let mut answers = String::new();
    for asked in [
        "#/usr/lib/x86_64-linux-gnu/libyaml-0.so.2",
        "#?LIBYAML",
        "#package=libyaml-0-2",
        "#/nowhere",
        "#rules",
    ] {
        let (document, console) = match shown(&project, &format!("tiny-3.3-trixie-amd64.html{asked}")) {
            Ok(shown) => shown,
            Err(why) => return skip("a site in Chromium", &why),
        };
        assert_eq!(console, [""; 0], "{asked}");
        answers.extend([asked, "\n", &answer(&document), "\n"]);
    }
    insta::assert_snapshot!(answers, @"
    #/usr/lib/x86_64-linux-gnu/libyaml-0.so.2
    /usr/lib/x86_64-linux-gnu/libyaml-0.so.2: a link in the layer ruby, from package libyaml-0-2
    NEEDED libyaml-0.so.2 of /usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so
    native extension of /usr/lib/x86_64-linux-gnu/ruby/3.3.0/rbconfig.rb
    configuration of /usr/bin/ruby3.3
    the interpreter

    #?LIBYAML
    6 in the image with “LIBYAML”
    /usr/lib/x86_64-linux-gnu/libyaml-0.so.2 a link
    /usr/lib/x86_64-linux-gnu/libyaml-0.so.2.0.9 346 bytes
    /usr/share/doc/libyaml-0-2 a folder
    /usr/share/doc/libyaml-0-2/copyright 20 bytes
    /var/lib/dpkg/status.d/libyaml-0-2 73 bytes
    /var/lib/dpkg/status.d/libyaml-0-2.md5sums 70 bytes

    #package=libyaml-0-2
    4 in the image from libyaml-0-2
    /usr/lib/x86_64-linux-gnu/libyaml-0.so.2 a link
    /usr/lib/x86_64-linux-gnu/libyaml-0.so.2.0.9 346 bytes
    /usr/share/doc/libyaml-0-2 a folder
    /usr/share/doc/libyaml-0-2/copyright 20 bytes

    #/nowhere
    /nowhere is not in the image.

    #rules
    ");
}
