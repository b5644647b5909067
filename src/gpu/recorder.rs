//! Commands for the device, collected and sent together.

use std::collections::HashMap;
use std::fmt;

use super::context::Context;
use super::kernel::{Binding, Kernel};
use super::launch::{self, Launch, Parameters};
use super::readback::Readback;
use super::timestamps::Timestamps;
use crate::error::{Error, Result};

/// Collects launches and copies in order; [`Recorder::submit`] sends them.
///
/// Each command sees what those before it have written. Dropping a recorder sends nothing.
pub struct Recorder {
    context: Context,
    encoder: wgpu::CommandEncoder,
    /// The open pass, if the last command was a launch.
    pass: Option<wgpu::ComputePass<'static>>,
    parameters: Vec<Parameters>,
    slots: HashMap<Parameters, usize>,
    slot_size: usize,
    timestamps: Option<Timestamps>,
}

/// Commands that were sent, and may still be running.
#[derive(Debug)]
pub struct Submission {
    context: Context,
    index: wgpu::SubmissionIndex,
    timestamps: Option<Timestamps>,
}

impl Recorder {
    /// Begins with nothing.
    pub fn new(context: &Context) -> Self {
        let encoder = context
            .device()
            .create_command_encoder(&wgpu::CommandEncoderDescriptor {
                label: Some("recorder"),
            });
        Self {
            context: context.clone(),
            encoder,
            pass: None,
            parameters: Vec::new(),
            slots: HashMap::new(),
            slot_size: launch::slot_size(&context.info().limits),
            timestamps: None,
        }
    }

    /// Launches `kernel` on `bindings`, which are in the order of its binding numbers.
    ///
    /// # Errors
    /// The number of bindings or the names of the values are not the kernel's, a binding breaks the device's rules, or
    /// the launch is too long.
    pub fn dispatch(
        &mut self,
        kernel: &Kernel,
        bindings: &[Binding],
        launch: &Launch<'_>,
    ) -> Result<&mut Self> {
        let parameters = launch.parameters(kernel)?;
        let size = kernel.interface().workgroup.iter().product();
        let most = self
            .context
            .info()
            .limits
            .max_compute_workgroups_per_dimension;
        let [columns, rows] = launch
            .workgroups(size, most)
            .map_err(|error| error.context(kernel.label()))?;
        if columns == 0 {
            return Ok(self);
        }
        let number = *self.slots.entry(parameters).or_insert_with(|| {
            self.parameters.push(parameters);
            self.parameters.len() - 1
        });
        let slot = launch::slot(number, self.slot_size);
        let group = kernel.group(
            &self.context,
            bindings,
            &mut self.context.launches(),
            slot.buffer,
        )?;

        self.open_pass()?;
        let Some(pass) = &mut self.pass else {
            return Ok(self);
        };
        pass.set_pipeline(kernel.pipeline());
        let offsets = [slot.offset];
        pass.set_bind_group(
            0,
            &group,
            if kernel.interface().launch {
                &offsets
            } else {
                &[]
            },
        );
        pass.dispatch_workgroups(columns, rows, 1);
        Ok(self)
    }

    /// Copies between two buffers, which must not be the same one; both parts have the same size.
    ///
    /// # Errors
    /// The same buffer, or different sizes.
    pub fn copy(&mut self, from: &Binding, to: &Binding) -> Result<&mut Self> {
        if from.size != to.size {
            return Err(Error::invalid(format!(
                "a copy of {} bytes into {}",
                from.size, to.size
            )));
        }
        if from.buffer == to.buffer {
            return Err(Error::invalid("a copy from a buffer into itself"));
        }
        self.pass = None;
        self.encoder.copy_buffer_to_buffer(
            &from.buffer,
            from.offset,
            &to.buffer,
            to.offset,
            from.size,
        );
        Ok(self)
    }

    /// Fills a part of a buffer with zeros.
    pub fn clear(&mut self, part: &Binding) -> &mut Self {
        self.pass = None;
        self.encoder
            .clear_buffer(&part.buffer, part.offset, Some(part.size));
        self
    }

    /// From here to the next call, launches are timed under `label`; [`Submission::timings`] has the sums. Copies are
    /// not timed, and an adapter without timestamps times nothing.
    pub fn time(&mut self, label: &str) -> &mut Self {
        self.pass = None;
        if self.timestamps.is_none() {
            self.timestamps = Timestamps::new(&self.context);
        }
        if let Some(timestamps) = &mut self.timestamps {
            timestamps.begin(label);
        }
        self
    }

    /// Sends the commands. Returns at once; they run in the background, after everything sent before.
    ///
    /// # Errors
    /// The device refuses a command, is out of memory, or has reported a failure before.
    pub fn submit(mut self) -> Result<Submission> {
        self.context.check()?;
        self.pass = None;
        if let Some(timestamps) = &mut self.timestamps {
            timestamps.resolve(&self.context, &mut self.encoder);
        }
        let context = self.context;
        let index = context.caught(|| {
            let mut launches = context.launches();
            launches.write(context.queue(), &self.parameters, self.slot_size);
            context.queue().submit([self.encoder.finish()])
        })?;
        Ok(Submission {
            context,
            index,
            timestamps: self.timestamps,
        })
    }

    /// Opens a pass, unless one is open.
    fn open_pass(&mut self) -> Result<()> {
        if self.pass.is_none() {
            let timestamp_writes = match &mut self.timestamps {
                Some(timestamps) => timestamps.next_pass()?,
                None => None,
            };
            let descriptor = wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes,
            };
            self.pass = Some(
                self.encoder
                    .begin_compute_pass(&descriptor)
                    .forget_lifetime(),
            );
        }
        Ok(())
    }
}

impl Submission {
    /// Waits until the commands are done.
    ///
    /// # Errors
    /// The device was lost, or has reported a failure.
    pub fn wait(&self) -> Result<()> {
        self.context.wait_for(Some(self.index.clone()))
    }

    /// Reads back how long the launches under each label of [`Recorder::time`] ran on the device, in nanoseconds, in
    /// the order of the labels' first use. Waits for the commands. Empty if nothing was timed, or the adapter cannot.
    ///
    /// # Errors
    /// As [`Submission::wait`].
    pub fn timings(mut self) -> Result<Vec<(String, u64)>> {
        let Some((timestamps, staging)) = self
            .timestamps
            .take()
            .and_then(|mut timestamps| timestamps.staging.take().map(|s| (timestamps, s)))
        else {
            self.wait()?;
            return Ok(Vec::new());
        };
        let ticks =
            Readback::<u64>::mapping(&self.context, Some(staging), Some(self.index)).wait()?;
        Ok(timestamps.sums(&ticks, self.context.queue().get_timestamp_period()))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({} different launches)", self.parameters.len())
    }
}
