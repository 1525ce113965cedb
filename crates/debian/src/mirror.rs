//! Mirrors: where archives are, from the machine's apt configuration, and the snapshot service.
//!
//! A source of apt is one of Debian's by its shape: its suite is a Debian release, a component is `main`, and either
//! its address ends in `/debian` or has the updates of a release as well. Its host says nothing, as companies have
//! mirrors of their own. What other distributions and vendors publish has another shape; if not, its signature gives
//! it away.

use jiff::Timestamp;

use crate::control::{self, ControlError};
use crate::suite::ArchiveName;

/// The addresses of Debian's archives on one mirror: those that have `dists/` and `pool/` below them, without a slash
/// at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// That of the main archive.
    pub debian: String,
    /// That of the security archive, if this mirror has it.
    pub security: Option<String>,
}

impl Mirror {
    /// The address of an archive, if the mirror has it.
    pub fn address(&self, archive: ArchiveName) -> Option<&str> {
        match archive {
            ArchiveName::Main => Some(&self.debian),
            ArchiveName::Security => self.security.as_deref(),
        }
    }
}

/// The text of a file that tells apt where packages are (sources.list(5)).
#[derive(Debug, Clone, Copy)]
pub enum AptSources<'a> {
    /// The older form, a source in each line: `*.list`.
    OneLine(&'a str),
    /// The newer form, a source in each paragraph: `*.sources`.
    Deb822(&'a str),
}

/// A source that apt is told of.
#[derive(Debug)]
struct Source<'a> {
    addresses: Vec<&'a str>,
    suites: Vec<&'a str>,
    components: Vec<&'a str>,
}

/// The releases that a source may have as its suite, by the names that stay and by those that move on.
const RELEASES: [&str; 16] = [
    "jessie",
    "stretch",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
    "rc-buggy",
];

/// Finds Debian's mirrors in the configuration of apt: each address once, in the order of the configuration.
///
/// The security archive is often elsewhere than the main one; the first addresses of both belong together, then the
/// second ones, and so on. Only `http` and `https` addresses count.
///
/// # Errors
/// When a text of the newer form is no control data.
pub fn mirrors<'a>(texts: impl IntoIterator<Item = AptSources<'a>>) -> Result<Vec<Mirror>, ControlError> {
    let mut sources = Vec::new();
    for text in texts {
        match text {
            AptSources::OneLine(text) => sources.extend(text.lines().filter_map(one_line)),
            AptSources::Deb822(text) => sources.extend(deb822(text)?),
        }
    }
    sources.retain(|source| source.components.contains(&"main"));
    let served: Vec<(&str, &str)> = sources.iter().flat_map(Source::served).collect();
    let has_updates =
        |address: &str| served.iter().any(|(other, suite)| *other == address && suite.ends_with("-updates"));
    let (mut main, mut security) = (Vec::new(), Vec::new());
    for (address, suite) in &served {
        let found = match archive_of(suite) {
            Some(ArchiveName::Main) if address.ends_with("/debian") || has_updates(address) => &mut main,
            Some(ArchiveName::Security) => &mut security,
            _ => continue,
        };
        if !found.contains(address) {
            found.push(*address);
        }
    }
    let security = security.into_iter().map(Some).chain(std::iter::repeat(None));
    let pair = |(debian, security): (&str, Option<&str>)| Mirror {
        debian: debian.to_owned(),
        security: security.map(str::to_owned),
    };
    Ok(main.into_iter().zip(security).map(pair).collect())
}

impl<'a> Source<'a> {
    /// The addresses of a kind that is used here, without the last slash, each with each suite.
    fn served(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let addresses = self
            .addresses
            .iter()
            .filter(|address| ["http://", "https://"].iter().any(|scheme| address.starts_with(scheme)));
        addresses.flat_map(|address| self.suites.iter().map(|suite| (address.trim_end_matches('/'), *suite)))
    }
}

/// The archive that has a suite of that name, if Debian has such a suite.
fn archive_of(suite: &str) -> Option<ArchiveName> {
    let (release, archive) = match suite.split_once(['-', '/']) {
        None => (suite, ArchiveName::Main),
        // Until buster the security suites were called `buster/updates`.
        Some((release, "security")) => (release, ArchiveName::Security),
        Some((release, "updates")) if suite.contains('/') => (release, ArchiveName::Security),
        Some((release, "updates" | "backports" | "proposed-updates")) => (release, ArchiveName::Main),
        Some(_) => return None,
    };
    RELEASES.contains(&release).then_some(archive)
}

/// `deb [option=value ...] address suite component ...`
fn one_line(line: &str) -> Option<Source<'_>> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    if let Some(options) = rest.strip_prefix('[') {
        rest = options.split_once(']')?.1;
    }
    let mut words = rest.split_ascii_whitespace();
    Some(Source { addresses: vec![words.next()?], suites: vec![words.next()?], components: words.collect() })
}

fn deb822(text: &str) -> Result<Vec<Source<'_>>, ControlError> {
    let paragraphs = control::paragraphs(text)?;
    let used = paragraphs.iter().filter(|paragraph| {
        let disabled = paragraph.get("Enabled").is_some_and(|value| {
            ["no", "false", "without", "off", "disable"].iter().any(|word| value.eq_ignore_ascii_case(word))
        });
        !disabled && paragraph.words("Types").any(|kind| kind == "deb")
    });
    let sources = used.map(|paragraph| Source {
        addresses: paragraph.words("URIs").collect(),
        suites: paragraph.words("Suites").collect(),
        components: paragraph.words("Components").collect(),
    });
    Ok(sources.collect())
}

/// The mirror that shows Debian's archives as they were at that time: the snapshot service has everything that they
/// ever had.
pub fn snapshot(time: Timestamp) -> Mirror {
    let service = "snapshot";
    let address = |archive: ArchiveName| {
        format!("https://{service}.debian.org/archive/{archive}/{}", time.strftime("%Y%m%dT%H%M%SZ"))
    };
    Mirror { debian: address(ArchiveName::Main), security: Some(address(ArchiveName::Security)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mirror(debian: &str, security: Option<&str>) -> Mirror {
        Mirror { debian: debian.to_owned(), security: security.map(str::to_owned) }
    }

    #[test]
    fn mirrors_are_found_in_both_forms() {
        let one_line = AptSources::OneLine(
            "# mirror of the company\n\
             deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian/ trixie main contrib # x\n\
             deb-src http://source.example/debian trixie main\n\
             deb http://mirror.example/debian trixie-updates main\n\
             deb\thttp://mirror.example/security trixie-security main\n\
             #deb http://unused.example/debian trixie main\n",
        );
        let deb822 = AptSources::Deb822(
            "# comment\nTypes: deb deb-src\nURIs: https://one.example/debian\n# between\n https://two.example/pub/debian/\n\
             Suites: bookworm bookworm-updates\nComponents: main\n\n\
             Enabled: no\nTypes: deb\nURIs: https://off.example/debian\nSuites: bookworm\nComponents: main\n\n\
             Types: deb\nURIs: https://one.example/debian-security\nSuites: bookworm-security\nComponents: main\n",
        );
        let proxy = AptSources::OneLine(
            "deb http://proxy.example/remote/ trixie main\ndeb http://proxy.example/remote trixie-updates main\n",
        );
        assert_eq!(mirrors([proxy]), Ok(vec![mirror("http://proxy.example/remote", None)]));
        let first = mirror("http://mirror.example/debian", Some("http://mirror.example/security"));
        assert_eq!(mirrors([one_line]), Ok(vec![first.clone()]));
        let expected = [
            first,
            mirror("https://one.example/debian", Some("https://one.example/debian-security")),
            mirror("https://two.example/pub/debian", None),
        ];
        assert_eq!(mirrors([one_line, deb822]), Ok(expected.to_vec()));
    }

    #[test]
    fn sources_of_others_are_not_taken() {
        let lines = [
            "deb http://archive.example/ubuntu noble main restricted universe",
            "deb http://archive.example/ubuntu noble-security main",
            "deb http://archive.example/debian noble main",
            "deb https://vendor.example/linux/debian bookworm stable",
            "deb https://vendor.example/apt bookworm main",
            "deb https://vendor.example/debian bookworm-pgdg main",
            "deb https://vendor.example/kali kali-rolling main",
            "deb https://vendor.example/debian ./",
            "deb https://vendor.example/debian",
            "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main",
            "deb file:/srv/debian bookworm main",
            "deb cdrom:[Debian]/debian bookworm main",
            "deb tor+http://vendor.example/debian bookworm main",
            "debs http://vendor.example/debian bookworm main",
            "deb [arch=amd64 http://vendor.example/debian bookworm main",
        ];
        for line in lines {
            assert_eq!(mirrors([AptSources::OneLine(line)]), Ok(Vec::new()), "{line}");
        }
        assert!(mirrors([AptSources::Deb822("no field")]).is_err());
    }

    /// As Ubuntu 24.04 is set up, and Linux Mint on it.
    #[test]
    fn the_sources_of_ubuntu_are_not_taken() {
        let deb822 = "Types: deb\nURIs: http://archive.example/ubuntu/\nSuites: noble noble-updates noble-backports\n\
            Components: main restricted universe multiverse\nSigned-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n\n\
            Types: deb\nURIs: http://security.example/ubuntu/\nSuites: noble-security\nComponents: main\n";
        let one_line = "deb https://mint.example wilma main upstream import backport\n\
            deb http://archive.example/ubuntu noble-updates main\n\
            deb http://security.example/ubuntu/ noble-security main\n";
        assert_eq!(mirrors([AptSources::Deb822(deb822), AptSources::OneLine(one_line)]), Ok(Vec::new()));
        // A company's mirror of both: each is known by its suites.
        let both = "deb http://proxy.example/apt noble-updates main\ndeb http://proxy.example/apt noble main\n\
            deb http://proxy.example/debian trixie main\n";
        assert_eq!(
            mirrors([AptSources::OneLine(both)]),
            Ok(vec![mirror("http://proxy.example/debian", None)])
        );
    }

    #[test]
    fn the_suite_tells_the_archive() {
        let cases = [
            ("trixie", Some(ArchiveName::Main)),
            ("stable-updates", Some(ArchiveName::Main)),
            ("bookworm-backports", Some(ArchiveName::Main)),
            ("trixie-security", Some(ArchiveName::Security)),
            ("buster/updates", Some(ArchiveName::Security)),
            ("trixie-foo", None),
            ("jammy-security", None),
        ];
        for (suite, archive) in cases {
            assert_eq!(archive_of(suite), archive, "{suite}");
        }
    }

    #[test]
    fn a_snapshot_has_both_archives_at_one_time() {
        let mirror = snapshot("2026-11-21T09:15:44Z".parse().unwrap());
        for (archive, end) in [
            (ArchiveName::Main, ".debian.org/archive/debian/20261121T091544Z"),
            (ArchiveName::Security, ".debian.org/archive/debian-security/20261121T091544Z"),
        ] {
            assert!(mirror.address(archive).unwrap().ends_with(end), "{mirror:?}");
        }
    }

    #[test]
    fn a_cut_file_is_read_or_refused() {
        let one_line = "deb [arch=amd64] http://mirror.example/debian trixie-updates main # comment\n";
        for length in 0..one_line.len() {
            assert!(mirrors([AptSources::OneLine(&one_line[..length])]).is_ok());
        }
        let deb822 = "Types: deb\nURIs: http://mirror.example/debian\n\nSuites: trixie\nComponents: main\n";
        for length in 0..deb822.len() {
            let _ = mirrors([AptSources::Deb822(&deb822[..length])]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "((deb|URIs:|Suites:|http://|trixie|main|[]\\[ \n#/é-])){0,30}") {
            prop_assert!(mirrors([AptSources::OneLine(&text)]).is_ok());
            let _ = mirrors([AptSources::Deb822(&text)]);
        }
    }
}
