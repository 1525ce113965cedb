//! Programs and what they load.

use testkit::elf::Elf;

use crate::fixture::{closure_of, tree};

const CONFIG: &str = "CONFIG[\"ruby_version\"] = \"3.3.0\"\nCONFIG[\"rubyarchdir\"] = \"/lib/ruby/3.3.0/x\"\n\
    CONFIG[\"rubylibdir\"] = \"/lib/ruby/3.3.0\"\nCONFIG[\"rubylibprefix\"] = \"/lib/ruby\"\n\
    CONFIG[\"vendordir\"] = \"/lib/ruby/vendor_ruby\"\n\
    CONFIG[\"bindir\"] = \"/bin\"\nCONFIG[\"ruby_install_name\"] = \"ruby\"\n";

/// A closure over a Ruby with these files.
fn with_ruby(files: &[(&str, &str)], roots: &[&str]) -> Vec<String> {
    let text = |text: &str| text.as_bytes().to_vec();
    let ruby = [
        ("/bin/ruby", Elf::dynamic().build()),
        ("/lib/ruby/3.3.0/x/rbconfig.rb", text(CONFIG)),
        ("/lib/ruby/3.3.0/set.rb", text("require 'not entered'")),
        ("/lib/ruby/3.3.0/x/zlib.so", Elf::dynamic().build()),
        ("/lib/ruby/vendor_ruby/vendored.rb", text("")),
    ];
    let files = files.iter().map(|(path, content)| (*path, text(content)));
    closure_of(&tree(&ruby.into_iter().chain(files).collect::<Vec<_>>()), roots)
}

fn findings(found: &[String]) -> Vec<&str> {
    found.iter().filter_map(|line| line.strip_prefix("! ")).collect()
}

/// What scripts load, as `path: reason`.
fn loaded(found: &[String]) -> Vec<&str> {
    let words = [": require", ": load", ": autoload"];
    found.iter().map(String::as_str).filter(|line| words.iter().any(|word| line.contains(word))).collect()
}

#[test]
fn a_program_is_followed_from_file_to_file() {
    let found = with_ruby(
        &[
            ("/app/bin/run", "#!/bin/ruby\n$:.unshift File.expand_path('../lib', __dir__)\nrequire 'app'\n"),
            (
                "/app/lib/app.rb",
                "require 'app/part'\nrequire_relative 'app/beside'\nload \"#{__dir__}/app/whole.rb\"\n",
            ),
            ("/app/lib/app/part.rb", "require 'set'\nrequire 'zlib'\nrequire 'vendored'\nrequire 'thread'\n"),
            ("/app/lib/app/beside.rb", "autoload :Late, 'app/late'\n"),
            ("/app/lib/app/whole.rb", "require_relative '../app'\n"),
            ("/app/lib/app/late.rb", ""),
            ("/app/lib/app/never.rb", ""),
        ],
        &["/app/bin/run"],
    );
    assert_eq!(
        loaded(&found),
        [
            "/app/lib/app.rb: require app of /app/bin/run",
            "/app/lib/app.rb: require_relative ../app of /app/lib/app/whole.rb",
            "/app/lib/app/beside.rb: require_relative app/beside of /app/lib/app.rb",
            "/app/lib/app/late.rb: autoload app/late of /app/lib/app/beside.rb",
            "/app/lib/app/part.rb: require app/part of /app/lib/app.rb",
            "/app/lib/app/whole.rb: load app/whole.rb of /app/lib/app.rb",
            "/lib/ruby/3.3.0/set.rb: require set of /app/lib/app/part.rb",
            "/lib/ruby/3.3.0/x/zlib.so: require zlib of /app/lib/app/part.rb",
            "/lib/ruby/vendor_ruby/vendored.rb: require vendored of /app/lib/app/part.rb",
        ]
    );
    assert!(findings(&found).is_empty(), "{found:?}");
    assert!(!found.iter().any(|line| line.contains("never")));
}

#[test]
fn what_leads_nowhere_is_unmet_or_undecided() {
    let script = "#!/bin/ruby\nrequire 'none'\nrequire_relative 'gone'\nload 'tasks.rb'\nrequire name\n\
        begin\nrequire 'soft'\nrescue LoadError\nend\ndef later\nrequire 'later'\nend\n\
        require 'part' if x\nFiddle.dlopen('libnone.so')\ngem 'absent'\n";
    let found = with_ruby(
        &[("/run", script), ("/lib/part.rb", ""), ("/lib/ruby/vendor_ruby/part.rb", "require 'deep'")],
        &["/run"],
    );
    assert_eq!(
        findings(&found),
        [
            "/lib/ruby/vendor_ruby/part.rb:1: may load deep with require, which is not there",
            "/run:2: cannot find none, which it loads with require",
            "/run:3: cannot find gone, which it loads with require_relative",
            "/run:4: may load tasks.rb with load, which is not there",
            "/run:5: calls require with a name that it computes",
            "/run:11: may load later with require, which is not there",
            "/run:14: cannot find the library libnone.so",
            "/run:15: needs the gem absent, which is not installed",
        ]
    );
}

#[test]
fn a_folder_is_an_application_whose_files_may_be_loaded() {
    let found = with_ruby(
        &[
            ("/app/config.ru", "require_relative 'app'\nrequire 'none'"),
            ("/app/app.rb", "require 'helper'"),
            ("/app/lib/tool.rb", "require 'tool/part'"),
            ("/app/lib/tool/part.rb", ""),
            ("/app/spec/a_spec.rb", "require 'rspec'"),
            ("/app/template.rb", "<%= name %>"),
            ("/app/data.txt", "require 'x'"),
        ],
        &["/app", "/app/config.ru", "/bin/ruby"],
    );
    assert_eq!(
        findings(&found),
        [
            "/app/app.rb:1: cannot find helper, which it loads with require",
            "/app/config.ru:2: cannot find none, which it loads with require",
            "/app/spec/a_spec.rb:1: may load rspec with require, which is not there",
            "/app/template.rb:1: cannot be read as Ruby: unexpected '<', ignoring it",
        ]
    );
    assert!(found.contains(&"/app/lib/tool/part.rb: require tool/part of /app/lib/tool.rb".to_owned()));
}

#[test]
fn a_folder_that_is_added_later_serves_all() {
    let files = [
        ("/a", "#!/bin/ruby\nrequire 'late'\nrequire_relative 'z'\n"),
        ("/z.rb", "$LOAD_PATH << \"#{__dir__}/more\"\n"),
        ("/more/late.rb", "require 'later'"),
        ("/more/later.rb", ""),
    ];
    let found = with_ruby(&files, &["/a"]);
    assert!(findings(&found).is_empty(), "{found:?}");
    assert!(found.contains(&"/more/later.rb: require later of /more/late.rb".to_owned()));
}

#[test]
fn gems_are_found_by_their_folders() {
    let files = [
        ("/run", "#!/bin/ruby\nrequire 'rack'\nrequire 'native'\ngem 'rack'\n"),
        ("/lib/ruby/gems/3.3.0/gems/rack-3.0/lib/rack.rb", "require 'rack/part'\nrequire 'none'\n"),
        ("/lib/ruby/gems/3.3.0/gems/rack-3.0/lib/rack/part.rb", ""),
        ("/lib/ruby/gems/3.3.0/gems/rack-3.0/lib/rack/unused.rb", "require 'none'"),
        ("/lib/ruby/gems/3.3.0/specifications/rack-3.0.gemspec", ""),
        ("/lib/ruby/gems/3.3.0/extensions/x/3.3.0/native-1/native.so", ""),
        ("/lib/ruby/gems/3.3.0/gems/native-1/lib/other.rb", ""),
    ];
    let found = with_ruby(&files, &["/run"]);
    assert_eq!(
        findings(&found),
        ["/lib/ruby/gems/3.3.0/gems/rack-3.0/lib/rack.rb:2: cannot find none, which it loads with require"]
    );
    assert!(found.contains(
        &"/lib/ruby/gems/3.3.0/extensions/x/3.3.0/native-1/native.so: require native of /run".to_owned()
    ));
}

#[test]
fn scripts_bring_their_interpreter() {
    let found = with_ruby(&[("/app/x.rb", "require 'set'")], &["/app/x.rb"]);
    assert!(found.contains(&"/bin/ruby: interpreter of /app/x.rb".to_owned()));
    assert!(found.contains(&"/lib/ruby/3.3.0/set.rb: require set of /app/x.rb".to_owned()));
    let without =
        closure_of(&tree(&[("/x.rb", "require_relative 'y'\nrequire 'set'"), ("/y.rb", "")]), &["/x.rb"]);
    assert_eq!(findings(&without), ["/x.rb: cannot find the program ruby"]);
    assert_eq!(loaded(&without), ["/y.rb: require_relative y of /x.rb"]);
}

#[test]
fn a_lock_names_gems_that_must_be_there() {
    let lock = "PATH\n  remote: engines/shop\n  specs:\n    shop (0.1)\nPATH\n  remote: engines/gone\n  specs:\n    gone (0.1)\n\
        GIT\n  remote: host/tool.git\n  revision: 0123456789abcdef\n  specs:\n    tool (1)\n\
        GEM\n  specs:\n    rack (3.0)\n    puma (6.0-java)\n    puma (6.0)\n    debug (1.9)\n    rails (7)\n      deep (1)\n    deep (1)\n\
        \nDEPENDENCIES\n  debug\n  gone!\n  puma\n  rack\n  rails\n  shop!\n  tool!\n";
    let gemfile = "gem 'rack'\ngem 'puma'\ngem 'rails'\ngem 'shop', path: 'engines/shop'\ngem 'gone'\ngem 'tool'\ngroup :development do\n gem 'debug'\nend\n";
    let home = "/app/vendor/bundle/ruby/3.3.0";
    let files = [
        ("/app/Gemfile", gemfile),
        ("/app/Gemfile.lock", lock),
        ("/app/bin/run", "#!/bin/ruby\nrequire 'rack'\nrequire 'shop'\n"),
        ("/app/engines/shop/lib/shop.rb", ""),
        (&*format!("{home}/gems/rack-3.0/lib/rack.rb"), ""),
        (&*format!("{home}/gems/rack-3.0/data"), ""),
        (&*format!("{home}/specifications/rack-3.0.gemspec"), ""),
        ("/lib/ruby/gems/3.3.0/specifications/puma-6.0.gemspec", ""),
        (&*format!("{home}/bundler/gems/tool-0123456789ab/lib/tool.rb"), ""),
    ];
    let found = with_ruby(&files, &["/app/bin/run"]);
    assert_eq!(
        findings(&found),
        [
            "/app/Gemfile.lock:8: needs the gem gone 0.1, which is not installed",
            "/app/Gemfile.lock:19: may need the gem debug 1.9, which is not installed",
            "/app/Gemfile.lock:20: needs the gem rails 7, which is not installed",
            "/app/Gemfile.lock:22: needs the gem deep 1, which is not installed",
        ]
    );
    for line in [
        "/app/Gemfile.lock: root: gems of the application".to_owned(),
        "/app/Gemfile: root: gems of the application".to_owned(),
        format!("{home}/gems/rack-3.0/data: gem rack of /app/Gemfile.lock"),
        format!("{home}/specifications/rack-3.0.gemspec: gem rack of /app/Gemfile.lock"),
        format!("{home}/bundler/gems/tool-0123456789ab/lib/tool.rb: gem tool of /app/Gemfile.lock"),
        "/app/engines/shop/lib/shop.rb: require shop of /app/bin/run".to_owned(),
    ] {
        assert!(found.contains(&line), "{line}: {found:#?}");
    }
}
