//! What training needs from the process: memory that stays, an interrupt that is polite.

use std::sync::atomic::{AtomicBool, Ordering};

/// Keeps freed memory in the process; call once, before training on the CPU.
///
/// glibc maps every block of megabytes afresh and gives it back when freed, so that each tensor pays a page
/// fault per 4 KiB: 40 % of the time of a training step. Affects the whole process; elsewhere nothing happens.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // From <malloc.h>; the signature and the parameters' numbers are glibc's stable interface.
        unsafe extern "C" {
            fn mallopt(param: i32, value: i32) -> i32;
        }
        const M_TRIM_THRESHOLD: i32 = -1;
        const M_MMAP_MAX: i32 = -4;
        // SAFETY: mallopt takes two integers, locks the allocator itself, and may be called at any time.
        unsafe {
            mallopt(M_MMAP_MAX, 0);
            mallopt(M_TRIM_THRESHOLD, i32::MAX);
        }
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on the first ctrl-C only sets [`interrupted`]; a second one ends the process as usual.
pub fn catch_interrupts() {
    INTERRUPTED.store(false, Ordering::SeqCst);
    #[cfg(unix)]
    {
        // From <signal.h>; SIGINT and SIGTERM are 2 and 15 on every Unix.
        unsafe extern "C" {
            fn signal(number: i32, handler: usize) -> usize;
        }
        const DEFAULT: usize = 0;
        extern "C" fn on_signal(number: i32) {
            INTERRUPTED.store(true, Ordering::SeqCst);
            // SAFETY: signal() may be called from a handler, and DEFAULT is SIG_DFL.
            unsafe { signal(number, DEFAULT) };
        }
        for number in [2, 15] {
            // SAFETY: the handler only stores to an atomic and calls signal(), both allowed in a handler.
            unsafe { signal(number, on_signal as *const () as usize) };
        }
    }
}

/// Whether ctrl-C was pressed since [`catch_interrupts`].
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
