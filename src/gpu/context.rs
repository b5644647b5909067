//! The graphics device: one adapter, one device and its queue, and what every kernel on it shares.
//!
//! A [`Context`] is a cheap handle that can be cloned and sent to other threads. There is no global one: a process can
//! hold several, on the same adapter or on different ones. The device is asked for everything that its adapter offers,
//! because burn's kernels are chosen by what the adapter says, and must find it on the device.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::environment;
use super::launch::LaunchBuffers;
use super::pipeline_cache::PipelineCache;
use crate::error::{Error, Result};

/// What a [`Context`] is made from. `Options::default()` takes the best adapter and the user's cache folder.
#[derive(Clone, Debug)]
pub struct Options {
    /// Part of the wanted adapter's name, driver or backend, in any case ("llvmpipe", "nvidia", "metal").
    /// None: the environment variable `MANYWORLDS_ADAPTER`, and without it the most powerful adapter.
    pub adapter: Option<String>,
    /// Folder of compiled pipelines. None: [`cache_dir`](super::cache_dir); an empty path switches the cache off.
    pub cache_dir: Option<PathBuf>,
    /// Whether the first context of the process sets Mesa's environment variables (`LP_NATIVE_VECTOR_WIDTH`,
    /// `MESA_SHADER_CACHE_DIR`) where the user has not. Setting a variable while other threads run C code that reads
    /// the environment is not safe: a program that has such threads makes its first context before it starts them, or
    /// switches this off.
    pub tune_driver: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            adapter: None,
            cache_dir: None,
            tune_driver: true,
        }
    }
}

/// A graphics device and its queue. Clones are handles to the same device.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    instance: wgpu::Instance,
    adapter: wgpu::Adapter,
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: Info,
    failure: Arc<OnceLock<Error>>,
    counters: Counters,
    launches: Mutex<LaunchBuffers>,
    pipelines: PipelineCache,
}

/// What is known of a context's adapter.
#[derive(Clone, Debug)]
pub struct Info {
    /// The adapter's name, as its driver gives it.
    pub adapter: String,
    /// The driver's name and version.
    pub driver: String,
    /// The graphics interface in use.
    pub backend: wgpu::Backend,
    /// Whether the "graphics card" is this machine's processor.
    pub software: bool,
    /// The vector width that Mesa's software driver was asked for, in bits.
    pub vector_width: Option<u32>,
    /// The device's limits.
    pub limits: wgpu::Limits,
    /// The device's features.
    pub features: wgpu::Features,
}

/// How often, and how many bytes, a context has moved between host and device since it was made.
///
/// The few words of launch parameters that go with a submission are not counted: they carry no simulation data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// Writes from the host to the device.
    pub uploads: u64,
    /// Bytes of those.
    pub upload_bytes: u64,
    /// Read-backs from the device to the host.
    pub downloads: u64,
    /// Bytes of those.
    pub download_bytes: u64,
}

#[derive(Default)]
struct Counters {
    uploads: AtomicU64,
    upload_bytes: AtomicU64,
    downloads: AtomicU64,
    download_bytes: AtomicU64,
}

/// The least that our kernels need; WebGPU guarantees all of it.
const NEEDED_STORAGE_BUFFERS: u32 = 8;
const NEEDED_WORKGROUP_SIZE: u32 = 64;

impl Context {
    /// Opens an adapter; waits for it.
    ///
    /// # Errors
    /// No adapter, none that `Options::adapter` or `MANYWORLDS_ADAPTER` describes, or one that refuses a device.
    pub fn new(options: &Options) -> Result<Self> {
        pollster::block_on(Self::new_async(options))
    }

    /// Opens an adapter. See [`Context::new`].
    pub async fn new_async(options: &Options) -> Result<Self> {
        if options.tune_driver {
            environment::prepare();
        }
        let instance =
            wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let filter = options
            .adapter
            .clone()
            .or_else(|| std::env::var("MANYWORLDS_ADAPTER").ok())
            .filter(|filter| !filter.is_empty());
        let adapter = choose_adapter(&instance, filter.as_deref()).await?;
        let given = adapter.get_info();
        let refused = |what: &dyn fmt::Display| Error::device(what).context(&given.name);

        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("manyworlds"),
                // Mappable storage would move every buffer into memory that the host sees, slow on a graphics card.
                required_features: adapter.features() - wgpu::Features::MAPPABLE_PRIMARY_BUFFERS,
                required_limits: adapter.limits(),
                // SAFETY: this only allows the features named above that wgpu marks as experimental to be asked for.
                // None of our kernels uses one; burn's kernels expect those that the adapter offers.
                experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
                memory_hints: wgpu::MemoryHints::MemoryUsage,
                trace: wgpu::Trace::Off,
            })
            .await
            .map_err(|error| refused(&error))?;

        let limits = device.limits();
        for (what, offered, needed) in [
            (
                "storage buffers in a kernel",
                limits.max_storage_buffers_per_shader_stage,
                NEEDED_STORAGE_BUFFERS,
            ),
            (
                "threads in a workgroup",
                limits.max_compute_invocations_per_workgroup,
                NEEDED_WORKGROUP_SIZE,
            ),
        ] {
            if offered < needed {
                return Err(refused(&format!(
                    "it offers {offered} {what}, and {needed} are needed"
                ))
                .hint("choose another adapter with MANYWORLDS_ADAPTER"));
            }
        }

        let software = given.device_type == wgpu::DeviceType::Cpu;
        let info = Info {
            driver: format!("{} {}", given.driver, given.driver_info)
                .trim()
                .to_owned(),
            backend: given.backend,
            software,
            vector_width: environment::vector_width().filter(|_| software),
            limits,
            features: device.features(),
            adapter: given.name.clone(),
        };
        let cache_dir = options.cache_dir.clone().or_else(environment::cache_dir);
        let pipelines = PipelineCache::open(
            &device,
            &given,
            info.vector_width,
            cache_dir.filter(|folder| !folder.as_os_str().is_empty()),
        );
        let context = Self(Arc::new(Inner {
            instance,
            adapter,
            device,
            queue,
            info,
            failure: Arc::default(),
            counters: Counters::default(),
            launches: Mutex::default(),
            pipelines,
        }));
        context.watch_errors();
        Ok(context)
    }

    /// The wgpu instance.
    pub fn instance(&self) -> &wgpu::Instance {
        &self.0.instance
    }

    /// The wgpu adapter.
    pub fn adapter(&self) -> &wgpu::Adapter {
        &self.0.adapter
    }

    /// Whether both are handles to one device. (wgpu's own comparison takes devices of two instances for the same.)
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// Name, driver, limits and features of the adapter.
    pub fn info(&self) -> &Info {
        &self.0.info
    }

    /// What has moved between host and device so far. Tests use it to show that a step moves nothing.
    pub fn transfers(&self) -> Transfers {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0.counters;
        Transfers {
            uploads: get(&counters.uploads),
            upload_bytes: get(&counters.upload_bytes),
            downloads: get(&counters.downloads),
            download_bytes: get(&counters.download_bytes),
        }
    }

    /// The first failure that the device reported outside of a call that could return it, or its loss.
    ///
    /// # Errors
    /// That failure; it stays, since nothing on this device can be relied on after it.
    pub fn check(&self) -> Result<()> {
        match self.0.failure.get() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Has the device report failures to [`Context::check`].
    ///
    /// A new context does. wgpu keeps one handler per device, and burn installs its own (which panics) when it joins
    /// the device: whoever sets burn up on this device calls this again afterwards.
    pub fn watch_errors(&self) {
        let failure = self.0.failure.clone();
        self.device().on_uncaptured_error(Arc::new(move |error| {
            let _ = failure.set(device_error(&error));
        }));
        let failure = self.0.failure.clone();
        self.device()
            .set_device_lost_callback(move |reason, message| {
                // `Destroyed` is how an ordinary end is reported, after the last handle is gone.
                if reason != wgpu::DeviceLostReason::Destroyed {
                    let _ = failure.set(
                        Error::device(format!("the device was lost: {message}")).hint(
                            "a kernel that ran too long, or a driver reset; see the system's log",
                        ),
                    );
                }
            });
    }

    /// Waits until the device has done all that was submitted.
    ///
    /// # Errors
    /// The device was lost, or has reported a failure ([`Context::check`]).
    pub fn wait(&self) -> Result<()> {
        self.wait_for(None)
    }

    pub(super) fn wait_for(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        self.device()
            .poll(wgpu::PollType::Wait {
                submission_index,
                timeout: None,
            })
            .map_err(|error| Error::device(format!("waiting for the device: {error}")))?;
        self.check()
    }

    /// Writes the compiled pipelines of this context into the cache folder. The last handle does it when it is dropped;
    /// a process that ends without dropping it calls this.
    ///
    /// # Errors
    /// The file could not be written. Nothing else depends on it.
    pub fn save_pipelines(&self) -> Result<()> {
        self.0.pipelines.save()
    }

    /// How many bytes of compiled pipelines were found in the cache folder when the context was made.
    pub fn pipelines_loaded(&self) -> usize {
        self.0.pipelines.loaded()
    }

    pub(super) fn pipelines(&self) -> &PipelineCache {
        &self.0.pipelines
    }

    /// The buffers of launch parameters. Held while a submission's parameters are written and it is submitted, so that
    /// another thread's cannot come in between.
    pub(super) fn launches(&self) -> MutexGuard<'_, LaunchBuffers> {
        self.0
            .launches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `calls` to wgpu and returns what they report as an error, in place of wgpu's panic.
    pub(super) fn caught<T>(&self, calls: impl FnOnce() -> T) -> Result<T> {
        let scopes = [
            wgpu::ErrorFilter::Internal,
            wgpu::ErrorFilter::OutOfMemory,
            wgpu::ErrorFilter::Validation,
        ]
        .map(|filter| self.device().push_error_scope(filter));
        let value = calls();
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            // On native backends the answer is there at once.
            first = pollster::block_on(scope.pop()).or(first);
        }
        match first {
            Some(error) => Err(device_error(&error)),
            None => Ok(value),
        }
    }

    pub(super) fn count_upload(&self, bytes: u64) {
        self.0.counters.uploads.fetch_add(1, Ordering::Relaxed);
        self.0
            .counters
            .upload_bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn count_download(&self, bytes: u64) {
        self.0.counters.downloads.fetch_add(1, Ordering::Relaxed);
        self.0
            .counters
            .download_bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A cache that cannot be written costs time at the next start, and nothing else.
        let _ = self.pipelines.save();
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.info())
    }
}

impl fmt::Display for Info {
    /// One line: adapter, backend, driver, hardware or software.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}", self.adapter, self.backend, self.driver)?;
        match (self.software, self.vector_width) {
            (true, Some(bits)) => write!(f, ", software, {bits}-bit vectors)"),
            (true, None) => write!(f, ", software)"),
            (false, _) => write!(f, ")"),
        }
    }
}

async fn choose_adapter(instance: &wgpu::Instance, filter: Option<&str>) -> Result<wgpu::Adapter> {
    let Some(filter) = filter else {
        return instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                ..Default::default()
            })
            .await
            .map_err(|error| no_adapter(&error.to_string()));
    };
    let adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    if adapters.is_empty() {
        return Err(no_adapter("the system lists none"));
    }
    let wanted = filter.to_lowercase();
    let described = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        format!("{} {} {}", info.name, info.driver, info.backend)
    };
    let names: Vec<String> = adapters
        .iter()
        .map(|adapter| adapter.get_info().name)
        .collect();
    adapters
        .into_iter()
        .filter(|adapter| described(adapter).to_lowercase().contains(&wanted))
        .min_by_key(|adapter| slowness(adapter.get_info().device_type))
        .ok_or_else(|| {
            Error::device(format!("no graphics adapter matches `{filter}`"))
                .hint(format!("this machine has: {}", names.join(", ")))
        })
}

/// Orders adapters: a graphics card of its own first, the processor last.
fn slowness(kind: wgpu::DeviceType) -> u32 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn no_adapter(cause: &str) -> Error {
    // wgpu lists the backends that this program is not built for as well.
    let relevant: Vec<&str> = cause
        .split([';', ','])
        .map(str::trim)
        .filter(|part| !part.ends_with("not compiled in"))
        .collect();
    Error::device(format!("no graphics adapter was found: {}", relevant.join(", "))).hint(
        "install a Vulkan driver; without a GPU, Mesa's software driver will do: \
         `apt install mesa-vulkan-drivers` on Debian and Ubuntu, `dnf install mesa-vulkan-drivers` on Fedora",
    )
}

/// Turns wgpu's error and its causes into ours.
pub(super) fn device_error(error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            Error::device("the device is out of memory").hint("use fewer worlds")
        }
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            Error::device(description)
        }
    }
}
