//! The text of `/etc/ld.so.conf`: which folders `ldconfig` looks into for libraries (ldconfig(8)).
//!
//! A line names a folder or, after `include`, files by pattern; `#` starts a comment. What ldconfig warns about and
//! passes over (relative folders, the `hwcap` lines of old) is passed over here.

/// One line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A folder, absolute.
    Folder(&'a [u8]),
    /// A pattern of further files; relative to the folder of this file where it has no leading slash.
    Include(&'a [u8]),
}

/// Reads the lines in their order.
pub(crate) fn parse(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    text.split(|&byte| byte == b'\n').flat_map(|line| {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        let include =
            line.strip_prefix(b"include").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
        // One `include` may name several patterns; a folder is the whole line, and may end with `=type` (libc4).
        let patterns = include.into_iter().flat_map(words).map(Line::Include);
        let folder = line.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
        let is_folder = include.is_none() && folder.starts_with(b"/");
        patterns.chain(is_folder.then_some(Line::Folder(folder)))
    })
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        let text = b"# Multiarch support\n\
            /usr/local/lib/x86_64-linux-gnu\n\
            \t/lib/x86_64-linux-gnu # with a comment\r\n\
            include /etc/ld.so.conf.d/*.conf more.conf\n\
            include\t tabbed.conf\n\
            includes-nothing\n\
            hwcap 1 nosegneg\n\
            relative/folder\n\
            /opt/with space/lib\n\
            /old=libc4\n\
            /last";
        let lines: Vec<_> = parse(text).collect();
        assert_eq!(
            lines,
            [
                Line::Folder(b"/usr/local/lib/x86_64-linux-gnu"),
                Line::Folder(b"/lib/x86_64-linux-gnu"),
                Line::Include(b"/etc/ld.so.conf.d/*.conf"),
                Line::Include(b"more.conf"),
                Line::Include(b"tabbed.conf"),
                Line::Folder(b"/opt/with space/lib"),
                Line::Folder(b"/old"),
                Line::Folder(b"/last"),
            ]
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text).count();
            let _ = parse(&[b"include ", text.as_slice()].concat()).count();
        }
    }
}
