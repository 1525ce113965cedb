//! Fixtures made in memory, for the tests of the other crates: nothing binary is kept in git.

pub mod archive;
pub mod deb;
pub mod docker_registry;
pub mod elf;
pub mod elf_sections;
pub mod openpgp;
pub mod tar;
pub mod web;
