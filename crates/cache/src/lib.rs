//! A content-addressed store on disk, and the verified downloads that fill it.
