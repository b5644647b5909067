//! Contexts: the adapter, several at once, failures, and the pipeline cache.

use std::path::PathBuf;

use manyworlds::error::Kind;
use manyworlds::gpu::{Binding, Context, Kernel, Launch, Options, Recorder, shader};

use crate::common::gpu;
use crate::gpu_kernel::{buffer, read};

#[test]
fn an_adapter_is_there_and_describes_itself() {
    let Some(context) = gpu::context() else {
        return;
    };
    let info = context.info();
    println!("{info}");
    assert!(!info.adapter.is_empty());
    assert!(info.limits.max_storage_buffers_per_shader_stage >= 8);
    assert_eq!(
        info.features,
        context.adapter().features() - wgpu::Features::MAPPABLE_PRIMARY_BUFFERS,
        "burn's kernels need all that the adapter offers"
    );
    assert_eq!(info.limits, context.adapter().limits());
    assert!(info.to_string().contains(&info.adapter));
    context.check().unwrap();
    context.wait().unwrap();
}

#[test]
fn an_adapter_is_chosen_by_part_of_its_name() {
    let Some(context) = gpu::context() else {
        return;
    };
    let name = &context.info().adapter;
    let options = |adapter: &str| Options {
        adapter: Some(adapter.to_owned()),
        ..Options::default()
    };
    let same = Context::new(&options(&name[..4].to_uppercase())).unwrap();
    assert_eq!(&same.info().adapter, name);

    let error = Context::new(&options("no such adapter")).unwrap_err();
    assert_eq!(error.kind(), Kind::Device);
    let message = error.to_string();
    assert!(
        message.starts_with("no graphics adapter matches `no such adapter`"),
        "{message}"
    );
    assert!(
        message.contains(name),
        "the error lists what there is: {message}"
    );
}

#[test]
fn contexts_of_one_process_do_not_meet() {
    let Some(first) = gpu::context() else { return };
    let second = gpu::context().unwrap();
    let source = shader::LIBRARY.compose("gpu/fill").unwrap();
    let mut results = Vec::new();
    for (context, value) in [(&first, 3), (&second, 4)] {
        let kernel = Kernel::new(context, "fill", &source, &["row", "rows", "value"]).unwrap();
        let data = buffer(context, &[0; 64]);
        let mut recorder = Recorder::new(context);
        let launch = Launch::new(0..64, 64);
        let values = [("row", 0), ("rows", 1), ("value", value)];
        recorder
            .dispatch(&kernel, &[Binding::whole(&data)], &launch.uniforms(&values))
            .unwrap();
        // Not waited for: the second is under way while the first may still be.
        recorder.submit().unwrap();
        results.push((context, data, value));
    }
    for (context, data, value) in results {
        assert_eq!(read(context, &data), [value; 64]);
        context.check().unwrap();
    }
}

#[test]
fn clones_work_on_other_threads() {
    let Some(context) = gpu::context() else {
        return;
    };
    let source = shader::LIBRARY.compose("gpu/fill").unwrap();
    let kernel = Kernel::new(&context, "fill", &source, &["row", "rows", "value"]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (context, kernel) = (context.clone(), &kernel);
            scope.spawn(move || {
                let data = buffer(&context, &[u32::MAX; 256]);
                for step in 0..32 {
                    let value = thread * 1000 + step;
                    let mut recorder = Recorder::new(&context);
                    let launch = Launch::new(0..64, 64);
                    let values = [("row", thread), ("rows", 1), ("value", value)];
                    recorder
                        .dispatch(kernel, &[Binding::whole(&data)], &launch.uniforms(&values))
                        .unwrap();
                    recorder.submit().unwrap();
                }
                let mut expected = vec![u32::MAX; 256];
                expected[thread as usize * 64..][..64].fill(thread * 1000 + 31);
                assert_eq!(read(&context, &data), expected);
            });
        }
    });
}

#[test]
fn a_failure_outside_of_a_call_is_kept() {
    let Some(context) = gpu::context() else {
        return;
    };
    context.check().unwrap();
    // A buffer that is both read by the host and storage is against the rules, and not created through us.
    drop(context.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("wrong"),
        size: 64,
        usage: wgpu::BufferUsages::MAP_READ
            | wgpu::BufferUsages::MAP_WRITE
            | wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    }));
    let error = context.check().unwrap_err();
    assert_eq!(error.kind(), Kind::Device);
    assert!(!error.to_string().contains('\n'));
    assert_eq!(
        Recorder::new(&context).submit().unwrap_err(),
        error,
        "no work on a device that failed"
    );
}

#[test]
fn compiled_pipelines_are_found_again() {
    let folder = Folder::new("pipelines");
    let options = Options {
        cache_dir: Some(folder.0.clone()),
        ..Options::default()
    };
    let Some(context) = gpu::context_with(&options) else {
        return;
    };
    if !context
        .info()
        .features
        .contains(wgpu::Features::PIPELINE_CACHE)
    {
        gpu::skip(
            "compiled_pipelines_are_found_again",
            &format!("{} has no pipeline cache", context.info()),
        );
        return;
    }
    assert_eq!(context.pipelines_loaded(), 0);
    let compile = |context: &Context| {
        let source = shader::LIBRARY.compose("gpu/fill").unwrap();
        Kernel::new(context, "fill", &source, &["row", "rows", "value"]).unwrap();
    };
    compile(&context);
    drop(context); // writes the file

    let again = Context::new(&options).unwrap();
    assert!(again.pipelines_loaded() > 0);
    compile(&again);
    again.save_pipelines().unwrap();
    drop(again);

    let files: Vec<PathBuf> = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "one file, and no drafts left: {files:?}");
    let mut bytes = std::fs::read(&files[0]).unwrap();
    *bytes.last_mut().unwrap() ^= 0xff;
    std::fs::write(&files[0], bytes).unwrap();
    let damaged = Context::new(&options).unwrap();
    assert_eq!(damaged.pipelines_loaded(), 0, "a damaged file is ignored");
    compile(&damaged);
    drop(damaged);
    assert!(
        Context::new(&options).unwrap().pipelines_loaded() > 0,
        "and is written anew"
    );
}

/// A folder of the test's own, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("manyworlds-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
