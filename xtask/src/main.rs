//! The command line of distroless-ruby.

fn main() {}
