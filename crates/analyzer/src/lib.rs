//! The closure of a Ruby: from roots and rules to files, each with its reasons, and findings.
