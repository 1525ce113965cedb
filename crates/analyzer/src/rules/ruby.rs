//! A Ruby, found by its program or its library, needs its `rbconfig.rb`, and with that what `require` and RubyGems find by themselves: the standard library,
//! encodings, native extensions, gems. Native extensions are opened by the program, so each has its needs followed.

use std::sync::Arc;

use rayon::prelude::*;
use rootfs::{Entry, Kind, RootPath};

use super::Rule;
use crate::closure::Reason;
use crate::engine::{Answer, Role, Seen, Strength, Visit};
use crate::finding::FindingKind;
use crate::nature::Nature;
use crate::ruby::{Holds, LibraryFolder, Ruby as Installation, is_rbconfig};
use crate::scope::Scope;
use crate::walk;

pub(super) struct Ruby;

impl Rule for Ruby {
    fn name(&self) -> &'static str {
        "ruby"
    }

    fn apply(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        if !visit.is_first {
            return;
        }
        if let Some(ruby) = is_rbconfig(visit.path).then(|| scope.ruby(visit.path)).flatten() {
            answer.note_ruby();
            self.bring_folders(visit, &ruby, answer);
            if ruby.program.as_ref().is_some_and(|program| scope.commanding.contains(program)) {
                for command in scope.commands_of(&ruby) {
                    answer.resolved(command, Role::Own, self.reason(visit, "command"), Strength::Soft);
                }
            }
        }
        if is_interpreter(visit) {
            self.bring_configuration(scope, visit, answer);
        }
    }
}

/// Whether a file may be the program or the library of a Ruby: whether it is one, its `rbconfig.rb` tells.
fn is_interpreter(visit: &Visit<'_>) -> bool {
    let Some(object) = visit.whole_object() else { return false };
    let is_program = || {
        let folder = visit.path.parent();
        visit.path.name().starts_with(b"ruby") || folder.is_some_and(|folder| folder.name() == b"bin")
    };
    match object.soname {
        Some(soname) => soname.starts_with(b"libruby"),
        None => visit.is_executable && is_program(),
    }
}

/// Whether a file that may be a Ruby is one for certain: the library, or a program that has it inside.
fn is_ruby(visit: &Visit<'_>) -> bool {
    let Kind::File(file) = visit.kind else { return false };
    let is_program = || {
        let version = visit.path.name().strip_prefix(b"ruby");
        version.is_some_and(|version| version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.'))
            && memchr::memmem::find(&file.content, b"RUBY_PATCHLEVEL\0").is_some()
    };
    visit.whole_object().is_some_and(|object| object.soname.is_some()) || is_program()
}

impl Ruby {
    fn bring_configuration(&self, scope: &Scope<'_>, visit: &Visit<'_>, answer: &mut Answer<'_>) {
        let Some(folder) = visit.path.parent() else { return };
        let rubies = scope.rubies_near(&folder);
        let is_own = |ruby: &&Arc<Installation>| {
            [&ruby.program, &ruby.library].into_iter().flatten().any(|own| own == visit.path)
        };
        let mut own = rubies.iter().filter(is_own).peekable();
        if own.peek().is_none() && is_ruby(visit) {
            answer.find(Some(visit.path.clone()), FindingKind::NoConfiguration);
        }
        for ruby in own {
            answer.note_ruby();
            let reason = self.reason(visit, "configuration");
            answer.real(ruby.rbconfig.clone(), Role::Own, reason, Strength::Hard);
        }
    }

    fn bring_folders(&self, visit: &Visit<'_>, ruby: &Installation, answer: &mut Answer<'_>) {
        let reasons = Reasons::new(|because| self.reason(visit, because));
        let program = ruby.program.as_ref().or(ruby.library.as_ref());
        let role = program.cloned().map_or(Role::Own, Role::OpenedBy);
        let tree = answer.tree();
        let walks = ruby.folders.par_iter().enumerate().map(|(index, folder)| {
            let inside = &ruby.folders[..index];
            let is_left = |path: &RootPath| {
                inside.iter().all(|inner| !path.starts_with(&inner.path))
                    && !is_of_another_version(ruby, folder, path)
            };
            let wanted = |path: &RootPath| is_left(path).then(|| Nature::told_by(path.name()));
            let nature = |path: &RootPath, entry: &Entry, start: Option<&[u8]>| {
                is_left(path).then(|| Nature::of_shown(path, entry, start))
            };
            walk::looking_below(tree, &folder.path, is_left, wanted, nature)
        });
        for (folder, below) in ruby.folders.iter().zip(walks.collect::<Vec<_>>()) {
            let reason = reasons.of(folder, &folder.path, false);
            answer.real(folder.path.clone(), role.clone(), reason.clone(), Strength::Soft);
            for (path, entry, nature) in below {
                if let Some(nature) = nature {
                    let reason = reasons.of(folder, path, nature == Nature::Object);
                    answer.seen(path, Seen { entry, nature }, &role, reason);
                }
            }
        }
    }
}

/// The reasons for what a Ruby's folders hold, each made once.
struct Reasons {
    library: Reason,
    encoding: Reason,
    extension: Reason,
    vendor: Reason,
    site: Reason,
    gem: Reason,
    gem_extension: Reason,
}

impl Reasons {
    fn new(reason: impl Fn(Arc<str>) -> Reason) -> Self {
        Self {
            library: reason("standard library".into()),
            encoding: reason("encoding".into()),
            extension: reason("native extension".into()),
            vendor: reason("vendor library".into()),
            site: reason("site library".into()),
            gem: reason("gem folder".into()),
            gem_extension: reason("native extension of a gem".into()),
        }
    }

    fn of(&self, folder: &LibraryFolder, path: &RootPath, is_object: bool) -> &Reason {
        match (folder.holds, is_object) {
            (Holds::Compiled, true) if is_encoding(folder, path) => &self.encoding,
            (Holds::Gems, true) => &self.gem_extension,
            (_, true) => &self.extension,
            (Holds::Compiled | Holds::Library, false) => &self.library,
            (Holds::Vendor, false) => &self.vendor,
            (Holds::Site, false) => &self.site,
            (Holds::Gems, false) => &self.gem,
        }
    }
}

/// Whether a path lies in the folder `enc` of the compiled part.
fn is_encoding(folder: &LibraryFolder, path: &RootPath) -> bool {
    path.as_bytes()[folder.path.as_bytes().len()..].starts_with(b"/enc/")
}

/// The folders of distributor and site hold a folder for each version of Ruby beside what all versions share.
fn is_of_another_version(ruby: &Installation, folder: &LibraryFolder, path: &RootPath) -> bool {
    if !matches!(folder.holds, Holds::Vendor | Holds::Site) {
        return false;
    }
    let mut below = path.as_bytes()[folder.path.as_bytes().len()..].split(|&byte| byte == b'/');
    let first = below.nth(1).unwrap_or_default();
    let is_version = first.contains(&b'.') && first.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    is_version && first != ruby.version.as_bytes()
}

#[cfg(test)]
mod tests {
    use crate::fixture::{closure_of, tree};
    use testkit::elf::Elf;

    /// An rbconfig.rb for a Ruby below `prefix`, with the settings that differ between layouts.
    fn rbconfig(folder: &str, settings: &[(&str, &str)]) -> Vec<u8> {
        let fixed = [
            ("ruby_version", "3.3.0"),
            ("arch", "x86_64-linux"),
            ("bindir", "$(prefix)/bin"),
            ("libdir", "$(prefix)/lib"),
            ("rubylibprefix", "$(libdir)/ruby"),
            ("rubylibdir", "$(rubylibprefix)/$(ruby_version)"),
            ("LIBRUBY_SO", "libruby.so.3.3.8"),
        ];
        let line = |(name, value): &(&str, &str)| format!("CONFIG[\"{name}\"] = \"{value}\"\n");
        let head = format!(
            "TOPDIR = File.dirname(__FILE__).chomp!(\"{folder}\")\nCONFIG[\"prefix\"] = (TOPDIR || DESTDIR + \"\")\n"
        );
        let lines = fixed.iter().chain(settings).map(line);
        [head].into_iter().chain(lines).collect::<Vec<_>>().concat().into_bytes()
    }

    fn extension() -> Vec<u8> {
        Elf::dynamic().build()
    }

    fn lines_of(found: &[String], reason: &str) -> Vec<String> {
        let suffix = format!(": {reason}");
        found.iter().filter_map(|line| line.strip_suffix(&suffix)).map(str::to_owned).collect()
    }

    #[test]
    fn a_multiarch_ruby_as_debian_lays_it_out() {
        let config = "/usr/lib/x86_64-linux-gnu/ruby/3.3.0/rbconfig.rb";
        let settings = [
            ("arch", "x86_64-linux-gnu"),
            ("ruby_install_name", "ruby3.3"),
            ("rubyarchdir", "$(libdir)/$(arch)/ruby/$(ruby_version)"),
            ("vendordir", "$(rubylibprefix)/vendor_ruby"),
            ("vendorlibdir", "$(vendordir)/$(ruby_version)"),
            ("vendorarchdir", "$(libdir)/$(arch)/ruby/vendor_ruby/$(ruby_version)"),
            ("sitedir", "/usr/local/lib/site_ruby"),
            ("sitelibdir", "$(sitedir)/$(ruby_version)"),
        ];
        let text = |text: &str| text.as_bytes().to_vec();
        let tree = tree(&[
            ("/usr/bin/ruby", text("-> ruby3.3")),
            ("/usr/bin/ruby3.3", Elf::dynamic().rpath("/opt").build()),
            (config, rbconfig("/lib/x86_64-linux-gnu/ruby/3.3.0", &settings)),
            ("/usr/lib/x86_64-linux-gnu/ruby/3.3.0/psych.so", Elf::dynamic().needs("libyaml.so").build()),
            ("/usr/lib/x86_64-linux-gnu/ruby/3.3.0/enc/euc_jp.so", extension()),
            ("/usr/lib/x86_64-linux-gnu/ruby/3.3.0/enc/trans/japanese.so", extension()),
            ("/usr/lib/ruby/3.3.0/yaml.rb", text("")),
            ("/usr/lib/ruby/3.1.0/yaml.rb", text("")),
            ("/usr/lib/ruby/gems/3.3.0/gems/rbs-3.4.0/lib/rbs.rb", text("")),
            ("/usr/lib/ruby/gems/3.3.0/extensions/x/3.3.0/rbs-3.4.0/rbs.so", extension()),
            ("/usr/lib/ruby/gems/3.1.0/gems/old-1.0/lib/old.rb", text("")),
            ("/usr/lib/ruby/vendor_ruby/rubygems.rb", text("")),
            ("/usr/lib/ruby/vendor_ruby/3.3.0/now.rb", text("")),
            ("/usr/lib/ruby/vendor_ruby/3.1.0/then.rb", text("")),
            ("/usr/lib/x86_64-linux-gnu/ruby/vendor_ruby/3.3.0/sdbm.so", extension()),
            ("/usr/local/lib/site_ruby/3.3.0/mine.rb", text("")),
            ("/usr/share/rubygems-integration/all/specifications/rake.gemspec", text("")),
            ("/usr/lib/x86_64-linux-gnu/rubygems-integration/3.3.0/specifications/sdbm.gemspec", text("")),
            ("/var/lib/gems/3.3.0/", text("")),
            ("/opt/libyaml.so", Elf::library("libyaml.so").build()),
        ]);
        let found = closure_of(&tree, &["/usr/bin/ruby"]);
        let by = |what: &str| lines_of(&found, &format!("{what} of {config}"));
        assert_eq!(lines_of(&found, "configuration of /usr/bin/ruby3.3"), [config]);
        let arch = "/usr/lib/x86_64-linux-gnu/ruby";
        assert_eq!(
            by("encoding"),
            [format!("{arch}/3.3.0/enc/euc_jp.so"), format!("{arch}/3.3.0/enc/trans/japanese.so")]
        );
        assert_eq!(
            by("native extension"),
            [format!("{arch}/3.3.0/psych.so"), format!("{arch}/vendor_ruby/3.3.0/sdbm.so")]
        );
        assert!(by("standard library").contains(&"/usr/lib/ruby/3.3.0/yaml.rb".to_owned()));
        assert_eq!(
            by("vendor library"),
            [
                "/usr/lib/ruby/vendor_ruby",
                "/usr/lib/ruby/vendor_ruby/3.3.0",
                "/usr/lib/ruby/vendor_ruby/3.3.0/now.rb",
                "/usr/lib/ruby/vendor_ruby/rubygems.rb",
                &format!("{arch}/vendor_ruby/3.3.0"),
            ]
        );
        assert!(by("site library").contains(&"/usr/local/lib/site_ruby/3.3.0/mine.rb".to_owned()));
        for gem in [
            "/usr/lib/ruby/gems/3.3.0/gems/rbs-3.4.0/lib/rbs.rb",
            "/usr/share/rubygems-integration/all/specifications/rake.gemspec",
            "/usr/lib/x86_64-linux-gnu/rubygems-integration/3.3.0/specifications/sdbm.gemspec",
            "/var/lib/gems/3.3.0",
        ] {
            assert!(by("gem folder").contains(&gem.to_owned()), "{gem}");
        }
        assert_eq!(
            by("native extension of a gem"),
            ["/usr/lib/ruby/gems/3.3.0/extensions/x/3.3.0/rbs-3.4.0/rbs.so"]
        );
        // The RPATH of the program serves what the program opens.
        assert!(found.contains(&format!("/opt/libyaml.so: NEEDED libyaml.so of {arch}/3.3.0/psych.so")));
        assert!(!found.iter().any(|line| line.contains("3.1.0") || line.starts_with("! ")), "{found:?}");
    }

    #[test]
    fn a_compiled_ruby_is_found_from_its_library_too() {
        let config = "/usr/local/lib/ruby/3.3.0/x86_64-linux/rbconfig.rb";
        let settings = [("ruby_install_name", "ruby"), ("rubyarchdir", "$(rubylibdir)/$(arch)")];
        let tree = tree(&[
            ("/usr/local/bin/ruby", Elf::dynamic().needs("libruby.so.3.3").runpath("$ORIGIN/../lib").build()),
            ("/usr/local/lib/libruby.so.3.3", b"-> libruby.so.3.3.8".to_vec()),
            ("/usr/local/lib/libruby.so.3.3.8", Elf::library("libruby.so.3.3").build()),
            (config, rbconfig("/lib/ruby/3.3.0/x86_64-linux", &settings)),
            // Without a RUNPATH of its own: the library that the program has loaded serves.
            (
                "/usr/local/lib/ruby/3.3.0/x86_64-linux/zlib.so",
                Elf::dynamic().needs("libruby.so.3.3").build(),
            ),
            ("/usr/local/lib/ruby/3.3.0/set.rb", Vec::new()),
            ("/usr/local/lib/ruby/gems/3.3.0/specifications/x.gemspec", Vec::new()),
            ("/app", Elf::dynamic().needs("/usr/local/lib/libruby.so.3.3").build()),
        ]);
        for root in ["/usr/local/bin/ruby", "/app"] {
            let found = closure_of(&tree, &[root]);
            let wanted = "/usr/local/lib/ruby/3.3.0/x86_64-linux/zlib.so";
            assert_eq!(lines_of(&found, &format!("native extension of {config}")), [wanted]);
            assert!(
                found.contains(&format!("/usr/local/lib/ruby/3.3.0/set.rb: standard library of {config}"))
            );
            assert!(!found.iter().any(|line| line.starts_with("! ")), "{found:?}");
        }
    }

    #[test]
    fn a_ruby_is_found_from_its_program_wherever_it_was_put() {
        let settings = [("ruby_install_name", "ruby"), ("rubyarchdir", "$(rubylibdir)/$(arch)")];
        let folder = "/lib/ruby/3.3.0/x86_64-linux";
        for (prefix, bin) in [
            ("/usr", "/usr/bin/ruby"),
            ("/opt/x", "/opt/x/bin/ruby"),
            ("/home/me/.rbenv/versions/3.3.8", "/home/me/.rbenv/versions/3.3.8/bin/ruby"),
            ("/opt/x", "/usr/local/bin/ruby"),
        ] {
            let config = format!("{prefix}{folder}/rbconfig.rb");
            let program = format!("{prefix}/bin/ruby");
            let mut listing = vec![
                (program.as_str(), Elf::dynamic().build()),
                (&config, rbconfig(folder, &settings)),
                // Another Ruby that nothing asks for.
                ("/other/bin/ruby", Elf::dynamic().build()),
                ("/other/lib/ruby/3.3.0/x86_64-linux/rbconfig.rb", rbconfig(folder, &settings)),
            ];
            if bin != program {
                listing.push((bin, format!("-> {program}").into_bytes()));
            }
            let found = closure_of(&tree(&listing), &[bin]);
            assert_eq!(lines_of(&found, &format!("configuration of {program}")), [config]);
            assert!(!found.iter().any(|line| line.contains("/other")), "{found:?}");
        }
    }

    #[test]
    fn a_ruby_without_its_configuration_is_a_finding() {
        let library = || Elf::library("libruby.so.3.3").build();
        let inside = || Elf::dynamic().payload("RUBY_PATCHLEVEL\0").build();
        let config = "/usr/lib/ruby/3.3.0/x86_64-linux/rbconfig.rb";
        let settings = [("ruby_install_name", "ruby"), ("rubyarchdir", "$(rubylibdir)/$(arch)")];
        let config_of_others = (config, rbconfig("/lib/ruby/3.3.0/x86_64-linux", &settings));
        for (path, object, is_found) in [
            ("/usr/lib/libruby.so.3.3", library(), true),
            ("/usr/bin/ruby", inside(), true),
            ("/usr/bin/ruby3.3", inside(), true),
            ("/usr/bin/rubyfmt", inside(), false),
            ("/usr/bin/ruby", Elf::dynamic().build(), false),
        ] {
            let found = closure_of(&tree(&[(path, object.clone())]), &[path]);
            let wanted = format!("! {path}: is a Ruby whose rbconfig.rb is not there");
            assert_eq!(found.iter().any(|line| line.starts_with(&wanted)), is_found, "{path}: {found:?}");
        }
        // Another one's is there.
        let found = closure_of(
            &tree(&[("/usr/lib/libruby.so.3.3", library()), config_of_others]),
            &["/usr/lib/*.3.3"],
        );
        assert!(found.iter().any(|line| line.starts_with("! ")), "{found:?}");
    }

    #[test]
    fn commands_come_with_a_ruby_that_is_a_root() {
        let config = "/usr/lib/ruby/3.3.0/x86_64-linux/rbconfig.rb";
        let settings = [("ruby_install_name", "ruby3.3"), ("rubyarchdir", "$(rubylibdir)/$(arch)")];
        let text = |text: &str| text.as_bytes().to_vec();
        let tree = tree(&[
            ("/usr/bin/ruby", text("-> ruby3.3")),
            ("/usr/bin/ruby3.3", Elf::dynamic().build()),
            ("/usr/bin/ruby3.1", Elf::dynamic().build()),
            (config, rbconfig("/lib/ruby/3.3.0/x86_64-linux", &settings)),
            ("/usr/bin/env", text("")),
            ("/usr/bin/gem", text("#!/usr/bin/env ruby\n")),
            ("/usr/bin/gem3.3", text("#!/usr/bin/ruby3.3\n")),
            ("/usr/bin/irb", text("-> irb3.3")),
            ("/usr/bin/irb3.3", text("#!/usr/bin/ruby3.3\n")),
            ("/usr/bin/bundle", text("-> /none")),
            ("/usr/bin/rake", text("#!/usr/bin/ruby3.1\n")),
            ("/usr/bin/erb", Elf::dynamic().build()),
            ("/usr/bin/other", text("#!/usr/bin/env ruby\n")),
            ("/opt/gem", text("#!/usr/bin/env ruby\n")),
            ("/app", text("#!/usr/bin/env ruby\n")),
        ]);
        let commands = |root: &str, commands| {
            let roots = vec![crate::Root::pattern(root, "wanted")];
            let closure =
                crate::analyze(&tree, &crate::Request { roots, commands, ..crate::Request::default() });
            let found = crate::fixture::listing(&closure);
            assert!(!found.iter().any(|line| line.starts_with("! ")), "{found:?}");
            lines_of(&found, &format!("command of {config}"))
        };
        let wanted = ["/usr/bin/gem", "/usr/bin/gem3.3", "/usr/bin/irb", "/usr/bin/irb3.3"];
        for root in ["ruby", "/usr/bin/ruby3.3", "/usr/bin/ruby*"] {
            assert_eq!(commands(root, true), wanted, "{root}");
            assert_eq!(commands(root, false), [""; 0], "{root}");
        }
        assert_eq!(commands("/app", true), [""; 0]);
    }

    #[test]
    fn a_file_that_only_bears_the_name_is_no_ruby() {
        for text in ["", "CONFIG[\"ruby_version\"] = \"3.3.0\"\nCONFIG[\"rubyarchdir\"] = \"/usr\"\n"] {
            let tree = tree(&[("/home/rbconfig.rb", text), ("/usr/file", "")]);
            assert_eq!(closure_of(&tree, &["/home"]).len(), 2);
        }
    }
}
