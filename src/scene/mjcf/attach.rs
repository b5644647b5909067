//! `<replicate>` and `<attach>`: subtrees copied with new names.
//!
//! A copy's names get a prefix and a suffix. What refers to the tree by name, such as an actuator,
//! is copied along with every object that it refers to, as MuJoCo does. An attached model's options
//! and keyframes stay behind, and a warning says so.

use std::collections::HashSet;

use super::Reader;
use super::bodies::Scope;
use super::document::Element;
use crate::error::{Error, Result, near_matches};
use crate::scene::kinds::Object;
use crate::scene::pose::{self, Pose};
use crate::scene::{Actuator, Body, Equality, Exclude, Pair, Scene, Sensor};

/// Most elements that a file can come to by replication and attachment.
const MAX_COPIES: usize = 200_000;

impl Reader<'_> {
    pub(super) fn replicate(&mut self, element: &Element, scope: &mut Scope<'_>) -> Result<()> {
        let count = element
            .integer("count")?
            .ok_or_else(|| element.invalid("attribute 'count' is required"))?;
        let count = usize::try_from(count).map_err(|_| {
            element.invalid(format!(
                "attribute 'count' is {count}, it cannot be negative"
            ))
        })?;
        let (mut offset, mut euler) = ([0.0; 3], [0.0; 3]);
        element.read_array("offset", &mut offset)?;
        element.read_array("euler", &mut euler)?;
        let separator = element.text("sep").unwrap_or_default();
        let class = self.classes.of_children(element, scope.class)?;
        element.finish()?;

        let mut template = Body::new("");
        let inner = Scope {
            body: &mut template,
            frame: Pose::default(),
            class,
            world: scope.world,
            meshes: &mut *scope.meshes,
        };
        self.contents(element, inner)?;
        if template.inertial.is_some() {
            return Err(element.unsupported("an <inertial> in it is not supported"));
        }
        let size = objects(&template);
        self.count_copies(element, size.saturating_mul(count))?;

        let step = Pose {
            pos: offset,
            quat: self.settings.euler(euler),
        };
        let digits = count.to_string().len();
        let mut pos = [0.0; 3];
        let copies: Vec<Renaming> = (0..count)
            .map(|i| Renaming {
                prefix: String::new(),
                suffix: format!("{separator}{i:0digits$}"),
            })
            .collect();
        for (i, renaming) in copies.iter().enumerate() {
            // Each copy's rotation is made from its own angles: sums of angles lose nothing.
            let quat = self.settings.euler(euler.map(|angle| i as f64 * angle));
            let mut copy = template.clone();
            renaming.body(&mut copy);
            scope
                .body
                .absorb(copy, &scope.frame.then(&Pose { pos, quat }));
            pos = pose::add(pos, pose::rotate(quat, step.pos));
        }
        let names = Named::of(&template);
        let source = References::take(&mut self.scene, &names);
        for renaming in &copies {
            source.copy_into(&mut self.scene, &names, renaming);
        }
        Ok(())
    }

    pub(super) fn attach(&mut self, element: &Element, scope: &mut Scope<'_>) -> Result<()> {
        let prefix = element.required("prefix")?.to_string();
        let wanted = element.text("body").map(str::to_string);
        if element.text("frame").is_some() {
            return Err(element.unsupported("attachment of a frame is not supported yet"));
        }
        let Some(model) = element.text("model") else {
            let cause = "attachment of a part of the same model is not supported yet";
            return Err(element.unsupported(cause));
        };
        element.finish()?;
        element.leaf()?;
        let mut child = self.models.get(model).cloned().ok_or_else(|| {
            let error = Error::invalid(format!("unknown model '{model}'"));
            let known = self.models.keys().map(String::as_str);
            element.error(match near_matches(model, known).first() {
                Some(close) => error.hint(format!("did you mean '{close}'?")),
                None => error,
            })
        })?;

        let mut part = match &wanted {
            None => std::mem::replace(&mut child.world, Body::new("")),
            Some(name) => {
                let body = find(&child.world, name).cloned().ok_or_else(|| {
                    element.invalid(format!("model '{model}' has no body '{name}'"))
                })?;
                Body::new("").body(body)
            }
        };
        self.count_copies(element, objects(&part))?;
        let renaming = Renaming {
            prefix,
            suffix: String::new(),
        };
        let names = Named::of(&part);
        renaming.body(&mut part);
        let offset = self.scene.compilers.len();
        shift_compilers(&mut part, offset);
        self.scene.compilers.append(&mut child.compilers);
        scope.body.absorb(part, &scope.frame);

        for mut material in std::mem::take(&mut child.materials) {
            renaming.name(&mut material.name);
            renaming.name(&mut material.texture);
            self.scene.materials.push(material);
        }
        let source = References::take(&mut child, &names);
        source.copy_into(&mut self.scene, &names, &renaming);
        self.idle_parts(model, &child);
        Ok(())
    }

    /// Notes what of an attached model stays behind.
    fn idle_parts(&mut self, model: &str, child: &Scene) {
        if child.options != crate::scene::Options::default() {
            self.idle(format!("<option> of attached model '{model}'"));
        }
        if !child.keyframes.is_empty() {
            self.idle(format!("<keyframe> of attached model '{model}'"));
        }
        self.scene.warnings.extend(child.warnings.iter().cloned());
    }

    /// Refuses a file whose copies come to too much, before they are made.
    fn count_copies(&mut self, element: &Element, more: usize) -> Result<()> {
        self.copies = self.copies.saturating_add(more);
        if self.copies > MAX_COPIES {
            let cause = format!(
                "the copies come to {} elements, at most {MAX_COPIES} are allowed",
                self.copies
            );
            return Err(element.invalid(cause));
        }
        Ok(())
    }
}

/// How the names of a copy are made.
struct Renaming {
    prefix: String,
    suffix: String,
}

impl Renaming {
    fn name(&self, name: &mut String) {
        if !name.is_empty() {
            *name = format!("{}{name}{}", self.prefix, self.suffix);
        }
    }

    fn body(&self, body: &mut Body) {
        self.name(&mut body.name);
        body.joints
            .iter_mut()
            .for_each(|joint| self.name(&mut joint.name));
        for geom in &mut body.geoms {
            self.name(&mut geom.name);
            self.material(&mut geom.material);
        }
        for site in &mut body.sites {
            self.name(&mut site.name);
            self.material(&mut site.material);
        }
        for camera in &mut body.cameras {
            self.name(&mut camera.name);
            self.name(&mut camera.target);
        }
        for light in &mut body.lights {
            self.name(&mut light.name);
            self.name(&mut light.target);
        }
        body.bodies.iter_mut().for_each(|child| self.body(child));
    }

    /// Materials come along from another model, and are shared within one.
    fn material(&self, material: &mut String) {
        if !self.prefix.is_empty() {
            self.name(material);
        }
    }
}

/// How many elements a subtree has.
fn objects(body: &Body) -> usize {
    let own = body.joints.len()
        + body.geoms.len()
        + body.sites.len()
        + body.cameras.len()
        + body.lights.len();
    1 + own + body.bodies.iter().map(objects).sum::<usize>()
}

fn find<'a>(body: &'a Body, name: &str) -> Option<&'a Body> {
    body.bodies.iter().find_map(|child| {
        if child.name == name {
            Some(child)
        } else {
            find(child, name)
        }
    })
}

fn shift_compilers(body: &mut Body, offset: usize) {
    body.compiler += offset;
    body.bodies
        .iter_mut()
        .for_each(|child| shift_compilers(child, offset));
}

/// The names in a subtree, by kind.
#[derive(Default)]
struct Named {
    bodies: HashSet<String>,
    joints: HashSet<String>,
    geoms: HashSet<String>,
    sites: HashSet<String>,
    cameras: HashSet<String>,
}

impl Named {
    fn of(body: &Body) -> Self {
        fn walk(body: &Body, named: &mut Named) {
            named.bodies.insert(body.name.clone());
            named
                .joints
                .extend(body.joints.iter().map(|joint| joint.name.clone()));
            named
                .geoms
                .extend(body.geoms.iter().map(|geom| geom.name.clone()));
            named
                .sites
                .extend(body.sites.iter().map(|site| site.name.clone()));
            named
                .cameras
                .extend(body.cameras.iter().map(|camera| camera.name.clone()));
            body.bodies.iter().for_each(|child| walk(child, named));
        }
        let mut named = Self::default();
        walk(body, &mut named);
        for names in [
            &mut named.bodies,
            &mut named.joints,
            &mut named.geoms,
            &mut named.sites,
            &mut named.cameras,
        ] {
            names.remove("");
        }
        named
    }

    fn has(&self, kind: Object, name: &str) -> bool {
        match kind {
            Object::Body | Object::XBody => self.bodies.contains(name),
            Object::Joint => self.joints.contains(name),
            Object::Geom => self.geoms.contains(name),
            Object::Site => self.sites.contains(name),
            Object::Camera => self.cameras.contains(name),
            Object::Actuator => false,
        }
    }
}

/// What refers to a subtree.
struct References {
    actuators: Vec<Actuator>,
    sensors: Vec<Sensor>,
    pairs: Vec<Pair>,
    excludes: Vec<Exclude>,
    equalities: Vec<Equality>,
}

impl References {
    /// Takes out of a scene what refers to a subtree.
    fn take(scene: &mut Scene, names: &Named) -> Self {
        let actuators: Vec<Actuator> = scene
            .actuators
            .extract_if(.., |a| names.joints.contains(&a.target))
            .collect();
        let driven: HashSet<&str> = actuators
            .iter()
            .map(|actuator| actuator.name.as_str())
            .collect();
        let refers = |(kind, name): &(Object, String)| {
            names.has(*kind, name) || (*kind == Object::Actuator && driven.contains(name.as_str()))
        };
        let sensors = scene
            .sensors
            .extract_if(.., |s| {
                s.object.as_ref().is_some_and(refers) || s.reference.as_ref().is_some_and(refers)
            })
            .collect();
        let pairs = scene
            .pairs
            .extract_if(.., |pair| {
                pair.geoms.iter().any(|geom| names.geoms.contains(geom))
            })
            .collect();
        let excludes = scene
            .excludes
            .extract_if(.., |exclude| {
                exclude
                    .bodies
                    .iter()
                    .any(|body| names.bodies.contains(body))
            })
            .collect();
        let equalities = scene
            .equalities
            .extract_if(.., |equality| {
                let (kind, objects) = equality.held.objects();
                objects.iter().any(|name| names.has(kind, name))
            })
            .collect();
        Self {
            actuators,
            sensors,
            pairs,
            excludes,
            equalities,
        }
    }

    /// Adds a copy that refers to a renamed copy of the subtree.
    fn copy_into(&self, scene: &mut Scene, names: &Named, renaming: &Renaming) {
        let follow = |kind: Object, name: &mut String| {
            if names.has(kind, name) || kind == Object::Actuator {
                renaming.name(name);
            }
        };
        for mut actuator in self.actuators.iter().cloned() {
            renaming.name(&mut actuator.name);
            follow(Object::Joint, &mut actuator.target);
            scene.actuators.push(actuator);
        }
        for mut sensor in self.sensors.iter().cloned() {
            renaming.name(&mut sensor.name);
            for (kind, name) in [&mut sensor.object, &mut sensor.reference]
                .into_iter()
                .flatten()
            {
                follow(*kind, name);
            }
            scene.sensors.push(sensor);
        }
        for mut pair in self.pairs.iter().cloned() {
            renaming.name(&mut pair.name);
            pair.geoms
                .iter_mut()
                .for_each(|name| follow(Object::Geom, name));
            scene.pairs.push(pair);
        }
        for mut exclude in self.excludes.iter().cloned() {
            renaming.name(&mut exclude.name);
            exclude
                .bodies
                .iter_mut()
                .for_each(|name| follow(Object::Body, name));
            scene.excludes.push(exclude);
        }
        for mut equality in self.equalities.iter().cloned() {
            renaming.name(&mut equality.name);
            let (kind, objects) = equality.held.objects_mut();
            objects.iter_mut().for_each(|name| follow(kind, name));
            scene.equalities.push(equality);
        }
    }
}
