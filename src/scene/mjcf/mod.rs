//! MJCF, MuJoCo's XML: files to a [`Scene`], with the line of everything that was said.
//!
//! The grammar and its meaning are MuJoCo 3.17's. Sections are read by kind, not by their order in
//! the file: settings first, then default classes, assets, what refers to the tree, and the tree.
//! Frames, default classes, angles in degrees, `fromto`, includes, replication and attachment are
//! resolved here; a [`Scene`] has none of them.
//!
//! Nothing is skipped silently. What MuJoCo knows and this version does not is an error that names
//! file, line and element. What is only for drawing is collected into one warning. An attribute is
//! known because some code asks for it, so the readers are the grammar and there is no second list.

mod actuators;
mod assets;
mod attach;
mod bodies;
mod contacts;
mod defaults;
mod document;
mod edit;
mod equalities;
mod geoms;
mod joints;
mod orientation;
mod sensors;
mod settings;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::scene::{Body, Scene};
use defaults::Classes;
use document::{Element, Files};
pub use edit::Edit;
use settings::Settings;

/// Models that attach models may nest this deep.
const MAX_ATTACH_DEPTH: usize = 16;

/// Reads a scene from an MJCF file.
///
/// # Errors
/// The file or one that it includes cannot be read, is not well-formed, breaks MJCF's grammar, or
/// uses a part of MJCF that is not supported. The error names file, line and element.
pub fn load(path: impl AsRef<Path>) -> Result<Scene> {
    load_nested(path.as_ref(), &mut Vec::new())
}

/// Reads a scene from MJCF in memory; files that it names are looked for in `directory`.
///
/// # Errors
/// As [`load`]; the file is called `label`.
pub fn parse(label: &str, text: &str, directory: impl AsRef<Path>) -> Result<Scene> {
    parse_edited(label, text, directory, &[])
}

/// [`parse`], after changes to the elements' attributes.
///
/// # Errors
/// As [`parse`]; an edit's element does not exist (with close names).
pub fn parse_edited(
    label: &str,
    text: &str,
    directory: impl AsRef<Path>,
    edits: &[Edit],
) -> Result<Scene> {
    let (mut root, files) = Files::parse(label, text, directory.as_ref())?;
    edits.iter().try_for_each(|edit| edit.apply(&mut root))?;
    Reader::new(files, &mut Vec::new()).read(&root)
}

/// The text of MJCF after changes to the elements' attributes, with its includes in place.
///
/// # Errors
/// As [`parse_edited`], but that the text need not be a model.
pub fn edited(
    label: &str,
    text: &str,
    directory: impl AsRef<Path>,
    edits: &[Edit],
) -> Result<String> {
    let (mut root, _) = Files::parse(label, text, directory.as_ref())?;
    edits.iter().try_for_each(|edit| edit.apply(&mut root))?;
    Ok(root.to_xml())
}

/// Reads a file that may be attached to another; `above` are the files that attach it.
fn load_nested(path: &Path, above: &mut Vec<PathBuf>) -> Result<Scene> {
    let key = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    if above.contains(&key) || above.len() >= MAX_ATTACH_DEPTH {
        let cause = format!("model {} attaches itself", path.display());
        return Err(Error::invalid(cause));
    }
    let (root, files) = Files::read(path)?;
    above.push(key);
    let scene = Reader::new(files, above).read(&root);
    above.pop();
    scene
}

/// What is known while a file is read.
struct Reader<'a> {
    files: Files,
    /// Files that attach this one, outermost first, this one last.
    above: &'a mut Vec<PathBuf>,
    settings: Settings,
    classes: Classes,
    scene: Scene,
    /// Models by the name under which `<attach>` finds them.
    models: HashMap<String, Scene>,
    /// Meshes and height fields that exist, by name.
    meshes: BTreeSet<String>,
    hfields: BTreeSet<String>,
    /// What has no effect, with how often it was met.
    idle: BTreeMap<String, usize>,
    /// How many elements replication and attachment have made.
    copies: usize,
}

/// The sections of a model.
const SECTIONS: &[&str] = &[
    "compiler",
    "option",
    "size",
    "visual",
    "statistic",
    "default",
    "extension",
    "custom",
    "asset",
    "contact",
    "deformable",
    "equality",
    "tendon",
    "actuator",
    "sensor",
    "keyframe",
    "worldbody",
];

impl<'a> Reader<'a> {
    fn new(files: Files, above: &'a mut Vec<PathBuf>) -> Self {
        Self {
            files,
            above,
            settings: Settings::default(),
            classes: Classes::default(),
            scene: Scene::new(""),
            models: HashMap::new(),
            meshes: BTreeSet::new(),
            hfields: BTreeSet::new(),
            idle: BTreeMap::new(),
            copies: 0,
        }
    }

    fn read(mut self, root: &Element) -> Result<Scene> {
        if root.tag != "mujoco" {
            let error = root.invalid("the root element is not <mujoco>");
            return Err(match root.tag.as_str() {
                "robot" => error.hint("URDF is not supported yet"),
                _ => error,
            });
        }
        root.ignore(&["model"]);
        root.finish()?;
        root.read_text("model", &mut self.scene.name);
        self.scene.world.place = root.place.clone();
        for section in &root.children {
            if !SECTIONS.contains(&section.tag.as_str()) {
                return Err(section.unknown("mujoco", SECTIONS));
            }
        }
        let sections = |tag: &'static str| root.children.iter().filter(move |s| s.tag == tag);

        sections("compiler").try_for_each(|s| self.compiler(s))?;
        sections("option").try_for_each(|s| self.option(s))?;
        sections("size").try_for_each(|s| self.size(s))?;
        sections("visual").try_for_each(|s| self.visual(s))?;
        sections("statistic").try_for_each(|s| self.statistic(s))?;
        sections("default").try_for_each(|s| self.default(s))?;
        for tag in ["extension", "deformable", "tendon"] {
            sections(tag).try_for_each(refuse_contents)?;
        }
        sections("custom").try_for_each(|s| self.custom(s))?;
        sections("asset").try_for_each(|s| self.asset(s))?;
        sections("contact").try_for_each(|s| self.contact(s))?;
        sections("equality").try_for_each(|s| self.equality_section(s))?;
        sections("actuator").try_for_each(|s| self.actuator_section(s))?;
        sections("sensor").try_for_each(|s| self.sensor_section(s))?;
        sections("keyframe").try_for_each(|s| self.keyframe(s))?;
        let mut world = std::mem::replace(&mut self.scene.world, Body::new("world"));
        sections("worldbody").try_for_each(|s| self.worldbody(s, &mut world))?;
        self.scene.world = world;
        self.pad_keyframes(root);
        (0..root.strays()).for_each(|_| self.idle("text between elements"));
        self.warn(root);
        Ok(self.scene)
    }

    /// Notes something that has no effect on the physics.
    fn idle(&mut self, what: impl Into<String>) {
        *self.idle.entry(what.into()).or_default() += 1;
    }

    /// Says once what has no effect.
    fn warn(&mut self, root: &Element) {
        if self.idle.is_empty() {
            return;
        }
        let list: Vec<String> = std::mem::take(&mut self.idle)
            .into_iter()
            .map(|(what, count)| {
                if count > 1 {
                    format!("{what} (×{count})")
                } else {
                    what
                }
            })
            .collect();
        let warning = format!(
            "{}: without effect on the physics: {}",
            root.place,
            list.join(", ")
        );
        self.scene.warnings.push(warning);
    }
}

/// Refuses the contents of a section that is not supported; an empty one does no harm.
fn refuse_contents(section: &Element) -> Result<()> {
    match section.children.first() {
        None => Ok(()),
        Some(child) => Err(child.unsupported(format!("<{}> is not supported yet", section.tag))),
    }
}
