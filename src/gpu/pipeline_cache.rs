//! Compiled pipelines, kept on disk between processes where the backend can (Vulkan).
//!
//! The file begins with a check sum of the rest: what does not match is ignored, and written anew. Whether the contents
//! suit this driver and version, wgpu and the driver check for themselves.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

pub(super) struct PipelineCache {
    cache: Option<wgpu::PipelineCache>,
    file: Option<PathBuf>,
    loaded: usize,
    changed: AtomicBool,
}

/// Length of the check sum at the beginning of the file.
const CHECK_SUM: usize = size_of::<u64>();

impl PipelineCache {
    /// Reads the file of this adapter in `folder`, if there is one and the device can use it.
    pub(super) fn open(
        device: &wgpu::Device,
        adapter: &wgpu::AdapterInfo,
        vector_width: Option<u32>,
        folder: Option<PathBuf>,
    ) -> Self {
        let key = wgpu::util::pipeline_cache_key(adapter)
            .filter(|_| device.features().contains(wgpu::Features::PIPELINE_CACHE));
        let (Some(folder), Some(key)) = (folder, key) else {
            return Self {
                cache: None,
                file: None,
                loaded: 0,
                changed: AtomicBool::new(false),
            };
        };
        // Mesa's software driver does not tell pipelines of different vector widths apart.
        let width = vector_width.map_or(String::new(), |bits| format!("_{bits}"));
        let file = folder.join(format!("{key}{width}.bin"));
        let data = read(&file);
        let descriptor = wgpu::PipelineCacheDescriptor {
            label: Some("manyworlds"),
            data: data.as_deref(),
            fallback: true,
        };
        // SAFETY: the data came from `get_data` of such a cache on an adapter with this key, by the file's name and its
        // check sum; the folder belongs to the user, as the program does.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        let loaded = data.map_or(0, |data| data.len());
        Self {
            cache: Some(cache),
            file: Some(file),
            loaded,
            changed: AtomicBool::new(false),
        }
    }

    /// The cache to compile with; what is compiled is then saved.
    pub(super) fn for_compiling(&self) -> Option<&wgpu::PipelineCache> {
        self.changed.store(true, Ordering::Relaxed);
        self.cache.as_ref()
    }

    /// Bytes found on disk.
    pub(super) fn loaded(&self) -> usize {
        self.loaded
    }

    /// Writes the file, if anything was compiled since the last time. A reader never sees half of it.
    pub(super) fn save(&self) -> Result<()> {
        let (Some(cache), Some(file)) = (&self.cache, &self.file) else {
            return Ok(());
        };
        if !self.changed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let Some(data) = cache.get_data() else {
            return Ok(());
        };
        let mut bytes = check_sum(&data).to_le_bytes().to_vec();
        bytes.extend(data);
        write(file, &bytes).map_err(|error| Error::io(error).context(file.display()))
    }
}

fn read(file: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(file).ok()?;
    let (sum, data) = bytes.split_first_chunk::<CHECK_SUM>()?;
    (u64::from_le_bytes(*sum) == check_sum(data)).then(|| data.to_vec())
}

fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let draft = file.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&draft, bytes)
        .and_then(|()| std::fs::rename(&draft, file))
        .inspect_err(|_| {
            // The draft is of no use to anybody; that it could not be written is the error to report.
            let _ = std::fs::remove_file(&draft);
        })
}

/// The FNV-1a hash (Fowler, Noll and Vo; RFC 9923) of `data`.
fn check_sum(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_sum_is_fnv_1a() {
        // From RFC 9923's test vectors.
        assert_eq!(check_sum(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(check_sum(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(check_sum(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_damaged_file_reads_as_nothing() {
        let file =
            std::env::temp_dir().join(format!("manyworlds-cache-{}.bin", std::process::id()));
        let mut bytes = check_sum(b"pipelines").to_le_bytes().to_vec();
        bytes.extend(b"pipelines");
        write(&file, &bytes).unwrap();
        assert_eq!(read(&file).as_deref(), Some(b"pipelines".as_slice()));
        *bytes.last_mut().unwrap() ^= 1;
        write(&file, &bytes).unwrap();
        assert_eq!(read(&file), None);
        write(&file, &bytes[..3]).unwrap();
        assert_eq!(read(&file), None);
        std::fs::remove_file(file).unwrap();
    }
}
