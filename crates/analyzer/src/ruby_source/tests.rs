//! Sources and what they name.

use proptest::prelude::*;

use super::*;
use crate::fixture::path;

/// A mention as one line: where, what, its names with `~` for the file's own path, and `?` or `-` where it is less than
/// certain.
fn lines(source: &[u8]) -> Vec<String> {
    let text = |text: &Text| match text {
        Text::Plain(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Text::FromFile(bytes) => format!("~{}", String::from_utf8_lossy(bytes)),
    };
    let line = |mention: &Mention| {
        let Mention { line, word, names, certainty, .. } = mention;
        let names: Vec<_> = names.iter().map(text).collect();
        let mark = match certainty {
            Certainty::Always => "",
            Certainty::Perhaps => "?",
            Certainty::Never => "-",
        };
        format!(
            "{line} {word} {}{mark}",
            if names.is_empty() { "(computed)".into() } else { names.join("|") }
        )
    };
    read(source).mentions.iter().map(line).collect()
}

#[test]
fn files_that_are_required_and_loaded() {
    for (source, wanted) in [
        ("require 'json'", &["1 require json"][..]),
        ("require(\"json\")\nKernel.require 'set'", &["1 require json", "2 require set"]),
        ("require_relative 'a/b'", &["1 require_relative ~/../a/b"]),
        ("require_relative \"#{__dir__}/x\"", &["1 require_relative ~/../x"]),
        ("load 'x.rb'\nload 'y.rb', true", &["1 load x.rb", "2 load y.rb"]),
        ("require name", &["1 require (computed)"]),
        ("require \"a/#{name}\"", &["1 require (computed)"]),
        ("require 'a' + '/b'", &["1 require a/b"]),
        ("require ['a']", &["1 require (computed)"]),
        ("require File.expand_path('../lib/x', __FILE__)", &["1 require ~/../lib/x"]),
        ("require File.join(File.dirname(__FILE__), '..', 'x')", &["1 require ~/../../x"]),
        ("require File.expand_path('x', __dir__)", &["1 require ~/../x"]),
        ("require File.expand_path('/x', __dir__)", &["1 require /x"]),
        ("root = __dir__\nrequire root + '/x'", &["2 require ~/../x"]),
        ("a = 'x'\na = 'y'\nrequire a", &["3 require (computed)"]),
        ("autoload :A, 'a/b'\nA.autoload(:B, path)", &["1 autoload a/b?", "2 autoload (computed)?"]),
        ("params.require(:user)\nBundler.require\nYAML.load(x)\nload\nrequire\nautoload :A", &[]),
        ("$LOAD_PATH.unshift File.expand_path('../lib', __dir__)", &["1 $LOAD_PATH ~/../../lib"]),
        (
            "$: << 'lib'\n$:.push(a, '/b')",
            &["1 $LOAD_PATH lib", "2 $LOAD_PATH (computed)", "2 $LOAD_PATH /b"],
        ),
        (
            "load Gem.activate_bin_path('rake', 'rake', v)\nload Gem.bin_path(name, 'x')",
            &["1 gem rake", "2 gem (computed)"],
        ),
        ("def load(x) = 1\nload(x)\nload 'a'", &["3 load a"]),
        ("x = 1\n\n__END__\nrequire 'no'", &[]),
        ("#!/usr/bin/env ruby\nrequire 'yes'", &["2 require yes"]),
        ("=begin\nrequire 'no'\n=end\nputs %q(require 'no')\n# require 'no'", &[]),
        ("x = <<~A\n  require 'no'\n  #{require 'yes'}\nA", &["3 require yes"]),
        ("# encoding: euc-jp\nx = '\u{a4}\u{a2}'\nrequire 'yes'", &["3 require yes"]),
    ] {
        assert_eq!(lines(source.as_bytes()), wanted, "{source}");
    }
    assert_eq!(lines(b"# -*- coding: Shift_JIS -*-\nx = '\x83\x5c'\nrequire 'yes'"), ["3 require yes"]);
    assert_eq!(lines(b"require \"\\xff/x\""), ["1 require \u{fffd}/x"]);
}

#[test]
fn what_a_program_does_without() {
    for (source, wanted) in [
        ("begin\n require 'a'\nrescue LoadError\n require 'b'\nend", &["2 require a-", "4 require b?"][..]),
        ("begin\n require 'a'\nrescue LoadError => e\n abort e.to_s\nend", &["2 require a"]),
        (
            "begin\n require 'a'\nrescue ::ScriptError, X\nelse\n require 'b'\nensure\n require 'c'\nend",
            &["2 require a-", "5 require b", "7 require c"],
        ),
        ("begin\n require 'a'\nrescue\nend", &["2 require a"]),
        ("begin\n require 'a'\nrescue *ERRORS\nend", &["2 require a-"]),
        ("begin\n require 'a'\nrescue X\nrescue Y\nrescue LoadError\nend", &["2 require a-"]),
        ("require 'a' rescue nil", &["1 require a"]),
        ("def x\n require 'a'\nrescue LoadError\nend", &["2 require a-"]),
        ("def x = require('a')", &["1 require a?"]),
        ("class A\n module B\n  require 'a'\n end\nend", &["3 require a"]),
        ("class << self\n require 'a'\nend", &["2 require a"]),
        ("task { require 'a' }\n-> { require 'b' }", &["1 require a?", "2 require b?"]),
        ("require 'a' if x\nrequire 'b' unless RUBY_PLATFORM =~ /mswin/", &["1 require a?", "2 require b-"]),
        (
            "if require 'a'\n require 'b'\nelse\n require 'c'\nend",
            &["1 require a", "2 require b?", "4 require c?"],
        ),
        ("if Gem.win_platform?\n require 'a'\nelsif x\n require 'b'\nend", &["2 require a-", "4 require b-"]),
        ("RUBY_ENGINE == 'jruby' && require('a')\nx or require 'b'", &["1 require a-", "2 require b?"]),
        (
            "case RUBY_PLATFORM\nwhen /darwin/ then require 'a'\nelse require 'b'\nend",
            &["2 require a-", "3 require b-"],
        ),
        (
            "case\nwhen RUBY_ENGINE == 'x' then require 'a'\nwhen y then require 'b'\nend",
            &["2 require a-", "3 require b?"],
        ),
        ("require(RUBY_ENGINE == 'jruby' ? 'a' : 'b')", &["1 require (computed)"]),
        ("x ? require('a') : 1", &["1 require a?"]),
        ("while x\n require 'a'\nend", &["2 require a?"]),
    ] {
        assert_eq!(lines(source.as_bytes()), wanted, "{source}");
    }
}

#[test]
fn libraries_that_are_opened_by_name() {
    for (source, wanted) in [
        ("Fiddle.dlopen('libc.so.6')", &["1 dlopen libc.so.6"][..]),
        ("Fiddle.dlopen(nil)\nFiddle::Handle.new\nFiddle::Handle.new(nil)", &[]),
        ("::Fiddle::Handle.new 'liba.so'", &["1 Handle.new liba.so"]),
        ("begin\n Fiddle::Handle.new 'liba.so'\nrescue Fiddle::DLError\nend", &["2 Handle.new liba.so-"]),
        ("Fiddle.dlopen('a.so') rescue nil", &["1 dlopen a.so-"]),
        ("Fiddle.dlopen(lib_path)", &["1 dlopen (computed)"]),
        ("lib = 'liba.so'\nFiddle.dlopen(lib)", &["2 dlopen liba.so"]),
        (
            "module M\n extend Fiddle::Importer\n dlload 'liba.so.1', nil, 'libb.so.2'\nend",
            &["3 dlload liba.so.1", "3 dlload libb.so.2"],
        ),
        (
            "module M\n ffi_lib 'sodium', [\"a\", 'libb.so.2']\nend",
            &["2 ffi_lib sodium", "2 ffi_lib a|libb.so.2"],
        ),
        (
            "ffi_lib FFI::Library::LIBC\nffi_lib FFI::CURRENT_PROCESS\nffi_lib FFI::Platform::LIBC",
            &["1 ffi_lib libc.so.6", "3 ffi_lib libc.so.6"],
        ),
        ("ffi_lib ENV['LIB'] || 'sodium'", &["1 ffi_lib sodium"]),
        ("ffi_lib ENV.fetch('LIB')", &["1 ffi_lib (computed)"]),
        ("begin\n ffi_lib 'a'\nrescue LoadError\nend", &["2 ffi_lib a-"]),
        ("FFI::DynamicLibrary.open('libz.so.1', 1)", &["1 DynamicLibrary.open libz.so.1"]),
        ("X.open('a')\nHandle.new('b')\nFile.new('c')", &[]),
        // What hands on a name that its caller gives is not the caller.
        ("def dlopen(library)\n Fiddle::Handle.new(library)\nend", &[]),
        (
            "def names\n case RUBY_PLATFORM\n when /x/\n  %w[a.dll]\n else\n  %w[liba.so libb.so]\n end\nend\n\
          def open_it\n names.find { |name| Fiddle::Handle.new(name) rescue nil }\nend",
            &["6 Handle.new liba.so|libb.so-"],
        ),
        ("Fiddle::Function.new(handle['puts'], [], 0)", &[]),
    ] {
        assert_eq!(lines(source.as_bytes()), wanted, "{source}");
    }
}

#[test]
fn gems_of_a_gemfile() {
    let source = "source 'x'\ngem 'rails', '~> 7'\ngem 'debug', group: :test\ngroup :development do\n gem 'rubocop'\nend";
    assert_eq!(lines(source.as_bytes()), ["2 gem rails", "3 gem debug?", "5 gem rubocop?"]);
}

#[test]
fn paths_from_the_place_of_a_file() {
    for (text, wanted) in [
        (Text::FromFile(b"/..".to_vec()), Some("/app/bin")),
        (Text::FromFile(b"/../../lib/./x".to_vec()), Some("/app/lib/x")),
        (Text::FromFile(b"/../../../../../x".to_vec()), Some("/x")),
        (Text::Plain(b"/a/../b".to_vec()), Some("/b")),
        (Text::Plain(b"a".to_vec()), None),
        (Text::Plain(b"/a\0".to_vec()), None),
    ] {
        let found = text.path(&path("/app/bin/run")).map(|path| path.to_string());
        assert_eq!(found.as_deref(), wanted, "{text:?}");
    }
}

#[test]
fn what_is_no_ruby_is_said_and_names_nothing() {
    let source = read(b"require 'a'\ndef x(\n");
    assert!(source.mentions.is_empty());
    assert!(source.problem.is_some_and(|problem| problem.line.is_some() && !problem.message.is_empty()));
    assert!(read(b"\x7fELF\x02\x01\x01\0\0").problem.is_some());
    assert_eq!(read(b""), Source::default());
    let long = vec![b'\n'; LONGEST + 1];
    assert!(read(&long).problem.is_some_and(|problem| problem.message.contains("longer")));
}

#[test]
fn no_depth_is_too_deep() {
    // The parser stops at ten thousand levels.
    let times = 11_000;
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "", "]"),
        ("{a: ", "1", "}"),
        ("a.b(", "", ")"),
        ("!", "1", ""),
        ("- ", "1", ""),
        ("a = ", "1", ""),
        ("a ? b : ", "c", ""),
        ("if a then ", "1", " end"),
        ("if a\nelsif b\n", "", ""),
        ("begin\n", "", "\nrescue\nend"),
        ("def a = ", "1", ""),
        ("def a\n", "", "\nend"),
        ("class A\n", "", "\nend"),
        ("a { ", "", " }"),
        ("-> { ", "", " }"),
        ("\"#{", "", "}\""),
        ("/#{", "", "}/"),
        ("/(", "", ")/"),
        ("not ", "1", ""),
        ("a b ", "1", ""),
        ("case a\nin [", "", "]\nend"),
        ("a in [", "b", "]"),
    ] {
        let source = [open.repeat(times), middle.into(), close.repeat(times)].concat();
        let _ = read(source.as_bytes());
    }
    // Chains do not nest for the parser, but for whoever walks its tree.
    for (head, link) in [
        ("a", ".b"),
        ("1", " + 1"),
        ("A", "::B"),
        ("a", "[0]"),
        ("a", " && b"),
        ("a", " or b"),
        ("a", " if b"),
        ("a", " rescue b"),
        ("begin\n", "rescue A\n"),
        ("if a\n", "elsif b\n"),
        ("case a\n", "when b\n"),
        ("'a'", " 'b'"),
        ("case a\nin b", " | c"),
        ("case a\nin b", " => c"),
        ("x = 'a'", " + 'a'"),
        ("require 'a'", " + 'a'"),
    ] {
        let source = [head.to_owned(), link.repeat(times), "\nrequire 'last'".to_owned()].concat();
        let _ = read(source.as_bytes());
    }
    let chain = [String::from("x"), ".y".repeat(times), "\nrequire 'last'".to_owned()].concat();
    assert_eq!(lines(chain.as_bytes()), ["2 require last"]);
}

#[test]
fn what_nests_deeper_than_the_parser_goes_is_no_program() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{a: ", "}"), ("a { ", " }")] {
        let nested = |times: usize| [open.repeat(times), "1".to_owned(), close.repeat(times)].concat();
        assert_eq!(read(nested(1_000).as_bytes()).problem, None, "{open}");
        let source = read(nested(100_000).as_bytes());
        assert!(source.problem.is_some_and(|problem| problem.line == Some(1)), "{open}");
        assert_eq!(source.mentions, []);
    }
}

#[test]
fn words_for_opening_libraries() {
    for (source, wanted) in [
        ("extend FFI::Library\nffi_lib 'a'", true),
        ("require 'fiddle'", false),
        ("Fiddle.dlopen", true),
        ("", false),
    ] {
        assert_eq!(may_open_libraries(source.as_bytes()), wanted, "{source}");
    }
}

proptest! {
    #[test]
    fn never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&noise);
    }

    #[test]
    fn never_panics_on_what_looks_like_ruby(words in proptest::collection::vec(prop::sample::select(vec![
        "require", "'a'", "(", ")", "begin\n", "rescue", " LoadError", "\n", "end\n", "if ", "x", "=", "\"", "#{", "}", "Fiddle", ".dlopen", "ffi_lib ",
        "[", "]", ",", "do |a|", "def ", "class ", "<<~A\n", "A\n", "?", ":", "::", "%w[", "/", "$:", "<<", "__END__\n", "__FILE__", "File.join", "\0", "=begin\n", "|| ",
    ]), 0..60)) {
        let source = words.concat();
        let _ = read(source.as_bytes());
    }
}

#[test]
fn a_cut_anywhere_is_read() {
    let source = b"begin\n require 'a'\nrescue LoadError\n $:.unshift File.join(__dir__, \"x#{1}\")\nend\nffi_lib %w[a b]\n";
    for length in 0..source.len() {
        let _ = read(&source[..length]);
    }
}
