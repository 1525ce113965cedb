//! Libraries that a Ruby program opens by name (`Fiddle.dlopen`, `ffi_lib`), looked up as the loader would for that
//! program (dlopen(3)).

use std::sync::Arc;

use memchr::memmem;
use rootfs::RootPath;

use crate::engine::escaped;
use crate::finding::FindingKind;
use crate::ruby_source::{Call, Mention, Text};
use crate::scope::Scope;
use crate::search::{Defaults, Place, System};

/// Where the gem ffi looks for a library that the loader does not find (`FFI::DynamicLibrary::SEARCH_PATH`).
const FFI_FOLDERS: [&str; 3] = ["/usr/lib", "/usr/local/lib", "/opt/local/lib"];

/// The first library that opens of those that a mention names.
pub(crate) fn find(
    scope: &Scope<'_>,
    program: &RootPath,
    file: &RootPath,
    mention: &Mention,
) -> Option<(Arc<Place>, Arc<System>)> {
    let system = scope.search.system_of(&*scope.search.object(program)?);
    let find = |name: Vec<u8>| scope.search.find(&system, &name, &[], Defaults::Searched).ok();
    mention
        .names
        .iter()
        .flat_map(|text| candidates(mention.call, text, file))
        .find_map(find)
        .map(|place| (place, Arc::clone(&system)))
}

/// What is wrong where none of them is there.
pub(crate) fn missing(mention: &Mention) -> FindingKind {
    FindingKind::OptionalLibraryNotFound { name: names(mention) }
}

/// The names of a mention as people read them.
pub(crate) fn names(mention: &Mention) -> String {
    mention.names.iter().map(name).collect::<Vec<_>>().join(" or ")
}

/// A name as people read it: of a path from the file itself, what the file's folder is left away.
pub(crate) fn name(text: &Text) -> String {
    match text {
        Text::Plain(name) => escaped(name),
        Text::FromFile(path) => escaped(path.strip_prefix(b"/../").unwrap_or(path)),
    }
}

/// The names that the loader gets for one that a program gives.
fn candidates(call: Call, text: &Text, file: &RootPath) -> Vec<Vec<u8>> {
    let name = match text {
        Text::FromFile(_) => {
            return text.path(file).map(|path| vec![path.as_bytes().to_vec()]).unwrap_or_default();
        }
        Text::Plain(name) => name,
    };
    if call != Call::FfiLibrary || name.starts_with(b"/") {
        return vec![name.clone()];
    }
    let mapped = mapped(name);
    let elsewhere = FFI_FOLDERS.iter().map(|folder| [folder.as_bytes(), b"/", &mapped].concat());
    [name.clone(), mapped.clone()].into_iter().chain(elsewhere).collect()
}

/// `sodium` becomes `libsodium.so`, and `c` what it is on Linux (`FFI.map_library_name`).
fn mapped(name: &[u8]) -> Vec<u8> {
    if name == b"c" {
        return b"libc.so.6".to_vec();
    }
    let prefix: &[u8] = if name.starts_with(b"lib") { b"" } else { b"lib" };
    let suffix: &[u8] = if memmem::find(name, b".so").is_some() { b"" } else { b".so" };
    [prefix, name, suffix].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_gem_ffi_makes_them() {
        for (name, wanted) in [
            ("sodium", "libsodium.so"),
            ("libsodium", "libsodium.so"),
            ("libsodium.so.23", "libsodium.so.23"),
            ("z.so.1", "libz.so.1"),
            ("c", "libc.so.6"),
        ] {
            assert_eq!(String::from_utf8(mapped(name.as_bytes())).unwrap(), wanted);
        }
    }
}
