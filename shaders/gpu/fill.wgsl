// One value in all components of a field, for some worlds. One thread per world.
// in   a.x: first row, a.y: rows, a.z: the value's bits
// out  data  [row][world]
#import gpu/launch

@group(0) @binding(1) var<storage, read_write> data: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = thread_index(thread, groups);
    if (index >= launch.worlds) {
        return;
    }
    for (var row = 0u; row < launch.a.y; row++) {
        data[(launch.a.x + row) * launch.stride + launch.first_world + index] = launch.a.z;
    }
}
