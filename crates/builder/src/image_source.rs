//! An image that somebody else built, as a source of files: pulled from a registry, or read from a layout or an archive
//! of the project. Whatever it comes from, it ends as one tree, every layer of which has the digest that the image's
//! configuration says.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cache::{Client, Store, StoreError};
use oci::document::ImageConfig;
use oci::{ArchiveError, ArchivedImage, ImageLayer, Layout, LayoutError, Prefer, UnpackError};
use rayon::prelude::*;
use registry::{Hosts, Keychain, Registry, RegistryError};
use rootfs::{Content, Dialect, Layer, Limits, Origin, StackError, TarError, Tree};
use schema::lock::ImageKey;
use schema::matrix::{ImageName, LocalImage, RegistryAccess};
use schema::reference::Reference;
use schema::{Architecture, Digest};

use crate::contents::TAR;
use crate::observer::{Event, Observer};

/// The largest tar that is unpacked from a layer, in bytes: far above every image met so far.
const TAR_LIMIT: u64 = 8 << 30;

/// An image that cannot be had, or is none.
#[derive(Debug, thiserror::Error)]
pub enum ImageSourceError {
    /// The address of a mirror is none.
    #[error("matrix.toml has a wrong registry")]
    Mirror(#[from] registry::HostError),
    /// The registry does not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The cache does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image is not as it should be.
    #[error("cannot use the image {image}")]
    Image {
        /// The image.
        image: ImageName,
        /// What is wrong.
        source: ImageFault,
    },
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageFault {
    /// Its layout does not have it, or not whole.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its archive does not have it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Its archive cannot be read.
    #[error("its archive cannot be read")]
    Read(#[from] io::Error),
    /// The cache does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is for another machine.
    #[error("it is for {found}, and not for linux/{wanted}")]
    Architecture {
        /// What it is for.
        found: String,
        /// What is wanted.
        wanted: Architecture,
    },
    /// Its layout has several images, or none, and the matrix does not say which.
    #[error("its layout has {}", named(.0))]
    Which(Vec<String>),
    /// It is another one than the lock says.
    #[error("it has the digest {found}, and matrix.lock says {locked}")]
    Changed {
        /// The digest that it has.
        found: Digest,
        /// The one that was locked.
        locked: Digest,
    },
    /// A layer does not give the tar that it should.
    #[error("cannot unpack its layer {digest}")]
    Unpack {
        /// The digest of the layer.
        digest: Digest,
        /// What is wrong with it.
        source: UnpackError,
    },
    /// A layer's tar is not one of an image.
    #[error("cannot read the tar of its layer {digest}")]
    Tar {
        /// The digest of the layer.
        digest: Digest,
        /// What is wrong with it.
        source: TarError,
    },
    /// A layer does not go on top of those below it.
    #[error("cannot stack its layer {digest}")]
    Stack {
        /// The digest of the layer.
        digest: Digest,
        /// What is wrong with it.
        source: StackError,
    },
    /// What its package manager knows is none.
    #[error("`{file}` in it cannot be read")]
    Status {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: debian::status::StatusError,
    },
    /// It does not have the Ruby of its row.
    #[error("it has no Ruby {series}, {}", there_is(rubies))]
    NoRuby {
        /// The Ruby of the row.
        series: String,
        /// What it has.
        rubies: Vec<String>,
    },
}

fn named(names: &[String]) -> String {
    match names {
        [] => "no image with a name".to_owned(),
        names => format!("the images {}", names.join(", ")),
    }
}

fn there_is(rubies: &[String]) -> String {
    match rubies {
        [] => "nor any other in /usr/local or /usr".to_owned(),
        rubies => format!("but {}", rubies.join(" and ")),
    }
}

impl ImageSourceError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Mirror(_) => None,
            Self::Image { image, source } => match source {
                ImageFault::Changed { .. } => {
                    Some("`cargo xtask update` locks the image that is there now".to_owned())
                }
                ImageFault::Which(names) => Some(match (names.first(), image) {
                    (Some(name), ImageName::Layout(LocalImage { path, .. })) => {
                        format!("say which in matrix.toml, as `oci:{path}:{name}`")
                    }
                    _ => "give it a name, as `skopeo copy SOURCE oci:FOLDER:NAME` does".to_owned(),
                }),
                ImageFault::Archive(ArchiveError::Which(names)) if !names.is_empty() => {
                    Some("say which in matrix.toml, as `docker-archive:FILE:NAME`".to_owned())
                }
                ImageFault::Layout(error) => match &*error.fault {
                    oci::Fault::NoReference { .. } | oci::Fault::NoArchitecture { .. } => error.hint(),
                    _ => {
                        Some("write the layout anew, as `skopeo copy SOURCE oci:FOLDER:NAME` does".to_owned())
                    }
                },
                ImageFault::NoRuby { .. } => Some(
                    "take another image, or write the Ruby that this one has into matrix.toml".to_owned(),
                ),
                ImageFault::Store(error) => error.hint(),
                _ => None,
            },
        }
    }
}

/// How registries are reached that a matrix speaks of.
///
/// # Errors
/// The address of a mirror that is none.
pub(crate) fn hosts<'a>(
    registries: impl IntoIterator<Item = (&'a String, &'a RegistryAccess)>,
) -> Result<Hosts, ImageSourceError> {
    let mut hosts = Hosts::default();
    for (registry, access) in registries {
        if access.plain_http {
            hosts = hosts.plain_http(registry);
        }
        for mirror in &access.mirrors {
            hosts = hosts.mirror(registry, mirror)?;
        }
    }
    Ok(hosts)
}

/// Who brings images.
pub(crate) struct Images<'a> {
    pub(crate) store: &'a Store,
    pub(crate) client: &'a Client,
    pub(crate) hosts: &'a Hosts,
    pub(crate) keychain: &'a Keychain,
    /// The project's folder.
    pub(crate) root: &'a Path,
    pub(crate) observer: &'a dyn Observer,
}

/// An image that was brought: every byte of it is verified.
pub(crate) struct Brought {
    /// What it is locked by.
    pub digest: Digest,
    /// Its layers, lowest first: the digest of each tar, and the tar.
    pub layers: Vec<(Digest, Content)>,
    /// Its files.
    pub tree: Tree,
}

/// An image that is at hand.
struct Found {
    digest: Digest,
    config: ImageConfig,
    layers: Vec<(ImageLayer, Content)>,
}

impl Images<'_> {
    /// An image: the one that is locked, or the one that its name leads to now.
    ///
    /// # Errors
    /// An image that cannot be had, that is damaged, or that is not the locked one.
    pub(crate) fn bring(
        &self,
        key @ ImageKey { image, architecture }: &ImageKey,
        locked: Option<Digest>,
    ) -> Result<Brought, ImageSourceError> {
        let failed = |source| ImageSourceError::Image { image: image.clone(), source };
        let found = match image {
            ImageName::Registry(reference) => self.pulled(key, reference, locked)?,
            ImageName::Layout(local) => self.in_layout(local, *architecture).map_err(failed)?,
            ImageName::Archive(local) => self.in_archive(local).map_err(failed)?,
        };
        if let Some(locked) = locked.filter(|locked| *locked != found.digest) {
            return Err(failed(ImageFault::Changed { found: found.digest, locked }));
        }
        let ImageConfig { os, architecture: machine, .. } = &found.config;
        if os != "linux" || machine != architecture.name() {
            let found = format!("{os}/{machine}");
            return Err(failed(ImageFault::Architecture { found, wanted: *architecture }));
        }
        let (layers, tree) = self.unpacked(found.layers).map_err(failed)?;
        Ok(Brought { digest: found.digest, layers, tree })
    }

    fn pulled(
        &self,
        key: &ImageKey,
        reference: &Reference,
        locked: Option<Digest>,
    ) -> Result<Found, ImageSourceError> {
        let registry = Registry::new(self.client, self.hosts, self.keychain);
        let reference = match locked {
            Some(digest) => reference.clone().pinned(digest),
            None => reference.clone(),
        };
        let pulling = Pulling::new(self.store, &key.image, self.observer);
        let pulled = registry.pull(self.store, &reference, key.architecture, &pulling);
        pulling.end();
        let image = pulled?;
        let layers = image.layers.into_iter().map(|layer| {
            let content = layer.blob.content().clone();
            (ImageLayer { descriptor: layer.descriptor, diff_id: layer.diff_id }, content)
        });
        let digest = image.reference.digest().expect("a pulled image is pinned");
        Ok(Found { digest, config: image.config, layers: layers.collect() })
    }

    fn in_layout(&self, local: &LocalImage, architecture: Architecture) -> Result<Found, ImageFault> {
        let layout = Layout::open(&self.root.join(&local.path))?;
        let name = match &local.name {
            Some(name) => name.clone(),
            None => {
                let names: Vec<String> =
                    layout.references()?.into_keys().map(|name| name.to_string()).collect();
                match <[String; 1]>::try_from(names) {
                    Ok([name]) => name,
                    Err(names) => return Err(ImageFault::Which(names)),
                }
            }
        };
        let image = layout.resolve(&name)?.image(architecture, Prefer::Zstd)?;
        let layers = image.layers.into_iter().map(|layer| {
            let content = layout.blob(&layer.descriptor)?;
            Ok((layer, content))
        });
        let layers = layers.collect::<Result<_, LayoutError>>()?;
        Ok(Found { digest: image.descriptor.digest, config: image.config, layers })
    }

    /// An archive is copied into the cache first: what is mapped into memory may not change.
    fn in_archive(&self, local: &LocalImage) -> Result<Found, ImageFault> {
        let mut file = fs_err::File::open(self.root.join(&local.path))?;
        let mut writer = self.store.writer()?;
        io::copy(&mut file, &mut writer)?;
        let archive = writer.finish()?;
        let image = ArchivedImage::open(archive.content().clone(), local.name.as_deref())?;
        Ok(Found { digest: image.id, config: image.config, layers: image.layers })
    }

    /// The layers, unpacked, and stacked.
    fn unpacked(
        &self,
        layers: Vec<(ImageLayer, Content)>,
    ) -> Result<(Vec<(Digest, Content)>, Tree), ImageFault> {
        let unpacked = layers.into_par_iter().map(|(ImageLayer { descriptor, diff_id }, content)| {
            let digest = descriptor.digest;
            let tar = self.store.derive(TAR, &diff_id, |out| {
                oci::unpack(&content, &descriptor.media_type, diff_id, TAR_LIMIT, out)
                    .map(drop)
                    .map_err(|source| ImageFault::Unpack { digest, source })
            })?;
            let layer = Layer::parse(tar.content().clone(), Dialect::Oci, Limits::default())
                .map_err(|source| ImageFault::Tar { digest, source })?;
            Ok((digest, (diff_id, tar.content().clone()), layer))
        });
        let unpacked: Vec<Result<_, ImageFault>> = unpacked.collect();
        let (mut tars, mut tree) = (Vec::new(), Tree::new());
        for unpacked in unpacked {
            let (digest, tar, layer) = unpacked?;
            tars.push(tar);
            tree.stack(&layer, Origin::default()).map_err(|source| ImageFault::Stack { digest, source })?;
        }
        Ok((tars, tree))
    }
}

/// Tells of a pull, where something has to come.
struct Pulling<'a> {
    store: &'a Store,
    image: &'a ImageName,
    observer: &'a dyn Observer,
    state: Mutex<State>,
}

/// How far a pull is told of.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing has to come, as far as is known; so many bytes are to be there.
    Quiet { bytes: u64, there: u64 },
    /// It was told of.
    Told,
}

impl<'a> Pulling<'a> {
    fn new(store: &'a Store, image: &'a ImageName, observer: &'a dyn Observer) -> Self {
        Self { store, image, observer, state: Mutex::new(State::Quiet { bytes: 0, there: 0 }) }
    }

    fn end(self) {
        if let Ok(State::Told) = self.state.into_inner() {
            self.observer.observe(&Event::PullingDone);
        }
    }
}

impl registry::Progress for Pulling<'_> {
    fn tell(&self, event: &registry::Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (*event, *state) {
            (registry::Event::Begin { bytes, .. }, _) => *state = State::Quiet { bytes, there: 0 },
            (registry::Event::Blob { digest, .. }, State::Quiet { bytes, there })
                if bytes > 0 && !self.store.contains(digest) =>
            {
                *state = State::Told;
                self.observer.observe(&Event::Pulling { image: self.image, bytes });
                self.observer.observe(&Event::Pulled { bytes: there });
            }
            (registry::Event::Bytes { count, .. }, State::Quiet { bytes, there }) => {
                *state = State::Quiet { bytes, there: there + count };
            }
            (registry::Event::Bytes { count, .. }, State::Told) => {
                self.observer.observe(&Event::Pulled { bytes: count });
            }
            _ => {}
        }
    }
}
