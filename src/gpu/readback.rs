//! Values on their way from the device to the host.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::context::Context;
use super::kernel::Binding;
use crate::error::{Error, Result};

/// Values that were asked for and may not have arrived yet. [`Readback::wait`] waits for them; awaiting it does so
/// without holding up the thread, and polls the device whenever it is polled (native backends do nothing by themselves).
#[must_use = "nothing arrives until it is waited for or awaited"]
pub struct Readback<T> {
    context: Context,
    staging: Option<wgpu::Buffer>,
    submission: Option<wgpu::SubmissionIndex>,
    state: Arc<Mutex<State>>,
    values: PhantomData<fn() -> T>,
}

#[derive(Default)]
struct State {
    mapped: Option<Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

impl<T: bytemuck::Pod> Readback<T> {
    /// Copies `parts`, one behind the other, and has them sent to the host.
    pub(super) fn of(context: &Context, parts: &[Binding]) -> Result<Self> {
        let size = parts.iter().map(|part| part.size).sum();
        if size == 0 {
            return Ok(Self::mapping(context, None, None));
        }
        let (staging, submission) = context.caught(|| {
            let staging = staging(context, size);
            let mut encoder =
                context
                    .device()
                    .create_command_encoder(&wgpu::CommandEncoderDescriptor {
                        label: Some("read-back"),
                    });
            let mut at = 0;
            for part in parts {
                encoder.copy_buffer_to_buffer(&part.buffer, part.offset, &staging, at, part.size);
                at += part.size;
            }
            (staging, context.queue().submit([encoder.finish()]))
        })?;
        Ok(Self::mapping(context, Some(staging), Some(submission)))
    }

    /// Sends a buffer from [`staging`], which `submission` fills, to the host.
    pub(super) fn mapping(
        context: &Context,
        staging: Option<wgpu::Buffer>,
        submission: Option<wgpu::SubmissionIndex>,
    ) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        if let Some(staging) = &staging {
            context.count_download(staging.size());
            let state = state.clone();
            staging.map_async(wgpu::MapMode::Read, .., move |result| {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.mapped = Some(result);
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
            });
        }
        Self {
            context: context.clone(),
            staging,
            submission,
            state,
            values: PhantomData,
        }
    }

    /// Waits for the values.
    ///
    /// # Errors
    /// The device was lost, or has reported a failure.
    pub fn wait(self) -> Result<Vec<T>> {
        let Some(staging) = &self.staging else {
            return Ok(Vec::new());
        };
        self.context.wait_for(self.submission.clone())?;
        match self.take(staging) {
            Some(values) => values,
            None => Err(Error::device("a read-back was finished and not there")),
        }
    }

    /// The values, if they are there.
    fn take(&self, staging: &wgpu::Buffer) -> Option<Result<Vec<T>>> {
        let mapped = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .mapped
            .take()?;
        Some(
            mapped
                .map_err(|error| Error::device(format!("a read-back failed: {error}")))
                .and_then(|()| {
                    let view = staging
                        .get_mapped_range(..)
                        .map_err(|error| Error::device(format!("a read-back failed: {error}")))?;
                    Ok(bytemuck::pod_collect_to_vec(&view))
                }),
        )
    }
}

/// A buffer for copies that the host will read.
pub(super) fn staging(context: &Context, size: u64) -> wgpu::Buffer {
    context.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("read-back"),
        size,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

impl<T: bytemuck::Pod> Future for Readback<T> {
    type Output = Result<Vec<T>>;

    fn poll(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let Some(staging) = &self.staging else {
            return Poll::Ready(Ok(Vec::new()));
        };
        if let Err(error) = self.context.device().poll(wgpu::PollType::Poll) {
            return Poll::Ready(Err(Error::device(format!(
                "waiting for the device: {error}"
            ))));
        }
        if let Err(error) = self.context.check() {
            return Poll::Ready(Err(error));
        }
        if let Some(values) = self.take(staging) {
            return Poll::Ready(values);
        }
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .waker = Some(task.waker().clone());
        // Where nobody else polls the device, nobody would wake the task: ask again.
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T> fmt::Debug for Readback<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Readback({} bytes)",
            self.staging.as_ref().map_or(0, wgpu::Buffer::size)
        )
    }
}
