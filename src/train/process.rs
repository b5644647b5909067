//! What training needs from the process: memory that stays, an interrupt that is polite, files that are whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

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

/// Writes a file that is either the old one or the new one, whenever the process or the machine dies.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // The half-written file is of no use to anyone; the error that matters is the first one.
        drop(fs::remove_file(&temporary));
        Error::io(error).context(path.display())
    })
}

/// Reads a file, naming it in the error.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io(error).context(path.display()))
}

/// Creates a folder and its parents, naming it in the error.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Error::io(error).context(path.display()))
}
