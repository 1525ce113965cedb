//! Programs of nothing but system calls, assembled here: what no library offers, also of 32 bits.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// An argument of a call.
#[derive(Debug, Clone)]
pub(crate) enum Argument {
    Number(i64),
    /// Bytes in memory, a NUL byte after them; the call gets their address.
    Bytes(Vec<u8>),
    /// The same, and the NUL byte is the last one of the program's memory.
    AtTheEnd(Vec<u8>),
}

/// The working directory, for calls that start at an open folder.
pub(crate) const HERE: Argument = Argument::Number(libc::AT_FDCWD as i64);

pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> Argument {
    Argument::Bytes(bytes.as_ref().to_vec())
}

/// A system call: its number and up to six arguments, the others 0.
#[derive(Debug, Clone)]
pub(crate) struct Call(pub(crate) i64, pub(crate) Vec<Argument>);

/// How a program calls the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    X86_64,
    I386,
}

impl Kind {
    const HEADERS: usize = 0x80;

    const LOAD_ADDRESS: u64 = 0x40_0000;

    /// `mov register, value` for the number and each argument, then the call.
    fn call(self, values: [i64; 7]) -> Vec<u8> {
        let mut code = Vec::new();
        match self {
            Self::X86_64 => {
                // rax, rdi, rsi, rdx, r10, r8, r9
                let registers: [[u8; 2]; 7] = [
                    [0x48, 0xB8],
                    [0x48, 0xBF],
                    [0x48, 0xBE],
                    [0x48, 0xBA],
                    [0x49, 0xBA],
                    [0x49, 0xB8],
                    [0x49, 0xB9],
                ];
                for (register, value) in registers.iter().zip(values) {
                    code.extend(register);
                    code.extend(value.to_le_bytes());
                }
                code.extend([0x0F, 0x05]);
            }
            Self::I386 => {
                // eax, ebx, ecx, edx, esi, edi, ebp
                for (register, value) in [0xB8, 0xBB, 0xB9, 0xBA, 0xBE, 0xBF, 0xBD].iter().zip(values) {
                    code.push(*register);
                    code.extend(&value.to_le_bytes()[..4]);
                }
                code.extend([0xCD, 0x80]);
            }
        }
        code
    }

    /// Ends with the number of the last call's error, or 0.
    fn end(self) -> Vec<u8> {
        // test eax, eax; js +2; xor eax, eax; neg eax; then exit with it.
        let mut code = vec![0x85, 0xC0, 0x78, 0x02, 0x31, 0xC0, 0xF7, 0xD8];
        code.extend(match self {
            Self::X86_64 => vec![0x89, 0xC7, 0xB8, 60, 0, 0, 0, 0x0F, 0x05],
            Self::I386 => vec![0x89, 0xC3, 0xB8, 1, 0, 0, 0, 0xCD, 0x80],
        });
        code
    }

    /// ELF header and one program header: all of the file, readable, writable and executable.
    fn headers(self, size: usize) -> Vec<u8> {
        let base = Self::LOAD_ADDRESS;
        let entry = base + Self::HEADERS as u64;
        let size = size as u64;
        let mut header = vec![0x7F, b'E', b'L', b'F'];
        let mut put = |values: &[(u64, usize)]| {
            for (value, width) in values {
                header.extend(&value.to_le_bytes()[..*width]);
            }
        };
        match self {
            Self::X86_64 => {
                put(&[
                    (2, 1),
                    (1, 1),
                    (1, 1),
                    (0, 1),
                    (0, 8),
                    (2, 2),
                    (62, 2),
                    (1, 4),
                    (entry, 8),
                    (64, 8),
                    (0, 8),
                    (0, 4),
                ]);
                put(&[(64, 2), (56, 2), (1, 2), (0, 2), (0, 2), (0, 2)]);
                put(&[(1, 4), (7, 4), (0, 8), (base, 8), (base, 8), (size, 8), (size, 8), (0x1000, 8)]);
            }
            Self::I386 => {
                put(&[
                    (1, 1),
                    (1, 1),
                    (1, 1),
                    (0, 1),
                    (0, 8),
                    (2, 2),
                    (3, 2),
                    (1, 4),
                    (entry, 4),
                    (52, 4),
                    (0, 4),
                    (0, 4),
                ]);
                put(&[(52, 2), (32, 2), (1, 2), (0, 2), (0, 2), (0, 2)]);
                put(&[(1, 4), (0, 4), (base, 4), (base, 4), (size, 4), (size, 4), (7, 4), (0x1000, 4)]);
            }
        }
        header.resize(Self::HEADERS, 0);
        header
    }
}

/// Writes a program that makes these calls, one after the other, and ends with the last one's error.
pub(crate) fn write(path: &Path, kind: Kind, calls: &[Call]) {
    let code_size = kind.call([0; 7]).len() * calls.len() + kind.end().len();
    let data_address = Kind::LOAD_ADDRESS + (Kind::HEADERS + code_size) as u64;
    let mut data: Vec<u8> = Vec::new();
    let mut last = Vec::new();
    let mut fixed = Vec::new();
    for Call(number, arguments) in calls {
        let mut values = [0; 7];
        values[0] = *number;
        for (value, argument) in values[1..].iter_mut().zip(arguments) {
            *value = match argument {
                Argument::Number(number) => *number,
                Argument::Bytes(bytes) => {
                    let address = data_address + data.len() as u64;
                    data.extend(bytes);
                    data.push(0);
                    address.cast_signed()
                }
                Argument::AtTheEnd(bytes) => {
                    assert!(last.is_empty(), "one end");
                    last = [bytes.as_slice(), &[0]].concat();
                    i64::MAX
                }
            };
        }
        fixed.push(values);
    }
    let unpadded = Kind::HEADERS + code_size + data.len() + last.len();
    let size = unpadded.next_multiple_of(0x1000);
    let end = Kind::LOAD_ADDRESS + (size - last.len()) as u64;
    let mut code = Vec::new();
    for mut values in fixed {
        for value in &mut values {
            if *value == i64::MAX {
                *value = end.cast_signed();
            }
        }
        code.extend(kind.call(values));
    }
    code.extend(kind.end());
    let mut file = kind.headers(size);
    file.extend(code);
    file.extend(data);
    file.resize(size - last.len(), 0);
    file.extend(last);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, file).expect("a file");
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("its permissions");
}
