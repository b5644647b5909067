// What every kernel is told at its launch, and the index of the world that a thread stands for.
// in   launch  first_world and worlds: which worlds; stride: values from one row of a buffer to the next;
//              a, b: the kernel's own values, u0 … u3 = a.xyzw, u4 … u7 = b.xyzw
struct Launch {
    first_world: u32,
    worlds: u32,
    stride: u32,
    pad: u32,
    a: vec4<u32>,
    b: vec4<u32>,
}
@group(0) @binding(0) var<uniform> launch: Launch;

// The number of this thread among all threads of the launch, which has two dimensions when one is too short.
fn thread_index(thread: vec3<u32>, groups: vec3<u32>) -> u32 {
    return thread.x + thread.y * (groups.x * 64u);
}
