//! `fusestatic`: bodies without joints become part of their parents.

use std::collections::HashSet;

use super::inertia::{self, Lump};
use super::locate;
use super::tree::MINVAL;
use crate::error::Result;
use crate::scene::kinds::{Object, Sensor};
use crate::scene::pose::{self, Pose};
use crate::scene::{Body, Compiler, Inertia, Inertial, Limited, Scene};

/// A copy of a scene in which every body that cannot move against its parent, and that nothing
/// refers to by name, is merged into the parent.
///
/// # Errors
/// A body's mass or inertia makes no sense.
pub(super) fn fuse(scene: &Scene) -> Result<Scene> {
    let mut fused = scene.clone();
    // Merged bodies keep the inertia that is computed here.
    let explicit = fused.compilers.len();
    let computed = Compiler {
        inertiafromgeom: Limited::False,
        ..Compiler::default()
    };
    fused.compilers.push(Compiler {
        settotalmass: -1.0,
        ..computed
    });
    let fuser = Fuser {
        compilers: &fused.compilers,
        explicit,
        kept: kept(scene),
    };
    let mut world = std::mem::replace(&mut fused.world, Body::new("world"));
    fuser.body(&mut world, true)?;
    fused.world = world;
    Ok(fused)
}

struct Fuser<'a> {
    compilers: &'a [Compiler],
    explicit: usize,
    /// Names of bodies, and of sites of bodies, that cannot be merged.
    kept: (HashSet<&'a str>, HashSet<&'a str>),
}

impl Fuser<'_> {
    /// Merges children, theirs first come first, until none is left that can be merged.
    fn body(&self, parent: &mut Body, world: bool) -> Result<()> {
        let mut next = 0;
        while next < parent.bodies.len() {
            if !self.merges(&parent.bodies[next]) {
                self.body(&mut parent.bodies[next], false)?;
                next += 1;
                continue;
            }
            let mut child = parent.bodies.remove(next);
            if !world {
                self.add_inertia(parent, &child)?;
            }
            let mut pose = child.pose;
            pose::normalize(&mut pose.quat);
            for (offset, mut grandchild) in
                std::mem::take(&mut child.bodies).into_iter().enumerate()
            {
                grandchild.pose = pose.then(&grandchild.pose);
                parent.bodies.insert(next + offset, grandchild);
            }
            parent.absorb(child, &pose);
        }
        Ok(())
    }

    fn merges(&self, body: &Body) -> bool {
        let (bodies, sites) = &self.kept;
        let named = bodies.contains(body.name.as_str());
        let loaded = body
            .sites
            .iter()
            .any(|site| sites.contains(site.name.as_str()));
        body.joints.is_empty() && !body.mocap && !named && !loaded
    }

    /// Gives the parent the inertia of both.
    fn add_inertia(&self, parent: &mut Body, child: &Body) -> Result<()> {
        let own = inertia::of_body(parent, &self.compilers[parent.compiler])?;
        let mut other = inertia::of_body(child, &self.compilers[child.compiler])?;
        if other.mass < MINVAL {
            // The parent's geoms are about to grow by massless ones; its inertia must not change.
            self.set_inertia(parent, own);
            return Ok(());
        }
        other.pose = child.pose.then(&other.pose);
        let sum = inertia::sum(&[own, other])
            .map_err(|error| locate(&parent.place, "body", &parent.name, error))?;
        self.set_inertia(parent, sum);
        Ok(())
    }

    fn set_inertia(&self, body: &mut Body, lump: Lump) {
        let Lump {
            pose,
            mass,
            moments,
        } = lump;
        let pose = Pose {
            pos: pose.pos,
            quat: pose.quat,
        };
        body.inertial = Some(Inertial {
            pose,
            mass,
            inertia: Inertia::Diagonal(moments),
        });
        body.compiler = self.explicit;
    }
}

/// What is referred to by name, or must stay for a sensor.
fn kept(scene: &Scene) -> (HashSet<&str>, HashSet<&str>) {
    fn targets<'a>(body: &'a Body, names: &mut HashSet<&'a str>) {
        names.extend(body.cameras.iter().map(|camera| camera.target.as_str()));
        names.extend(body.lights.iter().map(|light| light.target.as_str()));
        body.bodies.iter().for_each(|child| targets(child, names));
    }
    let mut bodies: HashSet<&str> = HashSet::new();
    targets(&scene.world, &mut bodies);
    bodies.extend(
        scene
            .excludes
            .iter()
            .flat_map(|exclude| &exclude.bodies)
            .map(String::as_str),
    );
    let held = scene.equalities.iter().map(|e| e.held.objects());
    bodies.extend(
        held.filter(|(kind, _)| *kind == Object::Body)
            .flat_map(|(_, names)| names)
            .map(String::as_str),
    );
    let sensed = scene
        .sensors
        .iter()
        .flat_map(|sensor| [&sensor.object, &sensor.reference])
        .flatten();
    let by_body = sensed.filter(|(kind, _)| matches!(kind, Object::Body | Object::XBody));
    bodies.extend(by_body.map(|(_, name)| name.as_str()));
    let loads = scene
        .sensors
        .iter()
        .filter(|s| matches!(s.kind, Sensor::Force | Sensor::Torque));
    let sites = loads
        .filter_map(|sensor| sensor.object.as_ref())
        .map(|(_, name)| name.as_str());
    bodies.remove("");
    (bodies, sites.collect())
}
