//! A program that really runs: an ELF object of a few instructions, for what an image does once it is started.

/// Where it is loaded.
const BASE: u64 = 0x40_0000;
/// The file header and one program header.
const HEADERS: u64 = 64 + 56;

/// A static program for x86-64 that writes `text` to standard output and ends with `status`.
pub(crate) fn says(text: &str, status: u8) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a short text");
    let mut code = Vec::new();
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, 1 (write)
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1
    code.extend([0x48, 0x8d, 0x35, 19, 0, 0, 0]); // lea rsi, [rip + 19], the text after the code
    code.push(0xba); // mov edx, length
    code.extend(length.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 60, 0, 0, 0]); // mov eax, 60 (exit)
    code.extend([0xbf, status, 0, 0, 0]); // mov edi, status
    code.extend([0x0f, 0x05]); // syscall
    code.extend(text.bytes());

    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(half(2)); // ET_EXEC
    file.extend(half(62)); // EM_X86_64
    file.extend(word(1)); // version
    file.extend(long(BASE + HEADERS)); // entry
    file.extend(long(64)); // program headers
    file.extend(long(0)); // section headers
    file.extend(word(0)); // flags
    file.extend([half(64), half(56), half(1), half(0), half(0), half(0)].concat());

    let size = HEADERS + u64::try_from(code.len()).expect("a short program");
    file.extend(word(1)); // PT_LOAD
    file.extend(word(5)); // readable, executable
    file.extend([long(0), long(BASE), long(BASE), long(size), long(size), long(0x1000)].concat());
    file.extend(code);
    file
}

fn half(value: u16) -> [u8; 2] {
    value.to_le_bytes()
}

fn word(value: u32) -> [u8; 4] {
    value.to_le_bytes()
}

fn long(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}
