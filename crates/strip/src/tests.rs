//! What goes, what stays, and that nothing which is mapped moves.

use proptest::prelude::*;
use testkit::elf::{Class, Elf, Order};
use testkit::elf_sections::{NOBITS, NOTE, PROGBITS, RELA, STRTAB, SYMTAB, Section, with_sections};

use super::*;

const FORMS: [(Class, Order); 4] = [
    (Class::Bits64, Order::Little),
    (Class::Bits64, Order::Big),
    (Class::Bits32, Order::Little),
    (Class::Bits32, Order::Big),
];

/// Where the section headers of an object are, which is where its segment ends.
fn segment_end(object: &[u8]) -> usize {
    Header::read(object, format_of(object)).unwrap().sections_at
}

fn format_of(object: &[u8]) -> Format {
    Format::of(object).unwrap().unwrap()
}

fn plain(class: Class, order: Order) -> Vec<u8> {
    Elf::program().class(class).order(order).needs("libc.so.6").payload("text and data").build()
}

/// Names, types and numbers of links of an object's sections.
fn sections_of(object: &[u8]) -> Vec<(String, usize, usize)> {
    let header = Header::read(object, format_of(object)).unwrap();
    let sections = section::read_all(object, &header).unwrap();
    let names = Names::new(object, header.names.map(|index| &sections[index]));
    sections
        .iter()
        .map(|section| {
            let name = String::from_utf8(names.of(section).to_vec()).unwrap();
            (name, section.link(), section.contents.len())
        })
        .collect()
}

/// That the new object is the old one up to the end of its segment, but for where its section headers are.
fn assert_same_segment(old: &[u8], new: &[u8]) {
    let places = if old[4] == 2 { [40..48, 60..64] } else { [32..36, 48..52] };
    let blank = |object: &[u8]| {
        let mut head = object[..segment_end(&plain_of(old))].to_vec();
        for place in &places {
            head[place.clone()].fill(0);
        }
        head
    };
    assert_eq!(blank(old), blank(new));
}

fn plain_of(object: &[u8]) -> Vec<u8> {
    let (class, order) =
        FORMS.into_iter().find(|(class, order)| plain(*class, *order)[4..6] == object[4..6]).unwrap();
    plain(class, order)
}

#[test]
fn what_is_not_mapped_goes_and_the_rest_stays_in_place() {
    for (class, order) in FORMS {
        let object = plain(class, order);
        let end = u64::try_from(segment_end(&object)).unwrap();
        let unstripped = with_sections(
            &object,
            &[
                Section::allocated(".interp", PROGBITS, 100..110),
                Section::allocated(".rela.dyn", RELA, 110..120).links(4, 3),
                Section::allocated(".bss", NOBITS, 1 << 20..1 << 21),
                Section::apart(".comment", PROGBITS, "compiler"),
                Section::allocated(".data", PROGBITS, end - 4..end),
                Section::apart(".note.stapsdt", NOTE, [1; 100]),
                Section::apart(".debug_info", PROGBITS, [2; 5000]),
                Section::apart(".symtab", SYMTAB, [3; 480]).links(9, 1),
                Section::apart(".strtab", STRTAB, [4; 300]),
                Section::apart(".gnu_debuglink", PROGBITS, "ruby.debug"),
            ],
        );
        let stripped = symbols(&unstripped).unwrap().unwrap();
        assert_same_segment(&unstripped, &stripped);
        let names: Vec<_> = sections_of(&stripped);
        let section = |name: &str, link, size| (name.to_owned(), link, size);
        assert_eq!(
            names,
            [
                section("", 0, 0),
                section(".interp", 0, 10),
                // What it links to is gone.
                section(".rela.dyn", 0, 10),
                section(".bss", 0, 0),
                // Those behind keep their numbers.
                section("", 0, 0),
                section(".data", 0, 4),
                section(".shstrtab", 0, 40),
            ],
            "{class:?} {order:?}"
        );
        assert!(stripped.len() < unstripped.len() - 5800);
        assert_eq!(symbols(&stripped), Ok(None), "a second time there is nothing left to take away");
    }
}

#[test]
fn sections_between_segments_go_without_moving_anything() {
    let mut object = Elf::program().payload(vec![7; 4000]).build();
    // The segment ends early; a second one begins behind a gap.
    let format = format_of(&object);
    format.put(&mut object, 64 + 32, 8, 1000).unwrap();
    format.put(&mut object, 64 + 56 + 8, 8, 3000).unwrap();
    let unstripped = with_sections(
        &object,
        &[
            Section::allocated(".text", PROGBITS, 500..900),
            Section::allocated(".data", PROGBITS, 3000..3010),
            Section::apart(".symtab", SYMTAB, [0; 999]),
        ],
    );
    let stripped = symbols(&unstripped).unwrap().unwrap();
    assert_eq!(stripped[64..3010], unstripped[64..3010]);
    assert!(stripped.len() < 4000, "{}", stripped.len());
}

#[test]
fn an_allocated_section_outside_of_all_segments_stays() {
    let mut object = Elf::static_program().payload(vec![7; 4000]).build();
    format_of(&object).put(&mut object, 64 + 32, 8, 1000).unwrap();
    let unstripped = with_sections(
        &object,
        &[Section::allocated(".odd", PROGBITS, 3000..3500), Section::apart(".symtab", SYMTAB, [1; 999])],
    );
    let stripped = symbols(&unstripped).unwrap().unwrap();
    assert_eq!(stripped[64..3500], unstripped[64..3500]);
    assert_eq!(sections_of(&stripped)[1].2, 500);
}

#[test]
fn more_sections_than_the_header_has_room_for() {
    let object = plain(Class::Bits64, Order::Little);
    let allocated = |number: usize| Section::allocated(&format!(".s{number}"), PROGBITS, 100..101);
    let symtab = || Section::apart(".symtab", SYMTAB, [1; 4000]);
    for (count, is_extended) in [(10, false), (0xff00, true)] {
        let mut sections: Vec<_> = (0..count).map(allocated).collect();
        sections.push(symtab());
        let unstripped = with_sections(&object, &sections);
        let stripped = symbols(&unstripped).unwrap().unwrap();
        assert_eq!(stripped[60..62] == [0, 0], is_extended);
        let names = sections_of(&stripped);
        assert_eq!(names.len(), count + 2);
        assert_eq!(names[count].0, format!(".s{}", count - 1));
        assert_eq!(names[count + 1].0, ".shstrtab");
    }
    // Many that go, few that stay.
    let mut sections = vec![allocated(0)];
    sections.extend((0..0xff00).map(|_| Section::apart(".debug", PROGBITS, "x")));
    let stripped = symbols(&with_sections(&object, &sections)).unwrap().unwrap();
    assert_eq!(sections_of(&stripped).len(), 3);
}

#[test]
fn what_stays_as_it_is() {
    let object = plain(Class::Bits64, Order::Little);
    let symtab = || Section::apart(".symtab", SYMTAB, [1; 4000]);
    let with = |sections: &[Section]| with_sections(&object, sections);
    let relocatable = with_sections(&Elf::dynamic().kind(1).build(), &[symtab()]);
    let mut no_headers = with(&[symtab()]);
    no_headers[40..48].fill(0);
    let appended = [with(&[symtab()]).as_slice(), b"PK and the files of the program"].concat();
    for (name, bytes) in [
        ("no object", b"#!/bin/sh\n".to_vec()),
        ("nothing", Vec::new()),
        ("stripped", object.clone()),
        ("a link to debug information alone", with(&[Section::apart(".gnu_debuglink", PROGBITS, "x.debug")])),
        ("relocatable", relocatable),
        ("no section headers", no_headers),
        ("data behind the object", appended),
        ("a section that may be data", with(&[symtab(), Section::apart("pydata", PROGBITS, [5; 100])])),
    ] {
        assert_eq!(symbols(&bytes), Ok(None), "{name}");
    }
    let padded = [with(&[symtab()]).as_slice(), &[0; 16]].concat();
    assert!(symbols(&padded).unwrap().is_some());
}

#[test]
fn damage_is_an_error() {
    let whole =
        with_sections(&plain(Class::Bits64, Order::Little), &[Section::apart(".symtab", SYMTAB, [1; 400])]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut object = whole.clone();
        object[at..at + bytes.len()].copy_from_slice(bytes);
        symbols(&object).unwrap_err()
    };
    assert_eq!(changed(4, &[3]), StripError::Header);
    assert_eq!(changed(5, &[0]), StripError::Header);
    assert_eq!(changed(32, &[0xff; 8]), StripError::ProgramHeaders);
    assert_eq!(changed(54, &[1, 0]), StripError::ProgramHeaders);
    assert_eq!(changed(40, &[0xff; 8]), StripError::SectionHeaders);
    assert_eq!(changed(58, &[1, 0]), StripError::SectionHeaders);
    assert_eq!(changed(60, &[0xfe, 0xfe]), StripError::SectionHeaders);
    // The size of the first segment.
    assert_eq!(changed(64 + 32, &[0xff; 8]), StripError::Contents);
}

#[test]
fn no_cut_panics() {
    for (class, order) in FORMS {
        let object = plain(class, order);
        let object = with_sections(
            &object,
            &[
                Section::allocated(".text", PROGBITS, 60..90),
                Section::apart(".comment", PROGBITS, [1; 90]),
                Section::apart(".symtab", SYMTAB, [1; 400]),
            ],
        );
        for length in 0..object.len() {
            let cut = symbols(&object[..length]);
            assert!(!matches!(cut, Ok(Some(_))), "{length}: every cut takes a part of the section headers");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), form in 0..4_usize) {
        let (class, order) = FORMS[form];
        let head = &plain(class, order)[..8];
        let _ = symbols(&[head, &bytes].concat());
        let _ = symbols(&bytes);
    }

    #[test]
    fn no_change_of_a_byte_panics_or_grows(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut object = with_sections(
            &plain(Class::Bits64, Order::Little),
            &[
                Section::allocated(".text", PROGBITS, 60..90),
                Section::apart(".debug_info", PROGBITS, [1; 50]),
                Section::allocated(".data", PROGBITS, 90..95),
                Section::apart(".symtab", SYMTAB, [1; 40]),
            ],
        );
        for (place, value) in changes {
            let place = place.index(object.len());
            object[place] = value;
        }
        if let Ok(Some(stripped)) = symbols(&object) {
            prop_assert!(stripped.len() < object.len());
            prop_assert!(symbols(&stripped).is_ok());
        }
    }
}
