//! Work on several things at once, over connections rather than cores.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Does `work` for each item, in their order as far as threads are free. After a failure nothing new begins.
///
/// # Errors
/// The failure of the first item in their order that failed.
pub(crate) fn each<T: Sync, O: Send, E: Send>(
    connections: NonZeroUsize,
    items: &[T],
    work: impl Fn(&T) -> Result<O, E> + Sync,
) -> Result<Vec<O>, E> {
    let queue = Mutex::new(items.iter().enumerate());
    let outcomes = Mutex::new(Vec::with_capacity(items.len()));
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..connections.get().min(items.len()) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let next = queue.lock().expect("no thread panics while it takes the next").next();
                    let Some((number, item)) = next else { return };
                    let outcome = work(item);
                    failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
                    outcomes.lock().expect("no thread panics while it says so").push((number, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no thread panicked");
    outcomes.sort_by_key(|(number, _)| *number);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_in_order_and_the_first_failure_is_told() {
        let connections = NonZeroUsize::new(3).unwrap();
        let items: Vec<usize> = (0..50).collect();
        let doubled: Result<Vec<usize>, ()> = each(connections, &items, |item| Ok(item * 2));
        assert_eq!(doubled.unwrap(), (0..50).map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(each(connections, &items, |item| if *item < 1 { Ok(()) } else { Err(*item) }), Err(1));
        assert_eq!(each(connections, &[], |(): &()| Err::<(), _>(())), Ok(Vec::new()));
    }
}
