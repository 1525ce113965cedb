//! What a file is, as far as rules want to know of every file: told by one look, which on a disk keeps no byte of it.

use rootfs::{Content, Entry, Kind, RootPath};

use crate::elf::is_elf;
use crate::ruby_source::{has_ruby_shebang, is_named_as_ruby, may_open_libraries};
use crate::shebang::KERNEL_LIMIT;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// An ELF object, be it whole or damaged.
    Object,
    /// A Ruby program, by its name or by its first line.
    Ruby { may_open_libraries: bool },
    /// Anything else.
    Other,
}

impl Nature {
    /// What the file of this name is.
    pub(crate) fn of(name: &[u8], content: &Content) -> Self {
        content.glance(Self::told_by(name), |start| Self::of_start(name, start, content))
    }

    /// How many of its first bytes tell what a file of this name is: of a Ruby program by its name, all.
    pub(crate) fn told_by(name: &[u8]) -> usize {
        if is_named_as_ruby(name) { usize::MAX } else { KERNEL_LIMIT }
    }

    /// What a path is of which a walk showed as many bytes.
    pub(crate) fn of_shown(path: &RootPath, entry: &Entry, start: Option<&[u8]>) -> Self {
        match (&entry.kind, start) {
            (Kind::File(file), Some(start)) => Self::of_start(path.name(), start, &file.content),
            _ => Self::Other,
        }
    }

    /// What the file is that starts with these bytes, as many as [`told_by`](Self::told_by) says.
    fn of_start(name: &[u8], start: &[u8], content: &Content) -> Self {
        let ruby = |source: &[u8]| Self::Ruby { may_open_libraries: may_open_libraries(source) };
        match start {
            _ if is_elf(start) => Self::Object,
            _ if is_named_as_ruby(name) => ruby(start),
            _ if has_ruby_shebang(start) => content.glance(usize::MAX, ruby),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_by_the_first_bytes() {
        let opens = Nature::Ruby { may_open_libraries: true };
        let opens_nothing = Nature::Ruby { may_open_libraries: false };
        for (name, bytes, wanted) in [
            ("libc.so.6", "\x7fELF\x02", Nature::Object),
            ("a.rb", "\x7fELF", Nature::Object),
            ("a", "\x7fEL", Nature::Other),
            ("a.rb", "Fiddle.dlopen 'a'", opens),
            ("Gemfile", "gem 'a'", opens_nothing),
            ("a.rb", "", opens_nothing),
            ("irb", "#!/usr/bin/ruby\n", opens_nothing),
            ("irb", "#!/usr/bin/env ruby\nffi_lib 'a'", opens),
            ("irb", "#!/bin/sh\nffi_lib 'a'", Nature::Other),
            ("a.txt", "Fiddle.dlopen 'a'", Nature::Other),
        ] {
            let content = Content::from(bytes.as_bytes().to_vec());
            assert_eq!(Nature::of(name.as_bytes(), &content), wanted, "{name} {bytes}");
        }
    }
}
