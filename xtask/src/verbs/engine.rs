//! The engines, as flags name them.

use builder::check::EngineKind;
use checks::Tool;

use crate::cli::{EngineName, ToolName};

impl From<EngineName> for EngineKind {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Sandbox => Self::Sandbox,
            EngineName::Docker => Self::Container(Tool::Docker),
            EngineName::Podman => Self::Container(Tool::Podman),
        }
    }
}

impl From<ToolName> for Tool {
    fn from(name: ToolName) -> Self {
        match name {
            ToolName::Docker => Self::Docker,
            ToolName::Podman => Self::Podman,
        }
    }
}
