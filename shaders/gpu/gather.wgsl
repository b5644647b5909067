// Rows of chosen worlds of one buffer into chosen worlds of another with the same rows. One thread per copy and block
// of 16 rows; neighbouring threads make neighbouring copies.
// in   worlds: how many copies; stride: values from one row of `target_rows` to the next
//      a.x: first row, a.y: rows, a.z: values from one row of `source` to the next
//      source  [row][world]
//      list    [2 · copies]  copy k reads world list[k] of `source` and writes world list[copies + k] of `target_rows`
// out  target_rows  [row][world]
#import gpu/launch

@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read> list: array<u32>;
@group(0) @binding(3) var<storage, read_write> target_rows: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = thread_index(thread, groups);
    let copies = launch.worlds;
    if (copies == 0u) {
        return;
    }
    let copy = index % copies;
    let first = (index / copies) * 16u;
    let end = min(first + 16u, launch.a.y);
    if (first >= end) {
        return;
    }
    let read = list[copy];
    let written = list[copies + copy];
    for (var row = launch.a.x + first; row < launch.a.x + end; row++) {
        target_rows[row * launch.stride + written] = source[row * launch.a.z + read];
    }
}
