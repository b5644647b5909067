//! Where values live between kernels: buffers of rows, one scalar per world in each row.
//!
//! A buffer is `[row][world]`: the address of a scalar is `row * stride + world`, with a stride that is known at
//! launch. A [`Field`] is a run of rows with a name. A table is a buffer that all worlds share (`stride` 1, no world).

use super::record;
use super::value::{Bits, Var};

/// The scalar type of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `f32` on the device.
    F32,
    /// `u32` on the device.
    U32,
}

/// One buffer of a [`Layout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The variable's name in WGSL.
    pub name: String,
    /// The scalar type.
    pub kind: Kind,
    /// Rows of one scalar per world; for a table, its number of scalars.
    pub rows: u32,
    /// Whether each row holds one scalar per world, or the buffer is a table that all worlds share.
    pub per_world: bool,
}

/// A named run of rows of one buffer. Cheap to copy; meaningful with the [`Layout`] that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Index of the buffer in its layout.
    pub buffer: u32,
    /// First row.
    pub row: u32,
    /// Number of rows.
    pub components: u32,
    /// The scalar type.
    pub kind: Kind,
    /// Whether each row holds one scalar per world.
    pub per_world: bool,
}

/// The buffers of a family of kernels and the fields in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    buffers: Vec<Buffer>,
    fields: Vec<(String, Field)>,
    /// Whether it is a [`Layout::frame`]: what is declared has its place already.
    is_frame: bool,
}

/// Names a buffer of the [`Layout`] that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferId(u32);

impl Layout {
    /// A layout without buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a buffer with one scalar per world in each row.
    pub fn buffer(&mut self, name: &str, kind: Kind) -> BufferId {
        self.add(Buffer {
            name: name.into(),
            kind,
            rows: 0,
            per_world: true,
        })
    }

    /// Adds a buffer that all worlds share.
    pub fn table(&mut self, name: &str, kind: Kind) -> BufferId {
        self.add(Buffer {
            name: name.into(),
            kind,
            rows: 0,
            per_world: false,
        })
    }

    /// Room for any of several layouts: their fields by name, each as large as the largest of that name. The layouts
    /// have the same buffers.
    pub fn union(layouts: &[Self]) -> Self {
        let mut union = Self::new();
        let mut sizes: Vec<(&str, Field)> = Vec::new();
        for layout in layouts {
            for (index, buffer) in layout.buffers.iter().enumerate() {
                match union.buffers.get(index) {
                    None => union.buffers.push(Buffer {
                        rows: 0,
                        ..buffer.clone()
                    }),
                    Some(known) => assert_eq!(known.name, buffer.name, "buffers differ"),
                }
            }
            for (name, field) in &layout.fields {
                match sizes.iter_mut().find(|(known, _)| known == name) {
                    None => sizes.push((name, *field)),
                    Some((_, known)) => known.components = known.components.max(field.components),
                }
            }
        }
        for (name, field) in sizes {
            union.field(BufferId(field.buffer), name, field.len());
        }
        union
    }

    /// The same places once more: buffers and fields that are declared there are those of this layout, and fields may
    /// be smaller.
    #[must_use]
    pub fn frame(&self) -> Self {
        Self {
            is_frame: true,
            ..self.clone()
        }
    }

    fn add(&mut self, buffer: Buffer) -> BufferId {
        if self.is_frame {
            let known = |known: &Buffer| known.name == buffer.name;
            let place = self.buffers.iter().position(known);
            return BufferId(
                place.expect("a frame has every buffer that is declared in it") as u32,
            );
        }
        assert!(
            self.buffers.iter().all(|other| other.name != buffer.name),
            "two buffers are named `{}`",
            buffer.name
        );
        self.buffers.push(buffer);
        BufferId(self.buffers.len() as u32 - 1)
    }

    /// Adds `components` rows (scalars, in a table) under a name that is new to this layout.
    pub fn field(&mut self, buffer: BufferId, name: &str, components: usize) -> Field {
        if self.is_frame {
            let whole = self.find(name);
            let whole = whole.expect("a frame has every field that is declared in it");
            return whole.slice(0, components);
        }
        assert!(self.find(name).is_none(), "two fields are named `{name}`");
        let target = &mut self.buffers[buffer.0 as usize];
        let field = Field {
            buffer: buffer.0,
            row: target.rows,
            components: u32::try_from(components).expect("a field has less than 2^32 components"),
            kind: target.kind,
            per_world: target.per_world,
        };
        target.rows += field.components;
        self.fields.push((name.into(), field));
        field
    }

    /// The buffers, in the order of their bindings.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// The fields with their names, in the order they were added.
    pub fn fields(&self) -> &[(String, Field)] {
        &self.fields
    }

    /// The field of that name.
    pub fn find(&self, name: &str) -> Option<Field> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, field)| *field)
    }

    /// The name of the field that holds a row of a buffer.
    pub(super) fn name_of(&self, buffer: u32, row: u32) -> &str {
        let holds = |field: &Field| {
            field.buffer == buffer && (field.row..field.row + field.components).contains(&row)
        };
        self.fields
            .iter()
            .find(|(_, field)| holds(field))
            .map_or("?", |(name, _)| name)
    }
}

impl Field {
    /// The number of scalars per world.
    pub fn len(&self) -> usize {
        self.components as usize
    }

    /// Whether the field has no rows.
    pub fn is_empty(&self) -> bool {
        self.components == 0
    }

    /// A run of this field's components as a field of its own.
    pub fn slice(&self, start: usize, components: usize) -> Field {
        assert!(
            start + components <= self.len(),
            "slice {start}+{components} of a field of {}",
            self.len()
        );
        Field {
            row: self.row + start as u32,
            components: components as u32,
            ..*self
        }
    }

    /// The row that holds a component.
    pub(super) fn row_of(&self, component: usize, kind: Kind) -> u32 {
        assert!(
            component < self.len(),
            "component {component} of a field of {}",
            self.len()
        );
        assert_eq!(
            self.kind, kind,
            "a field's scalar type and the call's do not match"
        );
        self.row + component as u32
    }

    /// This world's value of a component as it was when the kernel started.
    pub fn load(&self, component: usize) -> Var {
        Var::node(record::load(
            self.buffer,
            self.row_of(component, Kind::F32),
            Kind::F32,
        ))
    }

    /// [`Field::load`] for a field of unsigned integers.
    pub fn load_bits(&self, component: usize) -> Bits {
        Bits::node(record::load(
            self.buffer,
            self.row_of(component, Kind::U32),
            Kind::U32,
        ))
    }

    /// All components, in order.
    pub fn load_all(&self) -> Vec<Var> {
        (0..self.len())
            .map(|component| self.load(component))
            .collect()
    }

    /// [`Field::load_all`] for a field of unsigned integers.
    pub fn load_all_bits(&self) -> Vec<Bits> {
        (0..self.len())
            .map(|component| self.load_bits(component))
            .collect()
    }

    /// The component at a computed index; an index past the end reads the last component.
    pub fn load_at(&self, index: Bits) -> Var {
        match index.as_constant() {
            Some(index) => self.load((index as usize).min(self.len() - 1)),
            None => Var::node(record::load_at(*self, Kind::F32, index.id())),
        }
    }

    /// [`Field::load_at`] for a field of unsigned integers.
    pub fn load_bits_at(&self, index: Bits) -> Bits {
        match index.as_constant() {
            Some(index) => self.load_bits((index as usize).min(self.len() - 1)),
            None => Bits::node(record::load_at(*self, Kind::U32, index.id())),
        }
    }

    /// Writes a component; inside `when`, only in the worlds where its mask holds.
    pub fn store(&self, component: usize, value: impl Into<Var>) {
        let row = self.row_of(component, Kind::F32);
        record::store(*self, row, None, value.into().id());
    }

    /// [`Field::store`] for a field of unsigned integers.
    pub fn store_bits(&self, component: usize, value: impl Into<Bits>) {
        let row = self.row_of(component, Kind::U32);
        record::store(*self, row, None, value.into().id());
    }

    /// Writes all components, in order.
    pub fn store_all(&self, values: &[Var]) {
        assert_eq!(
            values.len(),
            self.len(),
            "values for a field of {} components",
            self.len()
        );
        for (component, value) in values.iter().enumerate() {
            self.store(component, *value);
        }
    }

    /// [`Field::store_all`] for a field of unsigned integers.
    pub fn store_all_bits(&self, values: &[Bits]) {
        assert_eq!(
            values.len(),
            self.len(),
            "values for a field of {} components",
            self.len()
        );
        for (component, value) in values.iter().enumerate() {
            self.store_bits(component, *value);
        }
    }

    /// Writes the component at a computed index; an index past the end writes the last component.
    pub fn store_at(&self, index: Bits, value: impl Into<Var>) {
        match index.as_constant() {
            Some(index) => self.store((index as usize).min(self.len() - 1), value),
            None => {
                let row = self.row_of(0, Kind::F32);
                record::store(*self, row, Some(index.id()), value.into().id());
            }
        }
    }

    /// [`Field::store_at`] for a field of unsigned integers.
    pub fn store_bits_at(&self, index: Bits, value: impl Into<Bits>) {
        match index.as_constant() {
            Some(index) => self.store_bits((index as usize).min(self.len() - 1), value),
            None => {
                let row = self.row_of(0, Kind::U32);
                record::store(*self, row, Some(index.id()), value.into().id());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_has_room_for_each_and_frames_find_their_places() {
        let declare = |layout: &mut Layout, qpos: usize, extra: bool| {
            let state = layout.buffer("state", Kind::F32);
            let fields = [
                layout.field(state, "qpos", qpos),
                layout.field(state, "time", 1),
            ];
            let table = layout.table("table", Kind::F32);
            extra.then(|| layout.field(table, "more", 3));
            fields
        };
        let own = [(2, false), (5, true), (3, false)].map(|(qpos, extra)| {
            let mut layout = Layout::new();
            declare(&mut layout, qpos, extra);
            layout
        });
        let union = Layout::union(&own);
        let rows: Vec<u32> = union.buffers().iter().map(|buffer| buffer.rows).collect();
        assert_eq!(rows, [6, 3]);
        let [qpos, time] = declare(&mut union.frame(), 3, false);
        assert_eq!((qpos.row, qpos.len(), time.row), (0, 3, 5));
        assert_eq!(Layout::union(&own[1..2]), own[1]);
    }
}
