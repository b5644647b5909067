// Rows of a buffer to other rows of the same buffer, which a copy command cannot do. One thread per world.
// in   a.x: first row to read, a.y: first row to write, a.z: rows; the two ranges do not overlap
//      data  [row][world]
// out  data  [row][world]
#import gpu/launch

@group(0) @binding(1) var<storage, read_write> data: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = thread_index(thread, groups);
    if (index >= launch.worlds) {
        return;
    }
    let world = launch.first_world + index;
    for (var row = 0u; row < launch.a.z; row++) {
        data[(launch.a.y + row) * launch.stride + world] = data[(launch.a.x + row) * launch.stride + world];
    }
}
