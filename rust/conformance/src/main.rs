// SPDX-License-Identifier: MIT
//! Runs the conformance scenarios against the zcrx crate, each in a process of its own.
//!
//!     zcrx-conformance [--engine E[,E...]] [--scenario GLOB[,GLOB...]] [--fast] [--may-refuse]
//!                      [--seconds N] [--directory DIR]

mod disturb;
mod holdings;
mod keeper;
mod ledger;
mod payload;
mod peer;
mod run;
mod scenario;

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio, exit};
use std::time::Duration;
use std::{env, fmt, fs, panic, thread};

use scenario::Scenario;
use zcrx::Engine;

const USAGE: &str = "usage: zcrx-conformance [--engine E[,E...]] [--scenario GLOB[,GLOB...]] \
                     [--fast] [--may-refuse] [--seconds N] [--directory DIR]";
const SMALL: Duration = Duration::from_secs(30);
const LARGE: Duration = Duration::from_secs(120);
/// The status of a scenario's process whose engine was refused.
const REFUSED: i32 = 3;

/// Why a scenario failed.
#[derive(Debug)]
pub enum Failure {
    /// The receiver cannot be opened.
    Refused(zcrx::Error),
    /// Anything else.
    Because(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "open: {error}"),
            Self::Because(reason) => f.write_str(reason),
        }
    }
}

/// A failure, from a format.
#[macro_export]
macro_rules! fail {
    ($($words:tt)*) => { $crate::Failure::Because(format!($($words)*)) };
}

/// Return a failure unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($words:tt)*) => {
        if !$condition {
            return Err($crate::fail!($($words)*));
        }
    };
}

struct Settings {
    engines: Vec<Engine>,
    globs: String,
    directory: PathBuf,
    /// For each scenario; `None`: as its size says.
    limit: Option<Duration>,
    fast: bool,
    may_refuse: bool,
    /// This process runs the one scenario that is named.
    alone: bool,
}

#[derive(Default)]
struct Totals {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Settings {
    fn parse() -> Result<Self, String> {
        let mut settings = Self {
            engines: vec![Engine::Multishot, Engine::Recv],
            globs: "*".to_owned(),
            directory: "tests/conformance".into(),
            limit: None,
            fast: false,
            may_refuse: false,
            alone: false,
        };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--engine" => {
                    let engines = value()?.split(',').map(str::parse).collect::<Result<_, _>>();
                    settings.engines = engines.map_err(|error: zcrx::Error| error.to_string())?;
                }
                "--scenario" => settings.globs = value()?,
                "--seconds" => {
                    let seconds = value()?.parse().map_err(|_| USAGE.to_owned())?;
                    settings.limit = Some(Duration::from_secs(seconds));
                }
                "--directory" => settings.directory = value()?.into(),
                "--fast" => settings.fast = true,
                "--may-refuse" => settings.may_refuse = true,
                "--alone" => settings.alone = true,
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(settings)
    }
}

/// Whether the name fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .any(|skipped| rest.is_char_boundary(skipped) && fits(after, &rest[skipped..]))
        }),
    }
}

// ---- in the scenario's own process ----

fn be_scenario(settings: &Settings, scenario: &Scenario) -> ! {
    // A panic on any thread is a failure of the scenario.
    panic::set_hook(Box::new(|info| {
        println!("{info}");
        exit(1);
    }));
    let limit = settings.limit.unwrap_or(if scenario.large { LARGE } else { SMALL });
    thread::spawn(move || {
        thread::sleep(limit);
        println!("not done after {limit:?}");
        exit(1);
    });
    match run::run(scenario, settings.engines[0], &settings.directory.join("sender")) {
        Ok(()) => exit(0),
        Err(failure) => {
            println!("{failure}");
            exit(if matches!(failure, Failure::Refused(_)) { REFUSED } else { 1 });
        }
    }
}

// ---- in the runner ----

/// Run it in a process of its own, so that whatever happens to that ends there. Returns its status and what it said.
fn run_in_process(
    settings: &Settings,
    scenario: &Scenario,
    engine: Engine,
) -> (Option<i32>, String) {
    let mut command = Command::new(env::current_exe().expect("its own path"));
    if let Some(limit) = settings.limit {
        command.arg("--seconds").arg(limit.as_secs().to_string());
    }
    let mut child = command
        .args(["--alone", "--engine", engine.name(), "--scenario", &scenario.name, "--directory"])
        .arg(&settings.directory)
        // One heap: what threads allocate is no new mapping as large as an area.
        .env("MALLOC_ARENA_MAX", "1")
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("it starts itself");
    let mut said = String::new();
    let mut output = child.stdout.take().expect("piped");
    let _ = output.read_to_string(&mut said);
    let status = child.wait().expect("its own child");
    // SAFETY: the group that was made above; a sender may be left of it.
    unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
    (status.code(), said.trim().replace('\n', "; "))
}

fn reason_to_skip(
    settings: &Settings,
    scenario: &Scenario,
    engine: Engine,
) -> Option<&'static str> {
    let name = engine.name().to_owned();
    if scenario.engines.as_ref().is_some_and(|engines| !engines.contains(&name)) {
        return Some("not for this engine");
    }
    if scenario.large && settings.fast {
        return Some("size=large");
    }
    scenario.inexpressible
}

fn run_scenario(settings: &Settings, scenario: &Scenario, engine: Engine, totals: &mut Totals) {
    let name = &scenario.name;
    if let Some(reason) = reason_to_skip(settings, scenario, engine) {
        println!("skip {name}: {reason}");
        totals.skipped += 1;
        return;
    }
    match run_in_process(settings, scenario, engine) {
        (Some(0), _) => {
            println!("ok {name}");
            totals.passed += 1;
        }
        (Some(REFUSED), reason) if settings.may_refuse => {
            println!("skip {name}: {reason}");
            totals.skipped += 1;
        }
        (status, reason) => {
            let killed = if status.is_none() { "killed by a signal; " } else { "" };
            println!("FAIL {name}: {killed}{reason}");
            totals.failed += 1;
        }
    }
}

/// A thousand streams take some two thousand descriptors.
fn raise_descriptor_limit() {
    // SAFETY: one struct, which lives until the calls return.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}

fn main() -> ExitCode {
    let settings = Settings::parse().unwrap_or_else(|reason| {
        eprintln!("{reason}");
        exit(2);
    });
    let table = settings.directory.join("scenarios.txt");
    let text = fs::read_to_string(&table).unwrap_or_else(|error| {
        eprintln!("zcrx-conformance: {}: {error}", table.display());
        exit(2);
    });
    let scenarios = scenario::parse(&text).unwrap_or_else(|failure| {
        println!("FAIL {failure}");
        exit(1);
    });
    raise_descriptor_limit();
    let wanted = |name: &str| settings.globs.split(',').any(|glob| fits(glob, name));
    let mut chosen = scenarios.iter().filter(|scenario| wanted(&scenario.name));
    if settings.alone {
        be_scenario(&settings, chosen.next().expect("the runner named it"));
    }
    let chosen: Vec<&Scenario> = chosen.collect();
    let mut totals = Totals::default();
    for engine in &settings.engines {
        println!("# engine {engine}");
        for scenario in &chosen {
            run_scenario(&settings, scenario, *engine, &mut totals);
        }
    }
    println!("{} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.skipped);
    ExitCode::from(u8::from(totals.failed > 0))
}
