//! What a person sees of the verbs, through the program itself, on small projects whose packages come from a mirror on
//! loopback. No network, no real package, nothing of the machine's own settings.

mod architectures;
mod article;
mod base_image;
mod build;
mod checks;
mod compared;
mod declared;
mod docker;
mod emulated;
mod example;
mod exported;
mod faults;
mod groups;
mod image;
mod interrupted;
mod levels;
mod loader;
mod mirror;
mod native;
mod network;
mod only;
mod ordinary_user;
mod podman;
mod program;
mod project;
mod push;
mod real;
mod records;
mod release;
mod reproducible;
mod scale;
mod several;
mod shared;
mod signing;
mod site;
mod tarballs;
mod tidiness;
mod updates;
mod upstream;
mod variants;

/// Says that something is not tried here, and why: nothing is passed over in silence. Past the test harness, which keeps
/// what a passing test prints to itself.
fn skip(what: &str, why: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "SKIPPED {what}: {why}").expect("standard error is open");
}
