//! `<contact>` and `<keyframe>`.

use super::Reader;
use super::document::Element;
use crate::error::Result;
use crate::scene::{Exclude, Keyframe, Pair};

/// Overwrites a pair by what an element says.
pub(super) fn read_pair(element: &Element, pair: &mut Pair) -> Result<()> {
    element.read_count("condim", &mut pair.condim)?;
    element.read_some("friction", &mut pair.friction)?;
    element.read_some("solref", &mut pair.solref)?;
    element.read_some("solreffriction", &mut pair.solreffriction)?;
    element.read_some("solimp", &mut pair.solimp)?;
    element.read("gap", &mut pair.gap)?;
    element.read("margin", &mut pair.margin)?;
    element.refuse(&["adhesion"])
}

impl Reader<'_> {
    pub(super) fn contact(&mut self, section: &Element) -> Result<()> {
        section.finish()?;
        for element in &section.children {
            match element.tag.as_str() {
                "pair" => {
                    let class = self.classes.of(element, 0)?;
                    let mut pair = self.classes.get(class).pair.clone();
                    pair.place = element.place.clone();
                    element.read_text("name", &mut pair.name);
                    pair.geoms = [
                        element.required("geom1")?.into(),
                        element.required("geom2")?.into(),
                    ];
                    read_pair(element, &mut pair)?;
                    self.scene.pairs.push(pair);
                }
                "exclude" => self.scene.excludes.push(Exclude {
                    name: element.text("name").unwrap_or_default().into(),
                    place: element.place.clone(),
                    bodies: [
                        element.required("body1")?.into(),
                        element.required("body2")?.into(),
                    ],
                }),
                _ => return Err(element.unknown("contact", &["pair", "exclude"])),
            }
            element.finish()?;
            element.leaf()?;
        }
        Ok(())
    }

    pub(super) fn keyframe(&mut self, section: &Element) -> Result<()> {
        section.finish()?;
        for element in &section.children {
            if element.tag != "key" {
                return Err(element.unknown("keyframe", &["key"]));
            }
            let mut key = Keyframe::new(element.text("name").unwrap_or_default());
            key.place = element.place.clone();
            element.read("time", &mut key.time)?;
            for (name, into) in [
                ("qpos", &mut key.qpos),
                ("qvel", &mut key.qvel),
                ("act", &mut key.act),
                ("ctrl", &mut key.ctrl),
                ("mpos", &mut key.mpos),
                ("mquat", &mut key.mquat),
            ] {
                *into = element.numbers(name)?.unwrap_or_default();
            }
            element.finish()?;
            element.leaf()?;
            self.scene.keyframes.push(key);
        }
        Ok(())
    }
}
