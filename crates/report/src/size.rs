//! Sizes as people read them.

/// Bytes as megabytes with one decimal, rounded half up.
pub(crate) fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000 + u64::from(bytes % 100_000 >= 50_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
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
}
