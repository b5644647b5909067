//! Checks WGSL with naga before a driver sees it, and reads off what a kernel binds.
//!
//! Only the capabilities of the features that a kernel asks for are allowed, not all that this machine's device has:
//! a shader that passes here passes on any device with those features.

use std::error::Error as _;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, StorageAccess, TypeInner};

use super::launch;
use super::shader::Source;
use crate::error::{Error, Result};
use crate::trace::{Graph, WORKGROUP_SIZE};

/// The name of every kernel's entry point.
pub(super) const ENTRY_POINT: &str = "main";

/// What a kernel has to be given, as its WGSL declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Threads in a workgroup, per dimension.
    pub workgroup: [u32; 3],
    /// Whether it has launch parameters at binding 0.
    pub launch: bool,
    /// Its storage buffers, by rising binding number.
    pub buffers: Vec<BufferInterface>,
}

/// A storage buffer that a kernel declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferInterface {
    /// The number of the binding, in group 0.
    pub binding: u32,
    /// The variable's name.
    pub name: String,
    /// Declared `read`, not `read_write`.
    pub read_only: bool,
}

impl Interface {
    /// Parses and validates `source` and reads the interface off it. Needs no device.
    ///
    /// `features` are those that the shader may use (none, for shaders that must run anywhere); `entry` says whether
    /// there must be an entry point: without one, as in a file for others to import, the workgroup is zero.
    ///
    /// # Errors
    /// It does not parse or validate, or does not keep to the conventions of [`Kernel`](super::Kernel). The error
    /// names file, line and text of the line.
    pub fn of(source: &Source, features: wgpu::Features, entry: bool) -> Result<Self> {
        let module = parse(source)?;
        Validator::new(ValidationFlags::all(), capabilities(features))
            .validate(&module)
            .map_err(|error| {
                let mut message = error.as_inner().to_string();
                let mut cause = error.as_inner().source();
                while let Some(inner) = cause {
                    message = format!("{message}: {inner}");
                    cause = inner.source();
                }
                // Of function, statement and expression, the smallest says where. Naga's names for them say nothing.
                let mut spans: Vec<_> = error.spans().map(|(span, _)| (*span, "")).collect();
                spans.sort_by_key(|(span, _)| span.to_range().map(|range| range.len()));
                at_spans(source, &message, spans.into_iter())
            })?;

        let mut interface = Self {
            workgroup: [0; 3],
            launch: false,
            buffers: Vec::new(),
        };
        match module
            .entry_points
            .iter()
            .find(|point| point.name == ENTRY_POINT)
        {
            Some(point) if point.stage == naga::ShaderStage::Compute => {
                interface.workgroup = point.workgroup_size;
            }
            _ if !entry => {}
            _ => return Err(at(source, None, "there is no compute entry point `main`")),
        }
        for (handle, variable) in module.global_variables.iter() {
            let span = module.global_variables.get_span(handle);
            let wrong = |message: &str| {
                at(
                    source,
                    Some(span.location(source.text()).line_number),
                    message,
                )
            };
            let Some(place) = variable.binding else {
                continue;
            };
            if place.group != 0 {
                return Err(wrong("a kernel's bindings are all in group 0"));
            }
            match variable.space {
                AddressSpace::Uniform if place.binding == 0 => {
                    if size_of_type(&module, variable.ty) != Some(launch::SIZE) {
                        return Err(wrong(
                            "binding 0 is not the `Launch` of shaders/gpu/launch.wgsl",
                        ));
                    }
                    interface.launch = true;
                }
                AddressSpace::Storage { access } if place.binding > 0 => {
                    interface.buffers.push(BufferInterface {
                        binding: place.binding,
                        name: variable.name.clone().unwrap_or_default(),
                        read_only: !access.contains(StorageAccess::STORE),
                    })
                }
                _ => {
                    return Err(wrong(
                        "a kernel binds its launch parameters at 0 and storage buffers above",
                    ));
                }
            }
        }
        interface.buffers.sort_by_key(|buffer| buffer.binding);
        if let Some(pair) = interface
            .buffers
            .windows(2)
            .find(|pair| pair[0].binding == pair[1].binding)
        {
            let message = format!(
                "`{}` and `{}` have the same binding",
                pair[0].name, pair[1].name
            );
            return Err(at(source, None, &message));
        }
        Ok(interface)
    }

    /// What the kernel of a recorded function has to be given.
    pub fn of_graph(graph: &Graph) -> Self {
        let layout = graph.layout().buffers().iter();
        let buffers = layout
            .zip(graph.used_buffers())
            .enumerate()
            .filter(|(_, (_, used))| *used)
            .map(|(index, (buffer, _))| BufferInterface {
                binding: index as u32 + 1,
                name: buffer.name.clone(),
                read_only: false,
            });
        Self {
            workgroup: [WORKGROUP_SIZE, 1, 1],
            launch: true,
            buffers: buffers.collect(),
        }
    }
}

fn parse(source: &Source) -> Result<naga::Module> {
    naga::front::wgsl::parse_str(source.text())
        .map_err(|error| at_spans(source, error.message(), error.labels()))
}

/// An error at the first of naga's spans that is in the text, with what the labels of the others add.
fn at_spans<'a>(
    source: &Source,
    message: &str,
    spans: impl Iterator<Item = (naga::Span, &'a str)>,
) -> Error {
    let spans: Vec<_> = spans.collect();
    let labels: Vec<&str> = spans
        .iter()
        .map(|(_, label)| *label)
        .filter(|label| !label.is_empty())
        .collect();
    let place = spans.iter().find(|(span, _)| span.is_defined());
    let line = place.map(|(span, _)| span.location(source.text()).line_number);
    match labels.as_slice() {
        [] => at(source, line, message),
        labels => at(source, line, &format!("{message}: {}", labels.join(", "))),
    }
}

/// `file:line: message: the line's text`.
fn at(source: &Source, line: Option<u32>, message: &str) -> Error {
    let Some(line) = line.map(|line| line as usize) else {
        return Error::invalid(message).context(source.origin(0));
    };
    Error::invalid(format!("{message}, in `{}`", source.line(line))).context(source.origin(line))
}

fn size_of_type(module: &naga::Module, ty: naga::Handle<naga::Type>) -> Option<u64> {
    match &module.types[ty].inner {
        TypeInner::Struct { span, .. } => Some(u64::from(*span)),
        _ => None,
    }
}

/// The capabilities that come with `features`, of those that a compute shader can use.
fn capabilities(features: wgpu::Features) -> Capabilities {
    [
        (wgpu::Features::SHADER_F16, Capabilities::SHADER_FLOAT16),
        (wgpu::Features::SHADER_F64, Capabilities::FLOAT64),
        (wgpu::Features::SHADER_INT64, Capabilities::SHADER_INT64),
        (
            wgpu::Features::SHADER_FLOAT32_ATOMIC,
            Capabilities::SHADER_FLOAT32_ATOMIC,
        ),
        (wgpu::Features::SUBGROUP, Capabilities::SUBGROUP),
        (
            wgpu::Features::SUBGROUP_BARRIER,
            Capabilities::SUBGROUP_BARRIER,
        ),
    ]
    .into_iter()
    .filter(|(feature, _)| features.contains(*feature))
    .fold(Capabilities::empty(), |all, (_, capability)| {
        all | capability
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{self, Kind, Layout};

    const KERNEL: &str = "@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<storage, read> given: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) { out[id.x] = given[id.x]; }";

    fn interface(text: &str) -> Result<Interface> {
        Interface::of(&Source::new("test", text), wgpu::Features::empty(), true)
    }

    #[test]
    fn reads_bindings_in_order() {
        let found = interface(KERNEL).unwrap();
        assert_eq!(found.workgroup, [64, 1, 1]);
        assert!(!found.launch);
        let buffers: Vec<_> = found
            .buffers
            .iter()
            .map(|b| (b.binding, b.name.as_str(), b.read_only))
            .collect();
        assert_eq!(buffers, [(1, "given", true), (3, "out", false)]);
    }

    #[test]
    fn errors_show_the_line() {
        let parse = interface("fn f() -> f32 {\n    return missing;\n}")
            .unwrap_err()
            .to_string();
        assert!(
            parse.starts_with("test:2: ") && parse.ends_with("in `return missing;`"),
            "{parse}"
        );
        let types = interface("fn f() -> f32 {\n    return 1u;\n}")
            .unwrap_err()
            .to_string();
        assert!(types.starts_with("test:2: "), "{types}");
        let group =
            interface(&KERNEL.replace("group(0) @binding(3)", "group(1) @binding(3)")).unwrap_err();
        assert!(
            group
                .to_string()
                .starts_with("test:1: a kernel's bindings are all in group 0"),
            "{group}"
        );
        let entry = interface("fn other() {}").unwrap_err().to_string();
        assert_eq!(entry, "test: there is no compute entry point `main`");
        let launch = interface(&format!(
            "struct L {{ a: u32 }}\n@group(0) @binding(0) var<uniform> l: L;\n{KERNEL}"
        ));
        let launch = launch.unwrap_err().to_string();
        assert!(
            launch.starts_with("test:2: binding 0 is not the `Launch`"),
            "{launch}"
        );
    }

    #[test]
    fn a_graph_declares_what_its_wgsl_does() {
        let mut layout = Layout::new();
        let [a, b, c] = ["a", "b", "c"].map(|name| layout.buffer(name, Kind::F32));
        let [a, _, c] =
            [(a, "x"), (b, "y"), (c, "z")].map(|(buffer, name)| layout.field(buffer, name, 2));
        let graph = trace::record("graph", &layout, || c.store(1, 2.0 * a.load(0)));
        let declared = Interface::of(
            &Source::new("graph", graph.wgsl()),
            wgpu::Features::empty(),
            true,
        )
        .unwrap();
        assert_eq!(Interface::of_graph(&graph), declared);
        assert_eq!(
            declared
                .buffers
                .iter()
                .map(|buffer| buffer.binding)
                .collect::<Vec<_>>(),
            [1, 3]
        );
    }

    #[test]
    fn only_what_is_asked_for_is_allowed() {
        let text = "@compute @workgroup_size(64) fn main() { let x = subgroupAdd(1u); }";
        let source = Source::new("test", text);
        assert!(Interface::of(&source, wgpu::Features::empty(), true).is_err());
        assert!(Interface::of(&source, wgpu::Features::SUBGROUP, true).is_ok());
    }
}
