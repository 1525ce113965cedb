//! An image's checks: what runs in a finished image, the engines that run it, and how each ended.
//!
//! A **check** is data of `image.toml`: a command, or a Ruby script that the image's own `ruby` reads from standard
//! input; so an image needs nothing but its Ruby, and every engine can run it. A [`Suite`] is all checks of an image
//! with their scripts. An [`Engine`] is one image that can be run: in the [`Sandbox`], or as a [`Container`] of Docker
//! or Podman. Every run has a container of its own with no network but its loopback, so that checks neither see each
//! other's ports and files nor anything outside.
//!
//! # The gem source
//!
//! Checks that install gems install them over HTTP. The gems are made by a script of the image's description
//! ([`schema::image::Gems`]), in the image, from the distro's own packages ([`GemPackages`]): it reads a tar of the
//! packages behind its `__END__` and writes a tar of the gem source. A check that wants gems gets a few lines in front
//! of its script that serve this tar, again from behind `__END__`, on its own loopback and put the address into
//! `GEM_SOURCE`. Thus no engine needs a network, a mounted folder or a second service.
//!
//! # Other machines
//!
//! An image for another architecture runs where there are [`Means`] for it: an emulator. Where there are none, its checks
//! are recorded as not run ([`Suite::not_run`]), with what is missing.
//!
//! # Invariants
//!
//! A check that fails is a value ([`schema::run::CheckOutcome::Failed`]); an error ([`EngineError`]) means that the
//! engine could not try. Results are in the order of the description, whatever ran first.

mod container;
mod engine;
mod error;
mod gems;
mod means;
mod owner;
mod sandboxed;
mod suite;
mod verdict;

pub use container::{Container, Tool};
pub use engine::{Ending, Engine, Outcome, Run};
pub use error::{EngineError, GemPackageFault, GemPackagesError, SuiteError};
pub use gems::GemPackages;
pub use means::{Means, NoMeans};
pub use sandboxed::Sandbox;
pub use suite::{Subject, Suite};
