//! What has to be set before a graphics driver is loaded: Mesa's vector width and cache folders.
//!
//! Mesa's software driver (lavapipe) compiles kernels for 256-bit vectors unless it is told otherwise; with 512 bits
//! the simulation's kernels ran 70–90 % faster on processors with AVX-512. Its shader cache does not know the width, so
//! each width gets a cache folder of its own. Both settings are environment variables that Mesa reads once, when it is
//! loaded; a variable that the user has set is never touched.

use std::path::PathBuf;
use std::sync::Once;

/// Mesa's variable for the width, in bits, of the vectors that its software drivers compile for.
const VECTOR_WIDTH: &str = "LP_NATIVE_VECTOR_WIDTH";
/// Mesa's variable for the folder of compiled shaders.
const SHADER_CACHE: &str = "MESA_SHADER_CACHE_DIR";
/// Mesa's variable that switches its device selection layer off.
const DEVICE_SELECT_OFF: &str = "NODEVICE_SELECT";

/// Sets the variables, once in the life of the process and before any driver is loaded by it.
pub(super) fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        for (name, value) in wanted() {
            if let Some(folder) = (name == SHADER_CACHE).then(|| PathBuf::from(&value)) {
                // Without the folder Mesa compiles anew in each process: slower, not wrong.
                let _ = std::fs::create_dir_all(folder);
            }
            // SAFETY: writing the environment is undefined behaviour while another thread reads it other than through
            // `std::env`, which in practice is C code that calls `getenv`. Here that is the graphics driver, and this
            // runs before the first instance is made, hence before a driver is loaded; `Once` keeps every further
            // context waiting until it is done. `Options::tune_driver` documents what is left to the caller: a program
            // with other C threads makes its first context before it starts them, or switches this off.
            unsafe { std::env::set_var(name, value) };
        }
    });
}

/// The variables to set, given what the user has set and what the processor offers.
fn wanted() -> Vec<(&'static str, String)> {
    let mut wanted = Vec::new();
    if !cfg!(target_os = "linux") {
        return wanted;
    }
    // Mesa's layer that ranks graphics cards by the display they drive complains on stderr where there is no display.
    let unset = |name: &str| std::env::var_os(name).is_none();
    if [
        DEVICE_SELECT_OFF,
        "MESA_VK_DEVICE_SELECT",
        "XDG_RUNTIME_DIR",
    ]
    .into_iter()
    .all(unset)
    {
        wanted.push((DEVICE_SELECT_OFF, "1".to_owned()));
    }
    let mut width = std::env::var(VECTOR_WIDTH).ok();
    if width.is_none() && has_avx512() {
        width = Some("512".to_owned());
        wanted.push((VECTOR_WIDTH, "512".to_owned()));
    }
    if std::env::var_os(SHADER_CACHE).is_none()
        && let Some(cache) = cache_dir()
    {
        let folder = cache.join(format!("mesa-{}", width.as_deref().unwrap_or("native")));
        if let Some(folder) = folder.to_str() {
            wanted.push((SHADER_CACHE, folder.to_owned()));
        }
    }
    wanted
}

/// The vector width asked of Mesa's software drivers in this process, in bits, where one was.
pub(super) fn vector_width() -> Option<u32> {
    std::env::var(VECTOR_WIDTH).ok()?.parse().ok()
}

/// The folder for what can be computed again: `MANYWORLDS_CACHE_DIR`, or `manyworlds` in the user's cache folder.
/// None where the system names no such folder; then nothing is cached.
pub fn cache_dir() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = variable("MANYWORLDS_CACHE_DIR") {
        return Some(folder);
    }
    let user = if cfg!(target_os = "windows") {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Caches"))
    } else {
        // The XDG base directory specification: a relative path is to be ignored.
        variable("XDG_CACHE_HOME")
            .filter(|folder| folder.is_absolute())
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
    };
    user.map(|folder| folder.join("manyworlds"))
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}
