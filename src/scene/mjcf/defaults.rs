//! `<default>`: classes of attributes, each a copy of its parent with changes.

use super::actuators::{self, Servo};
use super::document::Element;
use super::geoms::{RawGeom, RawSite};
use super::{Reader, contacts, equalities, joints};
use crate::error::{Error, Result, near_matches};
use crate::scene::kinds;
use crate::scene::{Camera, Equality, Joint, Light, Material, Pair, Place};

/// Which class: an index, the top-level one first.
pub(super) type ClassId = usize;

/// What a new element of each sort begins as.
#[derive(Clone)]
pub(super) struct Class {
    name: String,
    pub(super) joint: Joint,
    pub(super) geom: RawGeom,
    pub(super) site: RawSite,
    pub(super) camera: super::bodies::RawCamera,
    pub(super) light: Light,
    pub(super) pair: Pair,
    pub(super) equality: Equality,
    pub(super) actuator: Servo,
    pub(super) material: Material,
}

/// Every class of a file.
pub(super) struct Classes(Vec<Class>);

impl Default for Classes {
    /// The top-level class `main`, with MuJoCo's defaults.
    fn default() -> Self {
        Self(vec![Class {
            name: "main".into(),
            joint: Joint::new("", kinds::Joint::Hinge),
            geom: RawGeom::default(),
            site: RawSite::default(),
            camera: super::bodies::RawCamera {
                camera: Camera::new(""),
                orientation: Default::default(),
            },
            light: Light::new(""),
            pair: Pair::new("", ""),
            equality: equalities::blank(),
            actuator: Servo::default(),
            material: Material {
                name: String::new(),
                place: Place::here(),
                texture: String::new(),
                rgba: [1.0; 4],
            },
        }])
    }
}

impl Classes {
    pub(super) fn get(&self, class: ClassId) -> &Class {
        &self.0[class]
    }

    fn find(&self, element: &Element, what: &'static str) -> Result<Option<ClassId>> {
        let Some(name) = element.text(what) else {
            return Ok(None);
        };
        let found = self.0.iter().position(|class| class.name == name);
        found.map(Some).ok_or_else(|| {
            let error = Error::invalid(format!(
                "attribute '{what}': unknown default class '{name}'"
            ));
            let known = self.0.iter().map(|class| class.name.as_str());
            element.error(match near_matches(name, known).first() {
                Some(close) => error.hint(format!("did you mean '{close}'?")),
                None => error,
            })
        })
    }

    /// The class that an element names, or the one around it.
    pub(super) fn of(&self, element: &Element, around: ClassId) -> Result<ClassId> {
        Ok(self.find(element, "class")?.unwrap_or(around))
    }

    /// The class that a body or a frame names for its contents, or the one around it.
    pub(super) fn of_children(&self, element: &Element, around: ClassId) -> Result<ClassId> {
        Ok(self.find(element, "childclass")?.unwrap_or(around))
    }
}

impl Reader<'_> {
    /// Reads the top-level class.
    pub(super) fn default(&mut self, element: &Element) -> Result<()> {
        if element
            .text("class")
            .is_some_and(|name| !name.is_empty() && name != "main")
        {
            return Err(
                element.invalid("the top-level default class is 'main', it cannot be renamed")
            );
        }
        self.class(element, 0)
    }

    /// Reads the contents of a class: first its own elements, then the classes in it.
    fn class(&mut self, element: &Element, id: ClassId) -> Result<()> {
        element.finish()?;
        for child in element
            .children
            .iter()
            .filter(|child| child.tag != "default")
        {
            self.class_element(child, id)?;
        }
        for child in element
            .children
            .iter()
            .filter(|child| child.tag == "default")
        {
            let name = child.required("class")?.to_string();
            if name.is_empty() {
                return Err(child.invalid("a nested default class needs a name"));
            }
            if self.classes.0.iter().any(|class| class.name == name) {
                return Err(child.invalid(format!("default class '{name}' exists already")));
            }
            self.classes.0.push(Class {
                name,
                ..self.classes.0[id].clone()
            });
            self.class(child, self.classes.0.len() - 1)?;
        }
        Ok(())
    }

    fn class_element(&mut self, element: &Element, id: ClassId) -> Result<()> {
        const TAGS: &[&str] = &[
            "mesh", "texture", "material", "joint", "geom", "site", "camera", "light", "pair",
            "equality", "tendon",
        ];
        let class = &mut self.classes.0[id];
        match element.tag.as_str() {
            "joint" => joints::read(element, &mut class.joint)?,
            "geom" => class.geom.read(element)?,
            "site" => class.site.read(element)?,
            "camera" => class.camera.read(element)?,
            "light" => super::bodies::read_light(element, &mut class.light)?,
            "pair" => contacts::read_pair(element, &mut class.pair)?,
            "equality" => equalities::read_common(element, &mut class.equality)?,
            "material" => return self.default_material(element, id),
            // They change nothing that exists without an element of their kind, which is refused or
            // only drawn.
            "mesh" | "texture" | "tendon" => return Ok(()),
            tag if actuators::TAGS.contains(&tag) => class.actuator.read(element)?,
            _ => {
                let known: Vec<&str> = TAGS.iter().chain(actuators::TAGS).copied().collect();
                return Err(element.unknown("default", &known));
            }
        }
        element.finish()?;
        element.leaf()
    }

    fn default_material(&mut self, element: &Element, id: ClassId) -> Result<()> {
        let class = &mut self.classes.0[id];
        super::assets::read_material(element, &mut class.material)
    }
}
