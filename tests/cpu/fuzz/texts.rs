//! Models, tasks, settings, and snapshots of worlds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use manyworlds::env::{Physics, Precision, Snapshot, Target as Place, VecEnv};
use manyworlds::model::Model;
use manyworlds::rigid;
use manyworlds::scene::mjcf;
use manyworlds::tasks::{Definition, Entry, Registry};

use super::Target;
use super::mutate::{self, Nest, Random};

pub(crate) fn targets() -> Vec<Box<dyn Target>> {
    let registry = Registry::builtin();
    let names = [
        "cartpole",
        "cartpole_swingup",
        "hopper",
        "ant",
        "quadruped",
        "walker_walk",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let mut models = read(&folder, "xml");
    let entries: Vec<Entry> = names
        .map(|name| *registry.entry(name).expect("built in"))
        .into();
    models.extend(entries.iter().map(|entry| entry.model.to_owned()));
    let mut configs: Vec<String> = entries
        .iter()
        .map(|entry| entry.config.to_owned())
        .collect();
    let presets = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/randomize/presets");
    configs.extend(read(&presets, "toml"));
    let compiled = |entry: &Entry| {
        let scene = mjcf::parse("model.xml", entry.model, ".").expect("it is good");
        Model::compile(&scene).expect("it is good")
    };
    let tasks = names
        .iter()
        .zip(&entries)
        .map(|(name, entry)| (*name, *entry, compiled(entry)))
        .collect();
    let mut targets: Vec<Box<dyn Target>> = vec![
        Box::new(Models { models, folder }),
        Box::new(Tasks { tasks, configs }),
        Box::new(Snapshots::new(&registry)),
    ];
    #[cfg(feature = "learn")]
    targets.push(Box::new(Settings::new(registry)));
    targets.reverse();
    targets
}

/// The files of a folder with this extension, in the order of their names.
fn read(folder: &Path, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder)
        .expect("the folder is there")
        .flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    let texts = paths.iter().map(std::fs::read_to_string);
    texts.map(|text| text.expect("a text")).collect()
}

fn said<T>(result: manyworlds::error::Result<T>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

struct Models {
    models: Vec<String>,
    folder: PathBuf,
}

const ELEMENTS: &[Nest] = &[
    ("<body>", "</body>"),
    ("<default>", "</default>"),
    ("<frame>", "</frame>"),
    ("<worldbody>", "</worldbody>"),
    ("<replicate count=\"3\">", "</replicate>"),
    ("<body><geom size=\"1\"/>", "</body>"),
    ("<!--", "-->"),
    ("<a b='", "'/>"),
];

impl Target for Models {
    fn name(&self) -> &'static str {
        "model.xml"
    }

    fn run(&self, random: &mut Random) -> Result<(), String> {
        let good = random.choose(&self.models).clone();
        let text = mutate::text(random, &good, &self.models, ELEMENTS);
        let compiled = mjcf::parse("fuzz.xml", &text, &self.folder)
            .and_then(|scene| Model::compile(&scene))
            .and_then(|model| rigid::check(&model).map(|()| model));
        if let (Ok(model), true) = (&compiled, random.one_in(8) && good.len() < 4000) {
            // Recorded and run as well, on the host.
            let physics = Physics::new(&Arc::new(model.clone()), 1, Place::Host(Precision::Double));
            return said(physics.and_then(|mut physics| physics.step(1)));
        }
        said(compiled)
    }
}

struct Tasks {
    tasks: Vec<(&'static str, Entry, Model)>,
    configs: Vec<String>,
}

const TABLES: &[Nest] = &[
    ("[", "]"),
    ("{a=", "}"),
    ("[a.", "]"),
    ("a.", ""),
    ("\"\"\"", "\"\"\""),
    ("[[", "]]"),
];

/// Variants of a model, by one of its geoms.
fn variants(model: &Model, random: &mut Random) -> String {
    let geoms: Vec<&str> = (0..model.ngeom)
        .map(|geom| model.geom_names.name(geom))
        .collect();
    let geom = random.choose(&geoms);
    format!(
        "\n[variants]\nobserve = \"critic\"\n[variants.plain]\n[variants.other]\nshare = 2\n\
         option.gravity = [0, 0, -3.7]\ngeom.{geom} = {{ size = [0.1, 0.1, 0.1], mass = 2 }}\n\
         [variants.box]\ngeom.{geom} = {{ type = \"box\", size = [0.1, 0.1, 0.1], fromto = \"\" }}\n"
    )
}

impl Target for Tasks {
    fn name(&self) -> &'static str {
        "task.toml"
    }

    fn run(&self, random: &mut Random) -> Result<(), String> {
        let (name, entry, model) = random.choose(&self.tasks);
        let mut good = entry.config.to_owned();
        if random.one_in(3) {
            good += "\n[randomize]\npreset = \"legged\"\n";
        } else if random.one_in(2) {
            good += "\n[randomize.mass]\nfield = \"body_mass\"\nnames = \"*\"\nscale.uniform = [0.5, 1.5]\ntiming = \"reset\"\n";
        }
        let with_variants = random.one_in(3);
        if with_variants {
            good += &variants(model, random);
        }
        let text = mutate::text(random, &good, &self.configs, TABLES);
        let definition = match with_variants {
            true => Definition::new(name, (entry.make)(), entry.model, &text),
            false => Definition::from_model(name, (entry.make)(), model.clone(), &text),
        };
        let definition = definition.map_err(|error| error.to_string())?;
        let spec = definition.spec().map_err(|error| error.to_string())?;
        said(spec.substeps(model))?;
        if name.starts_with("cartpole") && random.one_in(4) {
            let builder = VecEnv::builder(definition).worlds(2);
            let env = builder.build_on(Place::Host(Precision::Single));
            return said(env.and_then(|mut env| {
                if env.substeps() < 100 {
                    env.step(&[0.5; 2])?;
                }
                Ok(())
            }));
        }
        Ok(())
    }
}

/// `key=value` as `train --show-config` reads them.
#[cfg(feature = "learn")]
struct Settings {
    registry: Registry,
    assignments: Vec<String>,
}

#[cfg(feature = "learn")]
impl Settings {
    fn new(registry: Registry) -> Self {
        let definition = registry.load("cartpole").expect("built in");
        let keys = definition.spec().expect("it is good").keys();
        let layers = manyworlds::train::Config::layers(Default::default()).expect("a table");
        let mut assignments: Vec<String> = keys.iter().map(|key| format!("{key}=1")).collect();
        let entries = layers.entries().into_iter();
        assignments.extend(entries.map(|entry| format!("{}={}", entry.key, entry.value)));
        Self {
            registry,
            assignments,
        }
    }
}

#[cfg(feature = "learn")]
impl Target for Settings {
    fn name(&self) -> &'static str {
        "key=value"
    }

    fn run(&self, random: &mut Random) -> Result<(), String> {
        let assignments: Vec<String> = (0..1 + random.below(3))
            .map(|_| {
                let good = random.choose(&self.assignments).clone();
                match random.below(3) {
                    // A good key with a value of another kind.
                    0 | 1 => {
                        let key = good.split('=').next().unwrap_or_default();
                        let value = random.choose(mutate::EXTREMES);
                        match random.below(3) {
                            0 => format!("{key}=[{value}]"),
                            1 => format!("{key}=[{value}, {value}]"),
                            _ => format!("{key}={value}"),
                        }
                    }
                    _ => mutate::text(random, &good, &self.assignments, TABLES),
                }
            })
            .collect();
        said(manyworlds::cli::doors::settings(
            &self.registry,
            "cartpole",
            &assignments,
        ))
    }
}

/// Bytes of a snapshot, and worlds that they are to be restored into.
struct Snapshots {
    definition: fn() -> Definition,
    bytes: Vec<u8>,
}

impl Snapshots {
    fn new(_: &Registry) -> Self {
        let definition = || Registry::builtin().load("cartpole").expect("built in");
        let env = Self::env(definition);
        let bytes = env.snapshot(None).expect("the host works").to_bytes();
        Self { definition, bytes }
    }

    fn env(definition: fn() -> Definition) -> VecEnv {
        let builder = VecEnv::builder(definition()).worlds(3);
        builder
            .build_on(Place::Host(Precision::Single))
            .expect("it is good")
    }
}

/// The checksum of a snapshot's bytes, so that damage can look whole: src/env/snapshot.rs.
fn checksum(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let all = words.chain(tail.iter().map(|byte| u64::from(*byte)));
    all.fold(0xcbf2_9ce4_8422_2325, |hash: u64, word| {
        (hash ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(23)
    })
}

impl Target for Snapshots {
    fn name(&self) -> &'static str {
        "environment.bin"
    }

    fn run(&self, random: &mut Random) -> Result<(), String> {
        let mut bytes = mutate::bytes(random, &self.bytes);
        if !random.one_in(4) && bytes.len() > 8 {
            bytes.truncate(bytes.len() - 8);
            let sum = checksum(&bytes);
            bytes.extend(sum.to_le_bytes());
        }
        let snapshot = Snapshot::from_bytes(&bytes).map_err(|error| error.to_string())?;
        let mut env = Self::env(self.definition);
        said(env.restore(None, &snapshot))
    }
}
