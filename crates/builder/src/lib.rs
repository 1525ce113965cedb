//! From a matrix to checked images: the order of stages and what of them is cached.
