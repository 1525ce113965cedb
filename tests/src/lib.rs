//! The verbs and their images, from outside.
