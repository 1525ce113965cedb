//! The forms of the files that people and programs read and write: matrix, image, lock, run record.
