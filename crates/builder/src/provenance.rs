//! Where an image comes from, as a predicate of SLSA's ("Provenance", version 1): the project's source, its lock, and every
//! package and tarball behind the image, by digest. An image is the same wherever it is built from these.

use std::collections::BTreeMap;

use schema::lock::Lock;
use schema::{Architecture, Digest};
use serde::Serialize;

use crate::plan::Target;
use crate::project::LOCK;
use crate::{BuildError, Builder, packages_of};

/// How the fields of the predicate are to be understood.
const BUILD_TYPE: &str =
    "https://github.com/distroless-ruby/distroless-ruby/blob/main/docs/releasing.md#provenance";

/// Who built, and from which source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Where the source is, as in `git+https://github.com/team/project@refs/heads/main`.
    pub source: String,
    /// Its commit.
    pub commit: String,
    /// What built: a URI that stands for it and all that it trusts.
    pub builder: String,
    /// Which run of it that was.
    pub invocation: Option<String>,
}

/// The predicate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance<'a> {
    build_definition: BuildDefinition<'a>,
    run_details: RunDetails<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition<'a> {
    build_type: &'static str,
    external_parameters: ExternalParameters<'a>,
    resolved_dependencies: Vec<Resource>,
}

#[derive(Debug, Serialize)]
struct ExternalParameters<'a> {
    image: &'a str,
    architecture: Architecture,
}

/// What in-toto calls a resource descriptor: by its address, or by the name that the lock has for it.
#[derive(Debug, Serialize)]
struct Resource {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    digest: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize)]
struct RunDetails<'a> {
    builder: BuilderId<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
}

#[derive(Debug, Serialize)]
struct BuilderId<'a> {
    id: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    invocation_id: &'a str,
}

impl Resource {
    fn named(name: impl Into<String>, digest: Digest) -> Self {
        Self { uri: None, name: Some(name.into()), digest: BTreeMap::from([("sha256", digest.hex())]) }
    }
}

impl Builder {
    /// Where the image of a target comes from.
    ///
    /// # Errors
    /// What it was built from is not locked.
    pub fn provenance<'a>(
        &self,
        target: &'a Target,
        origin: &'a Origin,
    ) -> Result<Provenance<'a>, BuildError> {
        let Origin { source, commit, builder, invocation } = origin;
        let not_locked = || BuildError::NotLocked { distro: target.row.distro.clone() };
        let lock = self.project.lock.as_ref().ok_or_else(not_locked)?;
        let commit = BTreeMap::from([("gitCommit", commit.clone())]);
        let mut dependencies = vec![
            Resource { uri: Some(source.clone()), name: None, digest: commit },
            Resource::named(LOCK, Digest::of(lock.render().as_bytes())),
        ];
        dependencies.extend(self.materials(lock, target)?);
        Ok(Provenance {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE,
                external_parameters: ExternalParameters {
                    image: &target.name,
                    architecture: target.architecture,
                },
                resolved_dependencies: dependencies,
            },
            run_details: RunDetails {
                builder: BuilderId { id: builder },
                metadata: invocation.as_deref().map(|invocation_id| Metadata { invocation_id }),
            },
        })
    }

    /// Every package behind a target, the image or tarball that its Ruby is taken from, and what that is compiled with.
    fn materials(&self, lock: &Lock, target: &Target) -> Result<Vec<Resource>, BuildError> {
        let recipe = self.recipe(lock, target)?;
        let mut packages = BTreeMap::new();
        for step in self.steps(lock, target)? {
            packages.extend(packages_of(lock, &step.set)?);
        }
        let mut others = Vec::new();
        if let Some(recipe) = &recipe {
            let (tarball, compiler) = recipe.materials();
            others.push(Resource {
                uri: tarball.urls.first().cloned(),
                ..Resource::named("tarball", tarball.digest)
            });
            packages.extend(compiler.iter().map(|(key, package)| (*key, *package)));
        }
        if let Some((key, image)) =
            target.image_key().and_then(|key| Some((key.clone(), lock.images.get(&key)?)))
        {
            others.push(Resource::named(key.image.to_string(), image.digest));
        }
        others.extend(packages.into_values().map(|package| Resource::named(&*package.path, package.digest)));
        Ok(others)
    }
}
