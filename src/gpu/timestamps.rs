//! Times of passes, by the device's own clock.

use super::context::Context;
use super::readback;
use crate::error::{Error, Result};

/// Passes that one recorder can time.
const MAX_PASSES: u32 = 1024;

/// The timestamps of one recorder: two for each pass, at its beginning and its end.
#[derive(Debug)]
pub(super) struct Timestamps {
    queries: wgpu::QuerySet,
    labels: Vec<String>,
    /// Which label each timed pass belongs to.
    passes: Vec<usize>,
    current: Option<usize>,
    /// Where the host can read them, once they are resolved.
    pub(super) staging: Option<wgpu::Buffer>,
}

impl Timestamps {
    /// None if the adapter has no clock for this.
    pub(super) fn new(context: &Context) -> Option<Self> {
        if !context
            .info()
            .features
            .contains(wgpu::Features::TIMESTAMP_QUERY)
        {
            return None;
        }
        let queries = context
            .device()
            .create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * MAX_PASSES,
            });
        Some(Self {
            queries,
            labels: Vec::new(),
            passes: Vec::new(),
            current: None,
            staging: None,
        })
    }

    /// The passes that follow are timed under `label`.
    pub(super) fn begin(&mut self, label: &str) {
        let known = self.labels.iter().position(|known| known == label);
        self.current = Some(known.unwrap_or_else(|| {
            self.labels.push(label.to_owned());
            self.labels.len() - 1
        }));
    }

    /// What to write in the next pass, if it is to be timed.
    pub(super) fn next_pass(&mut self) -> Result<Option<wgpu::ComputePassTimestampWrites<'_>>> {
        let Some(label) = self.current else {
            return Ok(None);
        };
        let pass = self.passes.len() as u32;
        if pass == MAX_PASSES {
            return Err(Error::invalid(format!(
                "more than {MAX_PASSES} timed passes in one recorder"
            ))
            .hint("submit, and go on with a new recorder"));
        }
        self.passes.push(label);
        Ok(Some(wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(2 * pass),
            end_of_pass_write_index: Some(2 * pass + 1),
        }))
    }

    /// Has the timestamps copied to where the host can read them.
    pub(super) fn resolve(&mut self, context: &Context, encoder: &mut wgpu::CommandEncoder) {
        let count = 2 * self.passes.len() as u32;
        if count == 0 {
            return;
        }
        let size = u64::from(count) * u64::from(wgpu::QUERY_SIZE);
        let resolved = context.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let staging = readback::staging(context, size);
        encoder.resolve_query_set(&self.queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, size);
        self.staging = Some(staging);
    }

    /// Nanoseconds per label, from the clock's ticks and a tick's length in nanoseconds.
    pub(super) fn sums(&self, ticks: &[u64], period: f32) -> Vec<(String, u64)> {
        let mut sums = vec![0; self.labels.len()];
        for (label, pass) in self.passes.iter().zip(ticks.chunks_exact(2)) {
            sums[*label] += pass[1].saturating_sub(pass[0]);
        }
        let nanoseconds = |ticks: u64| (ticks as f64 * f64::from(period)) as u64;
        self.labels
            .iter()
            .cloned()
            .zip(sums.into_iter().map(nanoseconds))
            .collect()
    }
}
