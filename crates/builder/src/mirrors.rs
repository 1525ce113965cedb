//! Where packages come from: the mirror that a person named, or that of the machine's apt, then the snapshot service.

use debian::mirror::{self, AptSources, Mirror};
use schema::lock::{Lock, LockedPackage};

use crate::{BuildError, Builder};

/// The mirrors of one project, the best first.
#[derive(Debug)]
pub(crate) struct Mirrors {
    pub(crate) all: Vec<Mirror>,
    security: Vec<String>,
}

impl Mirrors {
    /// Every address that a locked package may be at.
    pub(crate) fn addresses(&self, package: &LockedPackage) -> Vec<String> {
        let secure = self.security.contains(&package.suite);
        let bases = self.all.iter().filter_map(|mirror| match secure {
            true => mirror.security.as_deref(),
            false => Some(mirror.debian.as_str()),
        });
        bases.map(|base| format!("{base}/{}", package.path)).collect()
    }
}

impl Builder {
    /// The mirrors, and the snapshot service as it was when the lock was made.
    pub(crate) fn mirrors(&self, lock: &Lock) -> Result<Mirrors, BuildError> {
        let named = self.options.mirror.as_ref().or(self.project.matrix.mirror.as_ref());
        let mut all = match named {
            Some(named) => {
                vec![Mirror { debian: named.main.clone(), security: Some(named.security.clone()) }]
            }
            None => {
                let texts = self.options.apt_sources.iter().map(|(file, text)| {
                    match file.extension().is_some_and(|extension| extension == "sources") {
                        true => AptSources::Deb822(text),
                        false => AptSources::OneLine(text),
                    }
                });
                mirror::mirrors(texts).map_err(BuildError::AptSources)?
            }
        };
        // A mirror that was named is all that is wanted: an archive of one's own is not on the snapshot service.
        if named.is_none() {
            let time = lock.suites.iter().map(|suite| suite.date).max().unwrap_or(self.now);
            all.push(mirror::snapshot(time));
        }
        let distros = self.project.matrix.distros.values();
        let security = distros.flat_map(|distro| distro.security.iter().cloned()).collect();
        Ok(Mirrors { all, security })
    }
}
