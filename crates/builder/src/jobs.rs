//! A matrix spread over several machines: a job for each row and architecture, each on a machine that it is for, so that
//! nothing is emulated and every check is run.

use schema::Architecture;
use schema::matrix::Row;
use serde::Serialize;

use crate::Builder;
use crate::selection::{self, Kinds, PlanError};

/// What one machine builds and checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// The name of the row.
    pub row: String,
    /// For which machines.
    pub architecture: Architecture,
    /// The label of the machine that the job is for, where the matrix names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// The group that the row is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What GitHub Actions take as a `strategy.matrix` (its workflow syntax, `jobs.<job_id>.strategy.matrix.include`).
#[derive(Debug, Serialize)]
pub struct Strategy {
    /// A job each.
    pub include: Vec<Job>,
}

impl Builder {
    /// The jobs for the rows of these groups, in the order of the matrix; of those in no group where none is named.
    ///
    /// # Errors
    /// A group that no row is in.
    pub fn jobs(&self, groups: &Kinds) -> Result<Vec<Job>, PlanError> {
        let matrix = &self.project.matrix;
        selection::verify_groups(matrix, groups)?;
        let rows = matrix.rows.iter().filter(|row| groups.has_group(row.group.as_deref()));
        let of_row = |row: &Row| {
            let architectures = matrix.architectures_of(row, self.options.host).into_iter();
            let job = |architecture| Job {
                row: row.name(),
                architecture,
                runner: matrix.runners.get(&architecture).cloned(),
                group: row.group.clone(),
            };
            architectures.map(job).collect::<Vec<_>>()
        };
        Ok(rows.flat_map(of_row).collect())
    }
}
