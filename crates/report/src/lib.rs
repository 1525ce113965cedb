//! The run record as a table and as JSON.
