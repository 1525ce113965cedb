//! The words that names of images are made of: what both a registry (OCI distribution specification, "Pulling
//! manifests") and an image layout (OCI image specification, "Pre-Defined Annotation Keys") take.

/// The longest repository that every client takes (OCI distribution specification, "Pulling manifests").
const REPOSITORY_LIMIT: usize = 255;
/// A tag has 128 characters at the most. Half of them are left to versions and architectures.
const TAG_WORD_LIMIT: usize = 64;

/// What [`is_repository`] and [`is_tag_word`] take, for an error.
pub(crate) const WORDS: &str = "lower-case letters and digits, joined by one of `.`, `_` and `-`";

/// Whether an image can be called so: words joined by `/`.
pub(crate) fn is_repository(text: &str) -> bool {
    text.len() <= REPOSITORY_LIMIT && text.split('/').all(is_word)
}

/// Whether a repository of a registry can be called so. Registries take more between letters than we give our images:
/// `__`, and any number of `-`.
pub(crate) fn is_registry_path(text: &str) -> bool {
    let is_letter = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let is_component = |component: &str| {
        let mut separators = component.split(is_letter).filter(|separator| !separator.is_empty());
        component.starts_with(is_letter)
            && component.ends_with(is_letter)
            && separators.all(|one| matches!(one, "." | "_" | "__") || one.bytes().all(|byte| byte == b'-'))
    };
    text.len() <= REPOSITORY_LIMIT && text.split('/').all(is_component)
}

/// Whether a tag can have this as a part.
pub(crate) fn is_tag_word(text: &str) -> bool {
    text.len() <= TAG_WORD_LIMIT && is_word(text)
}

fn is_word(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split(['.', '_', '-']).all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_grammars() {
        for good in ["ruby", "3.3", "my-ruby", "a_b.c-d", "ghcr.io/o/ruby"] {
            assert!(is_repository(good), "{good}");
        }
        for wrong in ["", "Ruby", "ru by!", "-a", "a-", "a--b", "a._b", "a:b", "a/", "/a", "a//b", "a@b", "é"]
        {
            assert!(!is_repository(wrong) && !is_tag_word(wrong), "{wrong}");
        }
        assert!(!is_tag_word("a/b"));
        for (length, fits) in [(64, true), (65, false)] {
            assert_eq!(is_tag_word(&"a".repeat(length)), fits);
        }
        for (length, fits) in [(255, true), (256, false)] {
            assert_eq!(is_repository(&"a".repeat(length)), fits);
        }
    }
}
