//! NumPy archives: arrays in by name with their shapes checked, arrays out in one atomic file.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{
    NpzReader, NpzWriter, ReadNpyError, ReadNpzError, ReadableElement, WritableElement,
};

use super::output;
use crate::error::{Error, Result, near_matches};
use crate::files;

/// An `.npz` file that is being read.
pub(super) struct Archive {
    path: PathBuf,
    reader: NpzReader<BufReader<File>>,
    names: Vec<String>,
}

/// What one dimension of an array must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Its name, as in the documentation: `N`, `nq`.
    pub name: &'static str,
    /// Its size, where it is known.
    pub size: Option<usize>,
    /// Whether 1 stands for any size.
    pub broadcast: bool,
}

impl Extent {
    /// A dimension of a given size.
    pub(super) fn exactly(name: &'static str, size: usize) -> Self {
        Self {
            name,
            size: Some(size),
            broadcast: false,
        }
    }

    /// A dimension of any size but 0.
    pub(super) fn any(name: &'static str) -> Self {
        Self {
            name,
            size: None,
            broadcast: false,
        }
    }

    /// The worlds: `N` if it is known, or 1.
    pub(super) fn worlds(size: Option<usize>) -> Self {
        Self {
            name: "N",
            size,
            broadcast: true,
        }
    }

    fn fits(&self, size: usize) -> bool {
        let wanted = self.size.is_none_or(|wanted| size == wanted);
        (wanted && (size != 0 || self.size == Some(0))) || (self.broadcast && size == 1)
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Some(size) if self.broadcast && size != 1 => write!(f, "{} = {size} or 1", self.name),
            Some(size) => write!(f, "{} = {size}", self.name),
            None => f.write_str(self.name),
        }
    }
}

impl Archive {
    /// Opens an archive whose arrays all stand in `known`.
    pub(super) fn open(path: &Path, known: &[&str]) -> Result<Self> {
        let archive = Self::open_any(path)?;
        for name in &archive.names {
            if !known.contains(&name.as_str()) {
                let near = near_matches(name, known.iter().copied());
                let hint = match near.first() {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it may hold: {}", known.join(", ")),
                };
                return Err(Error::invalid(format!("unknown array `{name}`"))
                    .hint(hint)
                    .context(path.display()));
            }
        }
        Ok(archive)
    }

    /// Opens an archive that may hold other arrays too.
    pub(super) fn open_any(path: &Path) -> Result<Self> {
        let place = |error: Error| error.context(path.display());
        let file = File::open(path).map_err(|error| place(error.into()))?;
        let unreadable = |error: ReadNpzError| {
            place(
                Error::invalid(format!("no readable npz archive: {error}"))
                    .hint("write it with numpy.savez, not savez_compressed"),
            )
        };
        files::npz::check(path)?;
        let mut reader = NpzReader::new(BufReader::new(file)).map_err(unreadable)?;
        let names = reader.names().map_err(unreadable)?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            names,
        })
    }

    /// The array of that name with `extents`, or none where the archive has no such array.
    pub(super) fn optional(
        &mut self,
        name: &str,
        extents: &[Extent],
    ) -> Result<Option<ArrayD<f64>>> {
        self.fitting(name, extents, Self::floats)
    }

    /// [`Archive::optional`] for truth values, as 0 and 1: an array of bool, as MuJoCo's own, of uint8 or of floats.
    pub(super) fn optional_flags(
        &mut self,
        name: &str,
        extents: &[Extent],
    ) -> Result<Option<ArrayD<f64>>> {
        self.fitting(name, extents, Self::flags)
    }

    fn fitting(
        &mut self,
        name: &str,
        extents: &[Extent],
        read: impl FnOnce(&mut Self, &str) -> Result<ArrayD<f64>>,
    ) -> Result<Option<ArrayD<f64>>> {
        if !self.names.iter().any(|known| known == name) {
            return Ok(None);
        }
        let array = read(self, name).map_err(|error| {
            error
                .context(format!("array {name}"))
                .context(self.path.display())
        })?;
        let found = array.shape();
        if found.len() != extents.len()
            || !extents
                .iter()
                .zip(found)
                .all(|(extent, size)| extent.fits(*size))
        {
            let expected: Vec<String> = extents.iter().map(Extent::to_string).collect();
            return Err(Error::invalid(format!(
                "found shape {found:?}, expected [{}]",
                expected.join(", ")
            ))
            .context(format!("array {name}"))
            .context(self.path.display()));
        }
        Ok(Some(array))
    }

    /// The array of that name with `extents`.
    pub(super) fn required(&mut self, name: &str, extents: &[Extent]) -> Result<ArrayD<f64>> {
        self.optional(name, extents)?.ok_or_else(|| {
            let expected: Vec<String> = extents.iter().map(Extent::to_string).collect();
            let found = if self.names.is_empty() {
                "nothing".into()
            } else {
                self.names.join(", ")
            };
            Error::invalid(format!("there is no array `{name}`; found {found}"))
                .context(self.path.display())
                .hint(format!("add {name} with shape [{}]", expected.join(", ")))
        })
    }

    /// Whether it has an array of that name.
    #[cfg(feature = "learn")]
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The array of that name, whatever its shape: that, and its values in row-major order.
    #[cfg(feature = "learn")]
    pub(super) fn any(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        if !self.has(name) {
            let found = self.names.join(", ");
            let error = Error::invalid(format!("there is no array `{name}`"));
            return Err(error
                .hint(format!("found: {found}"))
                .context(self.path.display()));
        }
        let array = self.floats(name).map_err(|error| {
            error
                .context(format!("array {name}"))
                .context(self.path.display())
        })?;
        Ok((array.shape().to_vec(), array.iter().copied().collect()))
    }

    fn floats(&mut self, name: &str) -> Result<ArrayD<f64>> {
        match self.typed::<f64>(name) {
            Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(found))) => {
                match self.typed::<f32>(name) {
                    Ok(array) => Ok(array.mapv(f64::from)),
                    Err(_) => Err(Error::invalid(format!(
                        "found dtype {found}, expected float64 or float32"
                    ))
                    .hint("convert it with .astype(numpy.float64)")),
                }
            }
            Err(error) => Err(Error::invalid(error)),
            Ok(array) => Ok(array),
        }
    }

    fn flags(&mut self, name: &str) -> Result<ArrayD<f64>> {
        let array = match self.typed::<bool>(name) {
            Ok(array) => array.mapv(f64::from),
            Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => {
                match self.typed::<u8>(name) {
                    Ok(array) => array.mapv(f64::from),
                    Err(_) => self.floats(name)?,
                }
            }
            Err(error) => return Err(Error::invalid(error)),
        };
        match array.iter().find(|&&value| value != 0.0 && value != 1.0) {
            None => Ok(array),
            Some(value) => Err(Error::invalid(format!("found {value}, expected 0 or 1"))),
        }
    }

    fn typed<T: ReadableElement>(&mut self, name: &str) -> Result<ArrayD<T>, ReadNpzError> {
        self.reader.by_name::<OwnedRepr<T>, IxDyn>(name)
    }
}

/// Writes an archive; `fill` adds the arrays.
pub(super) fn write(path: &Path, fill: impl FnOnce(&mut Arrays<'_>) -> Result<()>) -> Result<()> {
    output::write_atomically(path, |file| {
        let mut arrays = Arrays(NpzWriter::new(file));
        fill(&mut arrays)?;
        arrays.0.finish().map_err(Error::io)?;
        Ok(())
    })
}

/// An archive that is being written.
pub(super) struct Arrays<'f>(NpzWriter<&'f mut std::io::BufWriter<File>>);

impl Arrays<'_> {
    /// Adds `values` in row-major order.
    pub(super) fn add<T: WritableElement + Clone>(
        &mut self,
        name: &str,
        shape: &[usize],
        values: Vec<T>,
    ) -> Result<()> {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| {
            Error::invalid(format!("{error} {shape:?}")).context(format!("array {name}"))
        })?;
        self.0
            .add_array(name, &array)
            .map_err(|error| Error::io(error).context(format!("array {name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, fill: impl FnOnce(&mut Arrays<'_>) -> Result<()>) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("manyworlds-npz-{name}-{}.npz", std::process::id()));
        write(&path, fill).expect("a temporary file");
        path
    }

    #[test]
    fn single_precision_and_broadcast_are_read() {
        let path = written("f32", |arrays| {
            arrays.add("qpos", &[1, 2], vec![1.5f32, 2.5])
        });
        let mut archive = Archive::open(&path, &["qpos"]).unwrap();
        let array = archive
            .required("qpos", &[Extent::worlds(Some(8)), Extent::exactly("nq", 2)])
            .unwrap();
        assert_eq!(array.as_slice().unwrap(), [1.5, 2.5]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn wrong_shapes_types_and_names_say_what_was_found_and_expected() {
        let path = written("bad", |arrays| {
            arrays.add("qpos", &[3, 2], vec![0.0f64; 6])?;
            arrays.add("qvel", &[1, 2], vec![0i64; 2])
        });
        let mut archive = Archive::open(&path, &["qpos", "qvel"]).unwrap();
        let extents = [Extent::worlds(Some(8)), Extent::exactly("nq", 2)];
        let error = archive.required("qpos", &extents).unwrap_err().to_string();
        assert!(
            error.ends_with("array qpos: found shape [3, 2], expected [N = 8 or 1, nq = 2]"),
            "{error}"
        );
        let error = archive.required("qvel", &extents).unwrap_err().to_string();
        assert!(
            error.contains("array qvel: found dtype") && error.contains("<i8"),
            "{error}"
        );
        let error = archive.required("act", &extents).unwrap_err().to_string();
        assert!(
            error.contains("no array `act`; found qpos, qvel"),
            "{error}"
        );
        let error = Archive::open(&path, &["qpos", "qvol"])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("did you mean `qvol`"), "{error}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn truth_values_are_read_from_several_types() {
        let path = written("flags", |arrays| {
            arrays.add("bool", &[1, 2], vec![true, false])?;
            arrays.add("byte", &[1, 2], vec![1u8, 0])?;
            arrays.add("float", &[1, 2], vec![1.0f32, 0.0])?;
            arrays.add("half", &[1, 2], vec![0.5f64, 0.0])?;
            arrays.add("long", &[1, 2], vec![1i64, 0])
        });
        let mut archive = Archive::open_any(&path).unwrap();
        let extents = [Extent::worlds(Some(8)), Extent::exactly("neq", 2)];
        for name in ["bool", "byte", "float"] {
            let array = archive.optional_flags(name, &extents).unwrap().unwrap();
            assert_eq!(array.as_slice().unwrap(), [1.0, 0.0], "{name}");
        }
        let mut error = |name| {
            let error = archive.optional_flags(name, &extents).unwrap_err();
            error.to_string()
        };
        assert!(error("half").ends_with("array half: found 0.5, expected 0 or 1"));
        assert!(error("long").contains("found dtype"), "{}", error("long"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_archive_is_refused() {
        let path =
            std::env::temp_dir().join(format!("manyworlds-npz-text-{}.npz", std::process::id()));
        std::fs::write(&path, "not a zip").unwrap();
        let error = Archive::open(&path, &[]).err().unwrap().to_string();
        assert!(error.contains("numpy.savez,"), "{error}");
        std::fs::remove_file(path).unwrap();
        assert!(Archive::open(Path::new("no-such.npz"), &[]).is_err());
    }
}
