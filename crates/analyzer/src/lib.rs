//! The closure of a Ruby: from roots and rules to files, each with its reasons, and findings.
mod elf;
mod ld_so_conf;
mod rbconfig;
mod shebang;
