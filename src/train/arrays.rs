//! Named arrays in one `.npz` file: exact, and readable with numpy.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

use ndarray::{Array1, ArrayD, IxDyn};
use ndarray_npy::{NpzReader, NpzWriter, WritableElement};

use crate::error::{Error, Result};
use crate::files;

/// Writes arrays one by one; the file is synced by [`finish`](Writer::finish).
pub(crate) struct Writer {
    npz: NpzWriter<BufWriter<File>>,
    place: String,
}

impl Writer {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let file = File::create(path).map_err(|error| Error::io(error).context(&place))?;
        Ok(Self {
            npz: NpzWriter::new(BufWriter::new(file)),
            place,
        })
    }

    /// Adds an array in row-major order; `shape` times out to the number of values.
    pub(crate) fn add<T: WritableElement + Clone>(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[T],
    ) -> Result<()> {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values.to_vec())
            .map_err(|error| Error::invalid(error).context(name).context(&self.place))?;
        self.npz
            .add_array(name, &array)
            .map_err(|error| Error::io(error).context(name).context(&self.place))
    }

    pub(crate) fn finish(self) -> Result<()> {
        let io = |error: &dyn std::fmt::Display| Error::io(error).context(&self.place);
        let file = self.npz.finish().map_err(|error| io(&error))?;
        let file = file.into_inner().map_err(|error| io(&error))?;
        file.sync_all().map_err(|error| io(&error))
    }
}

/// Reads arrays by name.
pub(crate) struct Reader {
    npz: NpzReader<BufReader<File>>,
    place: String,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        files::npz::check(path)?;
        let file = File::open(path).map_err(|error| Error::io(error).context(&place))?;
        let npz = NpzReader::new(BufReader::new(file))
            .map_err(|error| Error::invalid(error).context(&place))?;
        Ok(Self { npz, place })
    }

    pub(crate) fn has(&mut self, name: &str) -> bool {
        self.npz
            .names()
            .is_ok_and(|names| names.iter().any(|n| n == name))
    }

    pub(crate) fn vector<T: ndarray_npy::ReadableElement>(&mut self, name: &str) -> Result<Vec<T>> {
        let array: Array1<T> = self
            .npz
            .by_name(name)
            .map_err(|error| Error::invalid(error).context(name).context(&self.place))?;
        Ok(array.into_raw_vec_and_offset().0)
    }

    /// Shape and values, in row-major order, of an array of any number of dimensions.
    pub(crate) fn array<T: ndarray_npy::ReadableElement + Clone>(
        &mut self,
        name: &str,
    ) -> Result<(Vec<usize>, Vec<T>)> {
        let array: ArrayD<T> = self
            .npz
            .by_name(name)
            .map_err(|error| Error::invalid(error).context(name).context(&self.place))?;
        Ok((array.shape().to_vec(), array.iter().cloned().collect()))
    }

    pub(crate) fn scalar<T: ndarray_npy::ReadableElement + Copy>(
        &mut self,
        name: &str,
    ) -> Result<T> {
        let values = self.vector(name)?;
        values.first().copied().ok_or_else(|| {
            Error::invalid("is empty")
                .context(name)
                .context(&self.place)
        })
    }
}
