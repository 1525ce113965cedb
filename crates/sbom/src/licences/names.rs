//! Which identifier of SPDX's list a name means.
//!
//! Debian's short names are those of the machine-readable copyright format 1.0, 7.1.2: without regard to case, with a
//! version that may leave out `.0`, and `+` for "or any later version".

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Names that mean a licence of the list and are not spelled as there.
const ALIASES: [(&str, &str); 8] = [
    ("2-clause-bsd", "BSD-2-Clause"),
    ("3-clause-bsd", "BSD-3-Clause"),
    // Debian's text of it, in /usr/share/common-licenses, is that of Perl.
    ("artistic", "Artistic-1.0-Perl"),
    ("cc0", "CC0-1.0"),
    ("expat", "MIT"),
    ("sil-1.1", "OFL-1.1"),
    ("sil-ofl-1.1", "OFL-1.1"),
    ("zlib/libpng", "Zlib"),
];

/// The families whose identifiers say in words whether a later version may be chosen, with what stands between version
/// and word.
const GNU: [(&str, &str, &str); 5] = [
    ("agpl", "AGPL", ""),
    ("gfdl", "GFDL", ""),
    ("gfdl-niv", "GFDL", "-no-invariants"),
    ("gpl", "GPL", ""),
    ("lgpl", "LGPL", ""),
];

/// The identifiers of the list that are in use, by their lower-case form.
static LISTED: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let current = spdx::identifiers::LICENSES.iter().filter_map(|licence| spdx::license_id(licence.name));
    current
        .filter(|licence| !licence.is_deprecated())
        .map(|licence| (licence.name.to_ascii_lowercase(), licence.name))
        .collect()
});

/// The identifier that is spelled like this, without regard to case.
pub(super) fn listed(name: &str) -> Option<&'static str> {
    LISTED.get(&name.to_ascii_lowercase()).copied()
}

/// The licence that `name` means, with `exception` where one is given: the keywords before the word "exception".
pub(super) fn identifier(name: &str, exception: Option<&str>) -> Option<String> {
    let licence = plain(name)?;
    match exception {
        None => Some(licence),
        Some(keywords) => Some(format!("{licence} WITH {}", exception_of(keywords, &licence)?)),
    }
}

fn plain(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    if let Some(licence) = exact(&name) {
        return Some(licence.to_owned());
    }
    let (base, later) = name.strip_suffix('+').map_or((name.as_str(), false), |base| (base, true));
    gnu(base, later).or_else(|| match (exact(base)?, later) {
        // The GNU licences of the list say in words what `+` says.
        (licence, true) if licence.ends_with("-only") || licence.ends_with("-or-later") => None,
        (licence, true) => Some(format!("{licence}+")),
        (licence, false) => Some(licence.to_owned()),
    })
}

/// A name of the list or an alias, with or without `.0`.
fn exact(name: &str) -> Option<&'static str> {
    let alias = || ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, licence)| *licence);
    let with_minor = || listed(&format!("{name}.0"));
    listed(name).or_else(alias).or_else(with_minor)
}

fn gnu(base: &str, later: bool) -> Option<String> {
    let (family, version) = base.rsplit_once('-')?;
    let (_, family, infix) = GNU.iter().find(|(name, ..)| *name == family)?;
    let minor = if version.contains('.') { "" } else { ".0" };
    let word = if later { "or-later" } else { "only" };
    listed(&format!("{family}-{version}{minor}{infix}-{word}")).map(str::to_owned)
}

/// The exception that these keywords mean for a licence. Debian defines no list: these are the ones that mean the same
/// text wherever they are used.
fn exception_of(keywords: &str, licence: &str) -> Option<&'static str> {
    let gpl = licence.strip_prefix("GPL-").unwrap_or_default();
    match keywords.to_ascii_lowercase().as_str() {
        "autoconf" if gpl.starts_with("2.0") => Some("Autoconf-exception-2.0"),
        "autoconf" if gpl.starts_with("3.0") => Some("Autoconf-exception-3.0"),
        "bison" if !gpl.is_empty() => Some("Bison-exception-2.2"),
        "classpath" if !gpl.is_empty() => Some("Classpath-exception-2.0"),
        "font" if !gpl.is_empty() => Some("Font-exception-2.0"),
        "gcc" | "gcc-runtime-library" if gpl.starts_with("3.0") => Some("GCC-exception-3.1"),
        "libtool" if !gpl.is_empty() => Some("Libtool-exception"),
        "llvm" => Some("LLVM-exception"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_a_licence_of_the_list() {
        let cases = [
            ("Expat", "MIT"),
            ("mit", "MIT"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("BSD-4-clause-UC", "BSD-4-Clause-UC"),
            ("Artistic", "Artistic-1.0-Perl"),
            ("Artistic-2", "Artistic-2.0"),
            ("Apache-2", "Apache-2.0"),
            ("CC0", "CC0-1.0"),
            ("CC-BY-SA-3.0", "CC-BY-SA-3.0"),
            ("GPL-1+", "GPL-1.0-or-later"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2.0", "GPL-2.0-only"),
            ("GPL-2.0-only", "GPL-2.0-only"),
            ("gpl-3.0-or-later", "GPL-3.0-or-later"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("AGPL-3", "AGPL-3.0-only"),
            ("GFDL-1.3+", "GFDL-1.3-or-later"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("MPL-1.1", "MPL-1.1"),
            ("MPL-1.1+", "MPL-1.1+"),
            ("Zlib", "Zlib"),
            ("zlib/libpng", "Zlib"),
            ("Ruby", "Ruby"),
            ("Unicode-DFS-2016", "Unicode-DFS-2016"),
        ];
        for (name, expected) in cases {
            assert_eq!(identifier(name, None).as_deref(), Some(expected), "{name}");
            spdx::Expression::parse(expected).unwrap();
        }
    }

    #[test]
    fn names_that_mean_none() {
        let cases = [
            "",
            "+",
            "-",
            "GPL",
            "GPL-",
            "GPL-7+",
            "GPL-2++",
            "GPL-2.0-only+",
            "BSD",
            "public-domain",
            "Perl",
            "BSD-3-clause-Regents",
            "BSD-2-Clause-NetBSD",
            "permissive",
            "é",
            "LicenseRef-x",
        ];
        for name in cases {
            assert_eq!(identifier(name, None), None, "{name}");
        }
    }

    #[test]
    fn exceptions() {
        let cases = [
            ("GPL-2+", "Autoconf", Some("GPL-2.0-or-later WITH Autoconf-exception-2.0")),
            ("GPL-3+", "autoconf", Some("GPL-3.0-or-later WITH Autoconf-exception-3.0")),
            ("GPL-3+", "Bison", Some("GPL-3.0-or-later WITH Bison-exception-2.2")),
            ("GPL-2", "Font", Some("GPL-2.0-only WITH Font-exception-2.0")),
            ("Apache-2.0", "LLVM", Some("Apache-2.0 WITH LLVM-exception")),
            ("GPL-1", "autoconf", None),
            ("GPL-2+", "OpenSSL", None),
            ("Expat", "autoconf", None),
            ("Expat", "bison", None),
            ("Expat", "", None),
        ];
        for (name, exception, expected) in cases {
            assert_eq!(identifier(name, Some(exception)).as_deref(), expected, "{name} {exception}");
            if let Some(expected) = expected {
                spdx::Expression::parse(expected).unwrap();
            }
        }
    }
}
