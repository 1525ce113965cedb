//! The verbs and their images, from outside: everything is in `tests/it`.
