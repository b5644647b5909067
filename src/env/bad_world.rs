//! A world that went wrong, as a value: what one control step read and what it left, on the host and in a file.
//!
//! The file is a NumPy archive: `about`, JSON as UTF-8 bytes; `parameters`; and every field of the world by its name (see
//! [`Fields`](super::Fields)) before and after the step, `before.qpos`, `after.qpos` and so on, each `[component]`.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use ndarray::{Array1, Ix1, OwnedRepr};
use ndarray_npy::{
    NpzReader, NpzWriter, ReadNpyError, ReadNpzError, ReadableElement, WritableElement,
};
use serde::{Deserialize, Serialize};

use super::{Autoreset, Builder, VecEnv};
use crate::error::{Error, Result};
use crate::files;
use crate::tasks::{Cause, Definition, Registry};

/// The numbers of a field, as precise as where they are from.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `f32`: the device's.
    Single(Vec<f32>),
    /// `f64`: the host's reference.
    Double(Vec<f64>),
    /// `u32`.
    Bits(Vec<u32>),
}

impl Values {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Bits(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In double precision, in which all of them are exact.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::Single(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Self::Double(values) => values.clone(),
            Self::Bits(values) => values.iter().map(|value| f64::from(*value)).collect(),
        }
    }

    /// Those at some places.
    pub(super) fn pick(&self, places: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Single(values) => Self::Single(places.map(|at| values[at]).collect()),
            Self::Double(values) => Self::Double(places.map(|at| values[at]).collect()),
            Self::Bits(values) => Self::Bits(places.map(|at| values[at]).collect()),
        }
    }

    /// The bits of each, as wide as the widest.
    pub(super) fn patterns(&self) -> Vec<u64> {
        match self {
            Self::Single(values) => values.iter().map(|v| u64::from(v.to_bits())).collect(),
            Self::Double(values) => values.iter().map(|v| v.to_bits()).collect(),
            Self::Bits(values) => values.iter().map(|v| u64::from(*v)).collect(),
        }
    }
}

/// What a bad world was stepped by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The version of this crate.
    pub version: String,
    /// The task's name.
    pub task: String,
    /// Its configuration, overrides included, as the text of a `task.toml`.
    pub config: String,
    /// The variant of the model that the world had; empty without variants.
    #[serde(default)]
    pub variant: String,
    /// What happens to a world whose episode is over.
    pub autoreset: Autoreset,
    /// Physics steps in the control step.
    pub substeps: u32,
    /// Hash of the compiled model.
    pub model: String,
    /// Hash of the control step's WGSL.
    pub wgsl: String,
    /// Where it ran: the adapter and its driver, or the host.
    pub device: String,
    /// `gpu`, `host f32` or `host f64`.
    pub target: String,
}

impl Origin {
    /// What an environment's world would be stepped by.
    pub(super) fn of(env: &VecEnv, world: usize, config: String) -> Self {
        let (target, device) = env.machine.place();
        let group = env
            .groups
            .iter()
            .find(|group| group.worlds.contains(&world));
        let group = group.unwrap_or(&env.groups[0]);
        let plan = &group.plan;
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            task: plan.name.clone(),
            config,
            autoreset: plan.autoreset,
            substeps: env.substeps,
            model: hash(&format!("{:?}", plan.model)),
            wgsl: hash(&env.machine.graph(group.step).wgsl()),
            variant: env.variants.name_of(world).unwrap_or_default().into(),
            device,
            target: target.into(),
        }
    }

    /// What tells two kernels apart, one clause each; empty where they are the same.
    pub(super) fn differences(&self, here: &Self) -> Vec<String> {
        let pairs = [
            ("version", &self.version, &here.version),
            ("task", &self.task, &here.task),
            ("model", &self.model, &here.model),
        ];
        let mut found: Vec<String> = pairs
            .into_iter()
            .filter(|(_, there, here)| there != here)
            .map(|(what, there, here)| format!("{what} {there} there, {here} here"))
            .collect();
        if self.substeps != here.substeps {
            found.push(format!(
                "{} substeps there, {} here",
                self.substeps, here.substeps
            ));
        }
        found
    }
}

/// The 64-bit FNV-1a hash, in hexadecimal.
fn hash(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Everything that one control step of one world read, and everything it left.
#[derive(Clone, Debug, PartialEq)]
pub struct BadWorld {
    /// Which world of its environment.
    pub world: usize,
    /// How often it went wrong since the last look; this is the last time.
    pub count: u32,
    /// What it was stepped by.
    pub origin: Origin,
    /// The task's adjustable numbers in that step.
    pub parameters: Vec<(String, f64)>,
    /// Every field but the statistics before the step, the action among them.
    pub before: Vec<(String, Values)>,
    /// The same fields after it.
    pub after: Vec<(String, Values)>,
}

/// Everything about a bad world but its numbers.
#[derive(Serialize, Deserialize)]
struct About {
    format: u32,
    #[serde(flatten)]
    origin: Origin,
    world: usize,
    count: u32,
    episode: u32,
    step: u32,
    causes: Vec<String>,
    parameters: Vec<String>,
    /// Fields in the order of the environment.
    fields: Vec<String>,
}

/// The format of the file.
const FORMAT: u32 = 1;

impl BadWorld {
    /// What went wrong.
    pub fn causes(&self) -> Vec<Cause> {
        Cause::of(first_bits(&self.after, "status"))
    }

    /// The control step of its episode.
    pub fn step(&self) -> u32 {
        first_bits(&self.before, "episode_step")
    }

    /// The number of that episode in the world's random stream.
    pub fn episode(&self) -> u32 {
        first_bits(&self.before, "episode")
    }

    /// A name for its file, which says which world and when.
    pub fn file_name(&self) -> String {
        format!(
            "world_{}_episode_{}_step_{}.npz",
            self.world,
            self.episode(),
            self.step()
        )
    }

    /// The task that it was a world of, configured as it was there.
    ///
    /// # Errors
    /// The registry has no such task, or its configuration is no longer understood.
    pub fn definition(&self, registry: &Registry) -> Result<Definition> {
        let mut definition = registry.load(&self.origin.task)?;
        definition.config = (self.origin.config.parse())
            .map_err(|error: toml::de::Error| Error::invalid(error.message()).context("config"))?;
        definition.only_variant(&self.origin.variant)?;
        Ok(definition)
    }

    /// Options for an environment of one world that steps as it was stepped.
    ///
    /// # Errors
    /// As [`BadWorld::definition`].
    pub fn builder(&self, registry: &Registry) -> Result<Builder> {
        let builder = VecEnv::builder(self.definition(registry)?);
        Ok(builder.worlds(1).autoreset(self.origin.autoreset))
    }

    /// Writes it to a file, whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self
            .to_npz()
            .map_err(|error| error.context(path.display()))?;
        files::write(path, &bytes)
    }

    fn to_npz(&self) -> Result<Vec<u8>> {
        let about = About {
            format: FORMAT,
            origin: self.origin.clone(),
            world: self.world,
            count: self.count,
            episode: self.episode(),
            step: self.step(),
            causes: self.causes().iter().map(Cause::to_string).collect(),
            parameters: self.parameters.iter().map(|(key, _)| key.clone()).collect(),
            fields: self.before.iter().map(|(name, _)| name.clone()).collect(),
        };
        let about = serde_json::to_vec_pretty(&about).map_err(Error::io)?;
        let mut npz = NpzWriter::new(Cursor::new(Vec::new()));
        add(&mut npz, "about", about)?;
        let values = self.parameters.iter().map(|(_, value)| *value).collect();
        add(&mut npz, "parameters", values)?;
        for (side, fields) in [("before", &self.before), ("after", &self.after)] {
            for (field, values) in fields {
                let name = format!("{side}.{field}");
                match values {
                    Values::Single(values) => add(&mut npz, &name, values.clone())?,
                    Values::Double(values) => add(&mut npz, &name, values.clone())?,
                    Values::Bits(values) => add(&mut npz, &name, values.clone())?,
                }
            }
        }
        Ok(npz.finish().map_err(Error::io)?.into_inner())
    }

    /// Reads what [`BadWorld::save`] wrote.
    ///
    /// # Errors
    /// The file system's; or the file is no such archive, or not all of one.
    pub fn load(path: &Path) -> Result<Self> {
        files::npz::check(path)?;
        Self::read(path).map_err(|error| error.context(path.display()))
    }

    fn read(path: &Path) -> Result<Self> {
        let no_dump = |error: &dyn std::fmt::Display| {
            Error::invalid(format!("no dump of a bad world: {error}"))
                .hint("train and eval write them with --dump-bad-worlds DIR")
        };
        let file = BufReader::new(File::open(path).map_err(Error::io)?);
        let mut npz = NpzReader::new(file).map_err(|error| no_dump(&error))?;
        let about: Array1<u8> = npz.by_name("about").map_err(|error| no_dump(&error))?;
        let about: About =
            serde_json::from_slice(&about.to_vec()).map_err(|error| no_dump(&error))?;
        if about.format != FORMAT {
            let message = format!("a dump in format {}, not {FORMAT}", about.format);
            return Err(
                Error::invalid(message).hint(format!("version {} wrote it", about.origin.version))
            );
        }
        let missing = |name: &str, error: &dyn std::fmt::Display| {
            Error::invalid(error).context(format!("array {name}"))
        };
        let parameters: Array1<f64> =
            (npz.by_name("parameters")).map_err(|error| missing("parameters", &error))?;
        if parameters.len() != about.parameters.len() {
            return Err(missing(
                "parameters",
                &"its length is not that of its names",
            ));
        }
        let mut side = |side: &str| -> Result<Vec<(String, Values)>> {
            let fields = about.fields.iter();
            fields
                .map(|field| {
                    let name = format!("{side}.{field}");
                    let values = values(&mut npz, &name).map_err(|error| missing(&name, &error))?;
                    Ok((field.clone(), values))
                })
                .collect()
        };
        Ok(Self {
            before: side("before")?,
            after: side("after")?,
            world: about.world,
            count: about.count,
            parameters: about.parameters.into_iter().zip(parameters).collect(),
            origin: about.origin,
        })
    }
}

/// The first number of an integer field; 0 without one.
fn first_bits(fields: &[(String, Values)], name: &str) -> u32 {
    match fields.iter().find(|(known, _)| known == name) {
        Some((_, Values::Bits(bits))) => bits.first().copied().unwrap_or(0),
        _ => 0,
    }
}

/// Adds an array `[value]`.
fn add<T: WritableElement>(
    npz: &mut NpzWriter<Cursor<Vec<u8>>>,
    name: &str,
    values: Vec<T>,
) -> Result<()> {
    npz.add_array(name, &Array1::from_vec(values))
        .map_err(|error| Error::io(error).context(name))
}

/// An array of any of the three types.
fn values(
    npz: &mut NpzReader<BufReader<File>>,
    name: &str,
) -> std::result::Result<Values, ReadNpzError> {
    /// None where the array's type is another.
    fn of<T: ReadableElement>(
        npz: &mut NpzReader<BufReader<File>>,
        name: &str,
    ) -> std::result::Result<Option<Vec<T>>, ReadNpzError> {
        match npz.by_name::<OwnedRepr<T>, Ix1>(name) {
            Ok(array) => Ok(Some(array.into_raw_vec_and_offset().0)),
            Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }
    if let Some(values) = of::<f32>(npz, name)? {
        return Ok(Values::Single(values));
    }
    if let Some(values) = of::<u32>(npz, name)? {
        return Ok(Values::Bits(values));
    }
    let array: Array1<f64> = npz.by_name(name)?;
    Ok(Values::Double(array.into_raw_vec_and_offset().0))
}
