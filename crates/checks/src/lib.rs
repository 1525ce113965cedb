//! An image's checks: what they are, the engines that run them, and their outcomes.
