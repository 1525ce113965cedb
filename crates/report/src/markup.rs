//! Text in markup.

/// `text` with what XML and HTML read as markup written as references (XML 1.0, section 2.4); good between tags and in
/// quoted values of attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape("a<b c=\"d\" e='f'>&amp;"), "a&lt;b c=&quot;d&quot; e=&#39;f&#39;&gt;&amp;amp;");
        assert_eq!(escape("libc6 2.41-12, ü"), "libc6 2.41-12, ü");
    }
}
