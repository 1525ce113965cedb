//! Sizes as people read them.

/// Bytes as megabytes with one decimal, rounded half up.
pub(crate) fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000 + u64::from(bytes % 100_000 >= 50_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

/// Bytes in the unit that says most: `12 bytes`, `3.4 kB`, `5.6 MB`.
pub(crate) fn readable(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..950_000 => {
            let tenths = bytes / 100 + u64::from(bytes % 100 >= 50);
            format!("{}.{} kB", tenths / 10, tenths % 10)
        }
        _ => megabytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn megabytes_are_rounded_to_a_tenth() {
        for (bytes, text) in [
            (0, "0.0 MB"),
            (49_999, "0.0 MB"),
            (50_000, "0.1 MB"),
            (949_999, "0.9 MB"),
            (950_000, "1.0 MB"),
            (37_959_680, "38.0 MB"),
            (u64::MAX, "18446744073709.6 MB"),
        ] {
            assert_eq!(megabytes(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn the_unit_is_the_one_that_says_most() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (1_950, "2.0 kB"),
            (949_999, "950.0 kB"),
            (950_000, "1.0 MB"),
        ] {
            assert_eq!(readable(bytes), text, "{bytes}");
        }
    }
}
