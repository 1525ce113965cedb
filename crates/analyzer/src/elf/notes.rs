//! Notes (System V ABI, chapter 5), and among them those in which an object says what it opens at run time (uapi-group:
//! ELF dlopen metadata): JSON, a list of features, each with the names of its library, the preferred one first.

use goblin::container::Ctx;
use serde::Deserialize;

use super::read_word;

const OWNER: &[u8] = b"FDO\0";
const DLOPEN: u64 = 0x407c_0c0a;
/// Owner's length, content's length and type.
const HEADER: usize = 12;
/// Several times what the biggest programs have to say.
const LONGEST: usize = 1 << 20;

/// A library that an object may open.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Opened {
    /// The names that it tries, in this order. Never empty.
    #[serde(rename = "soname", deserialize_with = "one_or_more")]
    pub(crate) names: Vec<String>,
    /// What it is opened for.
    #[serde(default)]
    pub(crate) feature: Option<String>,
    #[serde(default)]
    pub(crate) priority: Priority,
}

/// How much an object needs a library that it opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Priority {
    /// It does not work without.
    Required,
    /// It works, but should have it.
    #[default]
    Recommended,
    /// It is good to have for everything that the object can do.
    Suggested,
}

impl Priority {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Recommended => "recommended",
            Self::Suggested => "suggested",
        }
    }
}

/// The contents of the notes on opened libraries among these. Behind a malformed note, nothing is read.
pub(super) fn opened(notes: &[u8], align: u64, context: Ctx) -> impl Iterator<Item = &[u8]> {
    let align = if align == 8 { 8 } else { 4 };
    let mut rest = notes;
    std::iter::from_fn(move || {
        let field = |at: usize| Some(read_word(rest.get(at..at + 4)?, context));
        let (owner_size, size, kind) = (field(0)?, field(4)?, field(8)?);
        let owner_end = HEADER.checked_add(usize::try_from(owner_size).ok()?)?;
        let start = owner_end.checked_next_multiple_of(align)?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        let (owner, text) = (rest.get(HEADER..owner_end)?, rest.get(start..end)?);
        rest = rest.get(end.checked_next_multiple_of(align)?..).unwrap_or_default();
        Some((owner, kind, text))
    })
    .filter(|(owner, kind, _)| *owner == OWNER && *kind == DLOPEN)
    .map(|(_, _, text)| text)
}

/// Reads the content of one note. `None` where it is not what the specification asks for: first drafts of it had one
/// object in place of a list, and one name.
pub(crate) fn read_opened(content: &[u8]) -> Option<Vec<Opened>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Content {
        List(Vec<Opened>),
        One(Opened),
    }
    let end = memchr::memchr(0, content).unwrap_or(content.len());
    let text = content.get(..end).filter(|text| text.len() <= LONGEST)?;
    match serde_json::from_slice(text).ok()? {
        Content::List(list) => Some(list),
        Content::One(one) => Some(vec![one]),
    }
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        Many(Vec<String>),
        One(String),
    }
    match Names::deserialize(input)? {
        Names::Many(names) if names.is_empty() => Err(serde::de::Error::custom("no name")),
        Names::Many(names) => Ok(names),
        Names::One(name) => Ok(vec![name]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Object;
    use super::*;
    use proptest::prelude::*;
    use testkit::elf::{Class, Elf, Order};

    const JSON: &str = r#"[{"feature":"lz4","priority":"suggested","soname":["liblz4.so.1"]}]"#;

    #[test]
    fn notes_of_others_are_passed_over() {
        for class in [Class::Bits32, Class::Bits64] {
            for order in [Order::Little, Order::Big] {
                let elf = Elf::dynamic().class(class).order(order);
                let elf =
                    elf.note("GNU", 3, [7; 20]).opens(JSON).note("FDO", 1, "[]").note("", 0, "").opens("[]");
                let bytes = elf.build();
                let contents = Object::parse(&bytes).unwrap().opened;
                assert_eq!(contents, [format!("{JSON}\0").as_bytes(), b"[]\0"], "{class:?} {order:?}");
            }
        }
    }

    #[test]
    fn contents() {
        let opened = |names: &[&str], feature: Option<&str>, priority| Opened {
            names: names.iter().map(ToString::to_string).collect(),
            feature: feature.map(str::to_owned),
            priority,
        };
        for (text, wanted) in [
            (JSON, Some(vec![opened(&["liblz4.so.1"], Some("lz4"), Priority::Suggested)])),
            (
                r#"[{"soname":["libb.so.2","libb.so.1"],"description":"B","extra":[1]},{"soname":["libc.so"],"priority":"required"}]"#,
                Some(vec![
                    opened(&["libb.so.2", "libb.so.1"], None, Priority::Recommended),
                    opened(&["libc.so"], None, Priority::Required),
                ]),
            ),
            (r#"{"soname":"liba.so"}"#, Some(vec![opened(&["liba.so"], None, Priority::Recommended)])),
            ("[]", Some(vec![])),
            (r#"[{"soname":[]}]"#, None),
            (r#"[{"feature":"nothing"}]"#, None),
            (r#"[{"soname":["a"],"priority":"urgent"}]"#, None),
            ("[", None),
            ("", None),
        ] {
            assert_eq!(read_opened(text.as_bytes()), wanted, "{text}");
            assert_eq!(read_opened(format!("{text}\0\0").as_bytes()), wanted, "{text}");
        }
        assert_eq!(read_opened(&b"[".repeat(100_000)), None);
        assert_eq!(read_opened(&b" ".repeat(LONGEST + 1)), None);
    }

    proptest! {
        #[test]
        fn never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200), align in 0..9_u64) {
            let context = Ctx::new(goblin::container::Container::Big, goblin::container::Endian::Little);
            let _ = opened(&noise, align, context).count();
            let _ = read_opened(&noise);
        }
    }
}
