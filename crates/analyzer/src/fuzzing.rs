//! Doors for the fuzzer to the parsers that are private otherwise. They are there only where it runs (`cfg(fuzzing)`).

/// Reads bytes as the content of a note on libraries that an object opens.
pub fn opened_note(bytes: &[u8]) {
    let list = crate::elf::read_opened(bytes).unwrap_or_default();
    assert!(list.iter().all(|opened| !opened.names.is_empty()));
}

/// Reads a text as the file in which Bundler locks gems: every name in it is a part of the text.
pub fn gemfile_lock(text: &str) {
    let lock = crate::gemfile_lock::Lock::parse(text);
    assert!(lock.gems.iter().all(|gem| text.contains(gem.name) && text.contains(gem.version)));
    assert!(lock.indispensable(None).iter().all(|name| text.contains(name)));
}

/// Reads bytes as Ruby code: what it names is at a line of it.
pub fn ruby_source(bytes: &[u8]) {
    let lines = 1 + memchr::memchr_iter(b'\n', bytes).count();
    for mention in crate::ruby_source::read(bytes).mentions {
        assert!(usize::try_from(mention.line).is_ok_and(|line| (1..=lines).contains(&line)));
    }
}
