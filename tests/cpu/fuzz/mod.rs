//! Broken configuration by the thousand: models, tasks, settings, snapshots, run folders, archives and policies, each
//! mutated from a good one, must end in an error or be accepted: no panic, no hang over 5 s, no memory over 1 GiB.
//!
//! A case is a number: it chooses what is read and seeds what is done to it, so that a failure can be run again.
//! `MANYWORLDS_FUZZ=17..18 cargo test --release --test cpu fuzz` runs case 17, and 0..100000 the whole set
//! (tests/FUZZ.md has its results).

mod archive;
mod memory;
mod mutate;
#[cfg(feature = "learn")]
mod runs;
mod texts;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mutate::Random;

/// The longest that a case may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most memory that a case may hold at once.
const MOST_BYTES: usize = 1 << 30;
/// After so long the process is ended: a hang would be forever.
const HANG: Duration = Duration::from_secs(60);

/// One kind of input and what reads it.
pub(crate) trait Target {
    /// For messages.
    fn name(&self) -> &'static str;

    /// Makes an input from a good one, and reads it; the text of the error, if there was one.
    fn run(&self, random: &mut Random) -> Result<(), String>;
}

#[test]
fn broken_configuration_neither_panics_nor_hangs() {
    let range = std::env::var("MANYWORLDS_FUZZ").unwrap_or_else(|_| "0..3000".into());
    let (first, last) = range.split_once("..").expect("a range such as 0..3000");
    let cases = first.parse::<u64>().expect("a number")..last.parse().expect("a number");
    // A deep stack hides nothing here: what recurses without bound overflows any.
    let test = std::thread::Builder::new().stack_size(8 << 20);
    let test = test.spawn(move || run(cases)).expect("a thread");
    test.join().expect("the cases are run");
}

/// What the cases of one target came to.
#[derive(Clone, Default)]
struct Tally {
    cases: u64,
    refused: u64,
    longest: Duration,
    most: usize,
}

fn run(cases: std::ops::Range<u64>) {
    let mut targets = texts::targets();
    targets.extend(archive::targets());
    #[cfg(feature = "learn")]
    targets.extend(runs::targets());
    quiet_panics();
    let watch = Watch::begin();
    let trace = std::env::var_os("MANYWORLDS_FUZZ_TRACE").is_some();
    let mut tallies = vec![Tally::default(); targets.len()];
    let mut failures = Vec::new();
    for case in cases {
        let index = (case % targets.len() as u64) as usize;
        let target = &targets[index];
        if trace {
            eprintln!("case {case}: {}", target.name());
        }
        let attempt = || {
            watch.start(case);
            memory::watch(case);
            let start = spent();
            let result = catch_unwind(AssertUnwindSafe(|| target.run(&mut Random::new(case))));
            let took = spent() - start;
            (result, took, memory::most())
        };
        let (result, took, most) = attempt();
        let tally = &mut tallies[index];
        tally.cases += 1;
        tally.longest = tally.longest.max(took);
        tally.most = tally.most.max(most);
        let name = target.name();
        match &result {
            Err(_) => failures.push(format!("case {case}: {name}: {}", last_panic())),
            Ok(Err(error)) if error.contains('\n') => {
                failures.push(format!("case {case}: {name}: two lines: {error}"));
            }
            Ok(Err(_)) => tally.refused += 1,
            Ok(Ok(())) => {}
        }
        if took > PATIENCE {
            failures.push(format!("case {case}: {name}: took {took:?}"));
        }
        if most > MOST_BYTES {
            failures.push(format!("case {case}: {name}: {most} bytes"));
        }
        if failures.len() >= 40 {
            break;
        }
    }
    memory::rest();
    watch.rest();
    for (target, tally) in targets.iter().zip(&tallies) {
        println!(
            "{:<20} {:>7} cases, {:>7} refused, longest {:>6.2} s, most memory {:>5.1} MiB",
            target.name(),
            tally.cases,
            tally.refused,
            tally.longest.as_secs_f64(),
            tally.most as f64 / (1 << 20) as f64
        );
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Ends the process when a case hangs.
struct Watch;

static CASE: AtomicU64 = AtomicU64::new(u64::MAX);
/// Milliseconds after [`Watch::begin`] at which the case began.
static SINCE: AtomicU64 = AtomicU64::new(0);
static BEGUN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

impl Watch {
    fn begin() -> Self {
        BEGUN.get_or_init(Instant::now);
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let (case, since) = (CASE.load(Ordering::SeqCst), SINCE.load(Ordering::SeqCst));
                if case != u64::MAX && now() > since + HANG.as_millis() as u64 {
                    eprintln!("fuzz case {case} hangs");
                    std::process::abort();
                }
            }
        });
        Self
    }

    fn start(&self, case: u64) {
        SINCE.store(now(), Ordering::SeqCst);
        CASE.store(case, Ordering::SeqCst);
    }

    fn rest(&self) {
        CASE.store(u64::MAX, Ordering::SeqCst);
    }
}

/// How long this thread has had a processor, where the system says so (Linux: the first number of `schedstat`), so that a
/// busy machine makes no hangs; else the time.
fn spent() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = stat.and_then(|stat| stat.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| Duration::from_millis(now()), Duration::from_nanos)
}

fn now() -> u64 {
    BEGUN
        .get()
        .map_or(0, |begun| begun.elapsed().as_millis() as u64)
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has panics of this thread be kept, not printed.
fn quiet_panics() {
    let others = std::panic::take_hook();
    let here = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() != here || !memory::watched() {
            return others(panic);
        }
        let place = panic
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()));
        let cause = panic.payload_as_str().unwrap_or("a panic").to_owned();
        PANIC.set(Some(format!(
            "panicked at {}: {cause}",
            place.unwrap_or_default()
        )));
    }));
}

fn last_panic() -> String {
    PANIC.take().unwrap_or_else(|| "panicked elsewhere".into())
}
