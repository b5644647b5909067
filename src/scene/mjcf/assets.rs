//! `<asset>` and `<custom>`.

use std::path::Path;

use super::document::Element;
use super::{Reader, load_nested};
use crate::error::Result;
use crate::scene::{Custom, CustomValue, Material};

/// Most numbers of a `<numeric>`.
const MAX_NUMERIC: usize = 1_000_000;

/// Overwrites a material by what an element says.
pub(super) fn read_material(element: &Element, material: &mut Material) -> Result<()> {
    element.read_text("texture", &mut material.texture);
    element.read_color("rgba", &mut material.rgba)?;
    element.ignore(&[
        "texrepeat",
        "texuniform",
        "emission",
        "specular",
        "shininess",
        "reflectance",
        "metallic",
        "roughness",
    ]);
    for layer in &element.children {
        if layer.tag != "layer" {
            return Err(layer.unknown("material", &["layer"]));
        }
        layer.ignore(&["role", "texture"]);
        layer.finish()?;
    }
    Ok(())
}

impl Reader<'_> {
    pub(super) fn asset(&mut self, section: &Element) -> Result<()> {
        const TAGS: &[&str] = &["mesh", "hfield", "skin", "texture", "material", "model"];
        section.finish()?;
        for element in &section.children {
            match element.tag.as_str() {
                "texture" => self.texture(element)?,
                "material" => self.material(element)?,
                "model" => self.attachable(element)?,
                "mesh" => self.named_asset(element)?,
                "hfield" => self.named_asset(element)?,
                "skin" => self.idle("<skin>"),
                _ => return Err(element.unknown("asset", TAGS)),
            }
        }
        Ok(())
    }

    fn texture(&mut self, element: &Element) -> Result<()> {
        element.ignore(&[
            "builtin",
            "class",
            "colorspace",
            "content_type",
            "embed",
            "file",
            "fileback",
            "filedown",
            "filefront",
            "fileleft",
            "fileright",
            "fileup",
            "gridlayout",
            "gridsize",
            "height",
            "hflip",
            "mark",
            "markrgb",
            "name",
            "nchannel",
            "random",
            "rgb1",
            "rgb2",
            "type",
            "vflip",
            "width",
        ]);
        element.finish()?;
        element.leaf()?;
        self.idle("<texture>");
        Ok(())
    }

    fn material(&mut self, element: &Element) -> Result<()> {
        let class = self.classes.of(element, 0)?;
        let mut material = self.classes.get(class).material.clone();
        material.place = element.place.clone();
        element.read_text("name", &mut material.name);
        read_material(element, &mut material)?;
        element.finish()?;
        self.scene.materials.push(material);
        Ok(())
    }

    /// Notes that a mesh or a height field exists. Without a name it has its file's.
    fn named_asset(&mut self, element: &Element) -> Result<()> {
        let file = element
            .text("file")
            .map(Path::new)
            .and_then(Path::file_stem);
        let name = match element.text("name") {
            Some(name) => name.to_string(),
            None => file
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
        };
        if name.is_empty() {
            return Err(element.invalid("it has neither a name nor a file"));
        }
        let names = if element.tag == "mesh" {
            &mut self.meshes
        } else {
            &mut self.hfields
        };
        if !names.insert(name.clone()) {
            return Err(element.invalid(format!("the name '{name}' is taken")));
        }
        Ok(())
    }

    /// Reads a model that `<attach>` can use.
    fn attachable(&mut self, element: &Element) -> Result<()> {
        let file = element.required("file")?.to_string();
        let name = element.text("name").map(str::to_string);
        element.ignore(&["content_type"]);
        element.finish()?;
        element.leaf()?;
        let path = self
            .files
            .find(&file, Path::new(""))
            .ok_or_else(|| element.invalid(format!("file '{file}' does not exist")))?;
        let scene = load_nested(&path, self.above).map_err(|error| element.error(error))?;
        let name = name.unwrap_or_else(|| scene.name.clone());
        if self.models.insert(name.clone(), scene).is_some() {
            return Err(element.invalid(format!("model '{name}' exists already")));
        }
        Ok(())
    }

    pub(super) fn custom(&mut self, section: &Element) -> Result<()> {
        section.finish()?;
        for element in &section.children {
            let name = element.required("name")?.to_string();
            let value = match element.tag.as_str() {
                "numeric" => numeric(element)?,
                "text" => CustomValue::Text(element.required("data")?.to_string()),
                "tuple" => {
                    element.finish()?;
                    self.idle("<tuple>");
                    continue;
                }
                _ => return Err(element.unknown("custom", &["numeric", "text", "tuple"])),
            };
            element.finish()?;
            element.leaf()?;
            self.scene.custom.push(Custom {
                name,
                place: element.place.clone(),
                value,
            });
        }
        Ok(())
    }
}

/// Numbers, padded with zeros to the size given.
fn numeric(element: &Element) -> Result<CustomValue> {
    let mut data = element.numbers("data")?.unwrap_or_default();
    let mut size = data.len();
    element.read_count("size", &mut size)?;
    if size > MAX_NUMERIC || size < data.len() || size == 0 {
        let cause = format!(
            "size is {size}, not between {} and {MAX_NUMERIC}",
            data.len().max(1)
        );
        return Err(element.invalid(cause));
    }
    data.resize(size, 0.0);
    Ok(CustomValue::Numeric(data))
}
