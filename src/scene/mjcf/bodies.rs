//! `<worldbody>`, `<body>`, `<frame>`, `<inertial>`, `<camera>`, `<light>`: the tree.

use super::defaults::ClassId;
use super::document::Element;
use super::geoms::{RawGeom, RawShape};
use super::orientation::Orientation;
use super::settings::Settings;
use super::{Reader, joints};
use crate::error::Result;
use crate::scene::kinds::Tracking;
use crate::scene::pose::{self, Pose};
use crate::scene::{Body, Camera, Inertia, Inertial, Light, Limited, Place};

/// What a body can contain.
const TAGS: &[&str] = &[
    "body",
    "frame",
    "replicate",
    "inertial",
    "joint",
    "freejoint",
    "geom",
    "attach",
    "site",
    "camera",
    "light",
    "plugin",
    "composite",
    "flexcomp",
];

/// Where contents go: a body, through a frame in it, with a default class.
pub(super) struct Scope<'a> {
    pub(super) body: &'a mut Body,
    pub(super) frame: Pose,
    pub(super) class: ClassId,
    pub(super) world: bool,
    /// Meshes and height fields of the body, until it is known whether they matter.
    pub(super) meshes: &'a mut Vec<Mesh>,
}

/// A geom whose shape is not supported, which is left out if it is only for drawing.
pub(super) struct Mesh {
    place: Place,
    name: String,
    what: String,
    collides: bool,
    massive: bool,
}

impl Reader<'_> {
    pub(super) fn worldbody(&mut self, element: &Element, world: &mut Body) -> Result<()> {
        element.finish()?;
        let mut meshes = Vec::new();
        let scope = Scope {
            body: world,
            frame: Pose::default(),
            class: 0,
            world: true,
            meshes: &mut meshes,
        };
        self.contents(element, scope)?;
        self.judge_meshes(meshes, None)
    }

    /// Reads what a body, a frame or a replicate contains.
    pub(super) fn contents(&mut self, element: &Element, mut scope: Scope<'_>) -> Result<()> {
        for child in &element.children {
            self.content(child, &mut scope)?;
        }
        Ok(())
    }

    fn content(&mut self, element: &Element, scope: &mut Scope<'_>) -> Result<()> {
        if scope.world && matches!(element.tag.as_str(), "inertial" | "joint" | "freejoint") {
            return Err(element.invalid("the world cannot have joints or inertia"));
        }
        match element.tag.as_str() {
            "body" => return self.body(element, scope),
            "frame" => return self.frame(element, scope),
            "replicate" => return self.replicate(element, scope),
            "attach" => return self.attach(element, scope),
            "geom" => self.geom(element, scope)?,
            "inertial" => self.inertial(element, scope)?,
            "joint" => {
                let class = self.classes.of(element, scope.class)?;
                let mut joint = self.classes.get(class).joint.clone();
                element.read_text("name", &mut joint.name);
                joints::read(element, &mut joint)?;
                joints::finish(element, &self.settings, &scope.frame, &mut joint)?;
                scope.body.joints.push(joint);
            }
            "freejoint" => scope.body.joints.push(joints::read_free(element)?),
            "site" => {
                let class = self.classes.of(element, scope.class)?;
                let mut site = self.classes.get(class).site.clone();
                element.read_text("name", &mut site.site.name);
                site.read(element)?;
                scope
                    .body
                    .sites
                    .push(site.finish(element, &self.settings, &scope.frame)?);
            }
            "camera" => {
                let class = self.classes.of(element, scope.class)?;
                let mut camera = self.classes.get(class).camera.clone();
                element.read_text("name", &mut camera.camera.name);
                element.read_text("target", &mut camera.camera.target);
                camera.read(element)?;
                scope
                    .body
                    .cameras
                    .push(camera.finish(element, &self.settings, &scope.frame)?);
            }
            "light" => {
                let class = self.classes.of(element, scope.class)?;
                let mut light = self.classes.get(class).light.clone();
                element.read_text("name", &mut light.name);
                element.read_text("target", &mut light.target);
                element.ignore(&["texture"]);
                read_light(element, &mut light)?;
                light.place = element.place.clone();
                light.pos = scope.frame.point(light.pos);
                light.dir = pose::rotate(scope.frame.quat, light.dir);
                scope.body.lights.push(light);
            }
            "plugin" | "composite" | "flexcomp" => {
                return Err(element.unsupported("it is not supported yet"));
            }
            _ => return Err(element.unknown("body", TAGS)),
        }
        element.finish()?;
        if element.tag == "geom"
            && let Some(plugin) = element
                .children
                .first()
                .filter(|child| child.tag == "plugin")
        {
            return Err(plugin.unsupported("it is not supported yet"));
        }
        element.leaf()
    }

    fn body(&mut self, element: &Element, scope: &mut Scope<'_>) -> Result<()> {
        let class = self.classes.of_children(element, scope.class)?;
        let mut body = Body::new(element.text("name").unwrap_or_default());
        body.place = element.place.clone();
        element.read_array("pos", &mut body.pose.pos)?;
        let mut orientation = Orientation::default();
        orientation.read(element)?;
        body.pose.quat = orientation.resolve(&self.settings, element)?;
        body.pose = scope.frame.then(&body.pose);
        element.read_bool("mocap", &mut body.mocap)?;
        element.read("gravcomp", &mut body.gravcomp)?;
        let simple = &[("false", false), ("auto", true)];
        element.read_keyword("simple", simple, &mut body.simple)?;
        let sleep = &[("auto", ()), ("never", ()), ("allowed", ()), ("init", ())];
        element.read_keyword("sleep", sleep, &mut ())?;
        element.ignore(&["user"]);
        element.finish()?;
        let mut meshes = Vec::new();
        let inner = Scope {
            body: &mut body,
            frame: Pose::default(),
            class,
            world: false,
            meshes: &mut meshes,
        };
        self.contents(element, inner)?;
        self.judge_meshes(meshes, Some(body.inertial.is_some()))?;
        scope.body.bodies.push(body);
        Ok(())
    }

    fn frame(&mut self, element: &Element, scope: &mut Scope<'_>) -> Result<()> {
        let class = self.classes.of_children(element, scope.class)?;
        let mut own = Pose::default();
        element.ignore(&["name"]);
        for name in ["scale", "scaling", "massscale"] {
            if element.text(name).is_some() {
                return Err(element.unsupported(format!("attribute '{name}' is not supported yet")));
            }
        }
        element.read_array("pos", &mut own.pos)?;
        let mut orientation = Orientation::default();
        orientation.read(element)?;
        own.quat = orientation.resolve(&self.settings, element)?;
        element.finish()?;
        let inner = Scope {
            body: &mut *scope.body,
            frame: scope.frame.then(&own),
            class,
            world: scope.world,
            meshes: &mut *scope.meshes,
        };
        self.contents(element, inner)
    }

    fn inertial(&mut self, element: &Element, scope: &mut Scope<'_>) -> Result<()> {
        if scope.body.inertial.is_some() {
            return Err(element.invalid("the body has an <inertial> already"));
        }
        let required = |name| element.invalid(format!("attribute '{name}' is required"));
        let pos = element.array("pos")?.ok_or_else(|| required("pos"))?;
        let [mass] = element.array("mass")?.ok_or_else(|| required("mass"))?;
        let diagonal = element.array::<3>("diaginertia")?;
        let full = element.array::<6>("fullinertia")?;
        let mut orientation = Orientation::default();
        orientation.read(element)?;
        let quat = orientation.resolve(&self.settings, element)?;
        if full.is_some() {
            let turned = ["quat", "axisangle", "xyaxes", "zaxis", "euler"];
            if turned.into_iter().any(|name| element.has(name)) {
                return Err(
                    element.invalid("only one of 'fullinertia' and an orientation can be given")
                );
            }
            if diagonal.is_some_and(|diagonal| diagonal != [0.0; 3]) {
                return Err(
                    element.invalid("only one of 'fullinertia' and 'diaginertia' can be given")
                );
            }
        }
        let inertia = match full {
            Some(full) => Inertia::Full(full),
            None => Inertia::Diagonal(diagonal.unwrap_or_default()),
        };
        scope.body.inertial = Some(Inertial {
            pose: Pose { pos, quat },
            mass,
            inertia,
        });
        Ok(())
    }

    fn geom(&mut self, element: &Element, scope: &mut Scope<'_>) -> Result<()> {
        let class = self.classes.of(element, scope.class)?;
        let mut raw = self.classes.get(class).geom.clone();
        element.read_text("name", &mut raw.geom.name);
        raw.read(element)?;
        let primitive = matches!(raw.shape, RawShape::Primitive(_));
        if primitive && raw.mesh.is_empty() && raw.hfield.is_empty() {
            scope
                .body
                .geoms
                .push(raw.finish(element, &self.settings, &scope.frame)?);
            return Ok(());
        }
        scope.meshes.push(self.mesh(element, &raw)?);
        Ok(())
    }

    /// Checks a reference to a mesh or a height field, and notes what the geom would do.
    fn mesh(&self, element: &Element, raw: &RawGeom) -> Result<Mesh> {
        let (what, name, known) = match raw.shape {
            RawShape::HField => ("hfield", &raw.hfield, &self.hfields),
            _ => ("mesh", &raw.mesh, &self.meshes),
        };
        if name.is_empty() {
            return Err(element.invalid(format!("attribute '{what}' is required for this type")));
        }
        if !known.contains(name) {
            let error = crate::error::Error::invalid(format!("unknown {what} '{name}'"));
            let close = crate::error::near_matches(name, known.iter().map(String::as_str));
            return Err(element.error(match close.first() {
                Some(close) => error.hint(format!("did you mean '{close}'?")),
                None => error,
            }));
        }
        let [first, last] = self.scene.compilers[0].inertiagrouprange;
        let geom = &raw.geom;
        let weighty = geom.mass.map_or(geom.density != 0.0, |mass| mass != 0.0);
        Ok(Mesh {
            place: element.place.clone(),
            name: element.to_string(),
            what: format!("{what} '{name}'"),
            collides: geom.contype != 0 || geom.conaffinity != 0,
            massive: weighty && (first..=last).contains(&geom.group),
        })
    }

    /// Leaves out geoms with meshes that are only for drawing, and refuses the others.
    ///
    /// `inertial` says whether their body gives its own inertia; none: the world, which needs none.
    fn judge_meshes(&mut self, meshes: Vec<Mesh>, inertial: Option<bool>) -> Result<()> {
        let from_geoms = match self.scene.compilers[0].inertiafromgeom {
            Limited::True => inertial.is_some(),
            Limited::False => false,
            Limited::Auto => inertial == Some(false),
        };
        for mesh in meshes {
            let purpose = if mesh.collides {
                "collision"
            } else if mesh.massive && from_geoms {
                "mass"
            } else {
                self.idle(mesh.what);
                continue;
            };
            let cause = format!(
                "{} is needed for {purpose}, which is not supported yet",
                mesh.what
            );
            return Err(mesh
                .place
                .locate(mesh.name, crate::error::Error::unsupported(cause)));
        }
        Ok(())
    }
}

/// A camera before its orientation is resolved.
#[derive(Clone)]
pub(super) struct RawCamera {
    pub(super) camera: Camera,
    pub(super) orientation: Orientation,
}

impl RawCamera {
    /// Overwrites it by what an element says.
    pub(super) fn read(&mut self, element: &Element) -> Result<()> {
        let camera = &mut self.camera;
        element.read_array("pos", &mut camera.pose.pos)?;
        self.orientation.read(element)?;
        element.read_keyword("mode", Tracking::KEYWORDS, &mut camera.mode)?;
        element.read("fovy", &mut camera.fovy)?;
        element.ignore(&[
            "user",
            "projection",
            "ipd",
            "resolution",
            "output",
            "focal",
            "focalpixel",
            "principal",
            "principalpixel",
            "sensorsize",
        ]);
        if camera.fovy >= 180.0 || camera.fovy <= 0.0 {
            return Err(element.invalid(format!("fovy is {}°, not between 0 and 180", camera.fovy)));
        }
        Ok(())
    }

    fn finish(mut self, element: &Element, settings: &Settings, frame: &Pose) -> Result<Camera> {
        self.camera.pose.quat = self.orientation.resolve(settings, element)?;
        self.camera.pose = frame.then(&self.camera.pose);
        self.camera.place = element.place.clone();
        Ok(self.camera)
    }
}

/// Overwrites a light by what an element says.
pub(super) fn read_light(element: &Element, light: &mut Light) -> Result<()> {
    let kinds = &[
        ("spot", false),
        ("directional", true),
        ("point", false),
        ("image", false),
    ];
    if element.has("directional") && element.has("type") {
        return Err(element.invalid("only one of 'directional' and 'type' can be given"));
    }
    element.read_bool("directional", &mut light.directional)?;
    element.read_keyword("type", kinds, &mut light.directional)?;
    element.read_array("pos", &mut light.pos)?;
    element.read_array("dir", &mut light.dir)?;
    element.read_keyword("mode", Tracking::KEYWORDS, &mut light.mode)?;
    if let Some(diffuse) = element.array::<3>("diffuse")? {
        light.diffuse = diffuse.map(|channel| channel as f32);
    }
    element.ignore(&[
        "castshadow",
        "active",
        "bulbradius",
        "intensity",
        "range",
        "attenuation",
        "cutoff",
        "softness",
        "exponent",
        "ambient",
        "specular",
    ]);
    Ok(())
}
