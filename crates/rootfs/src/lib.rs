//! A root filesystem as a value: paths, entries, stacked tars, and the writers of tars and folders.
