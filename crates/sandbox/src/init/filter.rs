//! The two filters of system calls (`seccomp(2)`): one has every call told that takes a path, the other denies further
//! user namespaces where no sysctl does.

use super::calls::{CONVENTIONS, Convention};
use crate::sys::seccomp::Instruction;

const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
const DENIED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();

/// The same number everywhere. What is opened through a ring is never told, so there is no ring: programs do without,
/// as on kernels that are set so.
const IO_URING_SETUP: u32 = 425;

/// The same number everywhere. Its flags are in memory, which a filter can't read; the C library then takes `clone`.
const CLONE3: u32 = 435;

/// Calls whose first argument are flags of namespaces, for x86-64, 64-bit ARM, 32-bit x86, and 32-bit ARM.
const CLONE: [u32; 4] = [56, 220, 120, 120];
const UNSHARE: [u32; 4] = [272, 97, 310, 337];
const SETNS: [u32; 4] = [308, 268, 346, 375];

/// Has every call that takes a path told, and lets the others pass; `None` on a machine whose calls are not known.
pub(super) fn telling() -> Option<Vec<Instruction>> {
    by_convention(|convention| {
        let mut filter = unless(IO_URING_SETUP, ABSENT).to_vec();
        filter.extend(convention.numbers().flat_map(|number| unless(number, libc::SECCOMP_RET_USER_NOTIF)));
        filter
    })
}

/// Denies making and entering user namespaces, in which a command would have capabilities, and a root that nobody knows;
/// `None` on a machine whose calls are not known.
pub(super) fn denying_namespaces() -> Option<Vec<Instruction>> {
    by_convention(|convention| {
        let number = |numbers: [u32; 4]| numbers.get(convention.column).copied().unwrap_or(u32::MAX);
        let mut filter = unless(CLONE3, ABSENT).to_vec();
        filter.extend(unless(number(SETNS), DENIED));
        for number in [CLONE, UNSHARE].map(number) {
            filter.extend([
                unless_equal(number, 4),
                load(FIRST_ARGUMENT_OFFSET),
                unless_any(libc::CLONE_NEWUSER.cast_unsigned(), 1),
                answer(DENIED),
                answer(libc::SECCOMP_RET_ALLOW),
            ]);
        }
        filter
    })
}

/// A filter that does something else for each convention, given what it does with the number loaded. What it does not
/// answer passes; the calls of a convention that is not known do not.
fn by_convention(calls: impl Fn(Convention) -> Vec<Instruction>) -> Option<Vec<Instruction>> {
    let mut filter = vec![load(CONVENTION_OFFSET)];
    for convention in CONVENTIONS {
        let mut own = vec![load(NUMBER_OFFSET)];
        if let Some(end) = convention.end {
            own.extend([unless_at_least(end, 1), answer(ABSENT)]);
        }
        own.extend(calls(*convention));
        own.push(answer(libc::SECCOMP_RET_ALLOW));
        filter.extend([unless_equal(convention.audit, 1), jump(1), jump(u32::try_from(own.len()).ok()?)]);
        filter.extend(own);
    }
    filter.push(answer(libc::SECCOMP_RET_KILL_PROCESS));
    (!CONVENTIONS.is_empty()).then_some(filter)
}

/// Where `struct seccomp_data` has them; of an argument the low half.
const NUMBER_OFFSET: u32 = 0;
const CONVENTION_OFFSET: u32 = 4;
const FIRST_ARGUMENT_OFFSET: u32 = 16;

const fn instruction(code: u32, skip_unless: u8, operand: u32) -> Instruction {
    // Codes are 16 bits wide; their constants are not.
    #[expect(clippy::cast_possible_truncation, reason = "no code is past 255")]
    let code = code as u16;
    Instruction { code, jt: 0, jf: skip_unless, k: operand }
}

/// Loads a word of the call.
const fn load(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset)
}

/// Goes on to the next instruction if what was loaded is the value, else skips some.
const fn unless_equal(value: u32, skipped: u8) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skipped, value)
}

const fn unless_at_least(value: u32, skipped: u8) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, skipped, value)
}

/// The same for a value that has one of these bits.
const fn unless_any(bits: u32, skipped: u8) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, skipped, bits)
}

const fn jump(skipped: u32) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, skipped)
}

const fn answer(action: u32) -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0, action)
}

/// An answer to the call of one number.
const fn unless(number: u32, action: u32) -> [Instruction; 2] {
    [unless_equal(number, 1), answer(action)]
}

#[cfg(test)]
mod tests {
    use super::super::calls::{CONVENTIONS, find};
    use super::{ABSENT, CLONE, DENIED, SETNS, UNSHARE, denying_namespaces, telling};
    use crate::sys::seccomp::Instruction;

    /// What the filter answers to a call, as the kernel would run it.
    fn run(filter: &[Instruction], audit: u32, number: u32, first: u32) -> u32 {
        let mut loaded = 0;
        let mut next = 0;
        loop {
            let Instruction { code, jf, k, .. } = filter[next];
            next += 1;
            let jump = |taken: bool| if taken { 0 } else { usize::from(jf) };
            match u32::from(code) {
                0x20 => loaded = [number, audit, 0, 0, first][k as usize / 4],
                0x15 => next += jump(loaded == k),
                0x35 => next += jump(loaded >= k),
                0x45 => next += jump(loaded & k != 0),
                0x05 => next += k as usize,
                0x06 => return k,
                other => panic!("no such code {other:#x}"),
            }
        }
    }

    #[test]
    fn the_calls_of_the_table_are_told_and_no_other() {
        let filter = telling().expect("a known machine");
        for convention in CONVENTIONS {
            for number in 0..1000 {
                let expected = match find(convention.audit, number) {
                    Some(_) => libc::SECCOMP_RET_USER_NOTIF,
                    None if number == 425 => ABSENT,
                    None => libc::SECCOMP_RET_ALLOW,
                };
                assert_eq!(run(&filter, convention.audit, number, 0), expected, "{number} of {convention:?}");
            }
        }
    }

    #[test]
    fn user_namespaces_are_denied_and_nothing_else() {
        let filter = denying_namespaces().expect("a known machine");
        let user = libc::CLONE_NEWUSER.cast_unsigned();
        for convention in CONVENTIONS {
            let own = |numbers: [u32; 4]| numbers[convention.column];
            for number in 0..1000 {
                for (flags, denied) in [(0, false), (!user, false), (user, true), (u32::MAX, true)] {
                    let expected = match number {
                        435 => ABSENT,
                        number if number == own(SETNS) => DENIED,
                        number if denied && (number == own(CLONE) || number == own(UNSHARE)) => DENIED,
                        _ => libc::SECCOMP_RET_ALLOW,
                    };
                    assert_eq!(
                        run(&filter, convention.audit, number, flags),
                        expected,
                        "{number} of {convention:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_are_those_of_this_machine() {
        let column = CONVENTIONS[0].column;
        for (numbers, number) in
            [(CLONE, libc::SYS_clone), (UNSHARE, libc::SYS_unshare), (SETNS, libc::SYS_setns)]
        {
            assert_eq!(i64::from(numbers[column]), number);
        }
    }

    #[test]
    fn no_call_passes_by_a_convention_that_is_not_known() {
        for filter in [telling(), denying_namespaces()].map(|filter| filter.expect("a known machine")) {
            assert_eq!(run(&filter, 0xC000_0015, 0, 0), libc::SECCOMP_RET_KILL_PROCESS);
            if cfg!(target_arch = "x86_64") {
                for number in [0x4000_0000, 0x4000_0002, 0x4000_0208, u32::MAX] {
                    assert_eq!(run(&filter, 0xC000_003E, number, 0), ABSENT, "{number:#x} of x32");
                }
            }
        }
    }
}
