//! The processors that an image can be for, under each of the names that others give them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 64-bit x86.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

/// A text that names no known architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an architecture known here: expected `amd64` or `arm64`")]
pub struct ArchitectureError(String);

impl Architecture {
    /// Every architecture, in the order in which people list them.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The name that Debian and the OCI image specification (`GOARCH`) share.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The folder name that Debian's multiarch gives it below `/usr/lib`, as `x86_64-linux-gnu`.
    pub const fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// The name that its kernel and QEMU have for it (uname(1), `--machine`).
    pub const fn machine_name(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The number that the headers of its ELF objects have for it (elf(5), `e_machine`).
    pub const fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }

    /// The architecture of this program, where it is one of ours.
    pub const fn host() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::Amd64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Arm64)
        } else {
            None
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Architecture {
    type Err = ArchitectureError;

    fn from_str(text: &str) -> Result<Self, ArchitectureError> {
        Self::ALL
            .into_iter()
            .find(|architecture| architecture.name() == text)
            .ok_or_else(|| ArchitectureError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for architecture in Architecture::ALL {
            assert_eq!(architecture.to_string().parse(), Ok(architecture));
        }
        assert!("x86_64".parse::<Architecture>().is_err());
    }
}
