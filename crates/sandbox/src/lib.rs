//! A command in a root of its own: namespaces, limits, a loopback network, nothing left behind.
