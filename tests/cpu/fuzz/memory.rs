//! How much memory the fuzzing thread holds: an allocator that counts, for threads that ask for it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// The case that is being run; none where nobody counts.
    static CASE: Cell<Option<u64>> = const { Cell::new(None) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// Counts from here on what this thread takes and gives back.
pub(crate) fn watch(case: u64) {
    CASE.set(Some(case));
    HELD.set(0);
    MOST.set(0);
}

/// Counts no more.
pub(crate) fn rest() {
    CASE.set(None);
}

pub(crate) fn watched() -> bool {
    CASE.get().is_some()
}

/// The most bytes at once since [`watch`].
pub(crate) fn most() -> usize {
    MOST.get().max(0) as usize
}

fn count(bytes: isize) {
    if CASE.get().is_some() {
        let held = HELD.get() + bytes;
        HELD.set(held);
        MOST.set(MOST.get().max(held));
    }
}

/// What fails to be allocated ends the process: it says first which case that was.
fn checked(memory: *mut u8, bytes: usize) -> *mut u8 {
    if let (true, Some(case)) = (memory.is_null(), CASE.get()) {
        CASE.set(None);
        eprintln!("fuzz case {case} asks for {bytes} bytes");
    }
    memory
}

// SAFETY: all work is the system allocator's; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        checked(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: likewise.
        checked(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: likewise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: likewise.
        checked(unsafe { System.realloc(memory, layout, size) }, size)
    }
}
