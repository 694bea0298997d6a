//! `compare`: every peer under the same load, in interleaved rounds, as medians and ratios.

use std::path::Path;

use crate::Outcome;
use crate::args::Args;
use crate::keys::Keys;
use crate::load::{Load, Mix};
use crate::measure::{Sample, measure, undisturbed};
use crate::peer::{Kind, Running, Setting, Template};
use crate::process::Memory;
use crate::quiet::{FOREIGN_MAX, PATIENCE_SECONDS, Patience};
use crate::scratch::Scratch;
use crate::table::{self, median, spread};
use crate::upstream::Upstream;

const KEYS: usize = 1_000;
const CONNECTIONS: u32 = 64;
const MEMORY_MAX_MIB: f64 = 48.0;

/// A promise: `of` costs at most `limit` times the processor time of `to`.
struct Target {
    mix: Mix,
    of: Kind,
    to: Kind,
    limit: f64,
}

const TARGETS: [Target; 6] = [
    Target { mix: Mix::Reads, of: Kind::Keystile, to: Kind::HaProxy, limit: 0.90 },
    Target { mix: Mix::Reads, of: Kind::Keystile, to: Kind::NginxLua, limit: 0.75 },
    Target { mix: Mix::Reads, of: Kind::Keystile, to: Kind::Relay, limit: 1.35 },
    Target { mix: Mix::Mixed, of: Kind::Keystile, to: Kind::NginxLuaRedis, limit: 1.00 },
    Target { mix: Mix::Mixed, of: Kind::Keystile, to: Kind::KeystileOff, limit: 1.20 },
    Target { mix: Mix::Mixed, of: Kind::KeystileWatched, to: Kind::Keystile, limit: 1.03 },
];

/// What every round does.
struct Plan<'a> {
    /// One slice.
    load: Load<'a>,
    slices: usize,
    patience: Patience,
}

/// All rounds of one peer.
struct Series {
    kind: Kind,
    reads: Vec<Sample>,
    mixed: Vec<Sample>,
    memory: Vec<Memory>,
}

impl Series {
    fn last_round(&self) -> String {
        let text = |samples: &[Sample]| {
            samples.last().map_or_else(String::new, |sample| {
                let noise = if sample.foreign > FOREIGN_MAX { " (noisy)" } else { "" };
                format!("{:.2} us, {:.0}/s{noise}", sample.cpu_us(), sample.requests_per_second())
            })
        };
        format!("{}: reads {}; mixed {}", self.kind.name(), text(&self.reads), text(&self.mixed))
    }

    fn samples(&self, mix: Mix) -> &[Sample] {
        match mix {
            Mix::Reads => &self.reads,
            Mix::Mixed => &self.mixed,
        }
    }
}

/// Runs the comparison and prints it.
pub async fn run(args: &Args) -> Outcome<()> {
    let rounds: usize = args.number("--rounds", 5)?;
    let kinds = kinds(args)?;
    let template = match args.text("--keystile") {
        Some(binary) => Some(Template::make(Path::new(binary), KEYS).await?),
        None => None,
    };
    let keys = template.as_ref().map_or_else(|| Keys::invent(KEYS), |made| made.keys.clone());
    let scratch = Scratch::new()?;
    keys.write_sent(&scratch)?;
    let upstream = Upstream::start().await?;
    let setting = Setting { keys: &keys, upstream: upstream.port, keystile: template.as_ref() };

    let plan = Plan {
        load: Load { scratch: &scratch, connections: CONNECTIONS, seconds: 1, mix: Mix::Reads },
        slices: args.number("--seconds", 5)?,
        patience: Patience::new(args.number("--patience", PATIENCE_SECONDS)?),
    };

    let mut all: Vec<Series> = kinds
        .into_iter()
        .map(|kind| Series { kind, reads: Vec::new(), mixed: Vec::new(), memory: Vec::new() })
        .collect();
    for round in 0..rounds {
        one_round(&mut all, &setting, &plan, round).await?;
        for series in &all {
            eprintln!("round {} of {rounds}: {}", round + 1, series.last_round());
        }
    }
    for mix in [Mix::Reads, Mix::Mixed] {
        print_costs(&all, mix);
    }
    print_ratios(&all);
    print_noise(&all);
    Ok(())
}

/// The peers asked for; without `--keystile`, all that are installed.
fn kinds(args: &Args) -> Outcome<Vec<Kind>> {
    if let Some(names) = args.text("--peers") {
        return names.split(',').map(Kind::named).collect();
    }
    let here = args.text("--keystile").is_some();
    Ok(Kind::ALL.into_iter().filter(|kind| here || !kind.is_keystile()).collect())
}

/// Starts all peers afresh and gives each a second of load in turn, so that a slow drift of the
/// machine meets all of them alike.
async fn one_round(
    all: &mut [Series],
    setting: &Setting<'_>,
    plan: &Plan<'_>,
    round: usize,
) -> Outcome<()> {
    let mut peers = Vec::new();
    for series in all.iter() {
        let peer = Running::start(series.kind, setting).await?;
        // Warm: connections to the upstream, compiled Lua, touched memory.
        measure(&peer, Load { mix: Mix::Mixed, ..plan.load }).await?;
        peers.push(peer);
    }
    for mix in [Mix::Reads, Mix::Mixed] {
        let mut samples = vec![Sample::default(); all.len()];
        for slice in 0..plan.slices {
            for step in 0..all.len() {
                let at = (round + slice + step) % all.len();
                samples[at]
                    .add(undisturbed(&peers[at], Load { mix, ..plan.load }, &plan.patience).await?);
            }
        }
        for (series, sample) in all.iter_mut().zip(samples) {
            match mix {
                Mix::Reads => series.reads.push(sample),
                Mix::Mixed => series.mixed.push(sample),
            }
        }
    }
    for (series, peer) in all.iter_mut().zip(&peers) {
        series.memory.push(peer.memory()?);
    }
    Ok(())
}

fn print_costs(all: &[Series], mix: Mix) {
    let title = match mix {
        Mix::Reads => "Reads only: medians",
        Mix::Mixed => "80 % GET, 20 % POST of 1 KiB: medians",
    };
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|series| {
            let of = |field: fn(&Sample) -> f64| {
                let values: Vec<f64> = series.samples(mix).iter().map(field).collect();
                median(&values)
            };
            let memory = |field: fn(&Memory) -> f64| {
                let values: Vec<f64> = series.memory.iter().map(field).collect();
                median(&values)
            };
            vec![
                series.kind.name().to_owned(),
                format!("{:.2}", of(Sample::cpu_us)),
                format!("{:.0}", of(Sample::requests_per_second)),
                format!("{:.2}", of(Sample::p50_ms)),
                format!("{:.2}", of(Sample::p99_ms)),
                format!("{:.0} %", of(Sample::busy) * 100.0),
                format!("{:.1}", memory(|memory| memory.resident_mib)),
                format!("{:.1}", memory(|memory| memory.highest_mib)),
            ]
        })
        .collect();
    let head = [
        "peer",
        "CPU us/request",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "its core",
        "RSS MiB",
        "peak MiB",
    ];
    table::print(title, &head, &rows);
}

fn print_ratios(all: &[Series]) {
    let series = |kind: Kind| all.iter().find(|series| series.kind == kind);
    let mut rows = Vec::new();
    for target in &TARGETS {
        let (Some(of), Some(to)) = (series(target.of), series(target.to)) else {
            continue;
        };
        let pairs = || of.samples(target.mix).iter().zip(to.samples(target.mix));
        let cpu: Vec<f64> = pairs().map(|(of, to)| of.cpu_us() / to.cpu_us()).collect();
        let rate: Vec<f64> =
            pairs().map(|(of, to)| of.requests_per_second() / to.requests_per_second()).collect();
        let (low, high) = spread(&cpu);
        rows.push(vec![
            format!("{}: {} / {}", mix_name(target.mix), target.of.name(), target.to.name()),
            format!("{:.2}", median(&cpu)),
            format!("{low:.2} to {high:.2}"),
            format!("{:.2}", target.limit),
            if median(&cpu) <= target.limit { "met" } else { "MISSED" }.to_owned(),
            format!("{:.2}", median(&rate)),
        ]);
    }
    if rows.is_empty() {
        return;
    }
    let head = ["ratio, median of the rounds", "CPU", "spread", "at most", "", "requests/s"];
    table::print("Ratios", &head, &rows);
    if let Some(keystile) = series(Kind::Keystile) {
        let peak = keystile.memory.iter().map(|memory| memory.highest_mib).fold(0.0, f64::max);
        let verdict = if peak <= MEMORY_MAX_MIB { "met" } else { "MISSED" };
        println!(
            "keystile's memory with {KEYS} keys and {CONNECTIONS} connections: \
             {peak:.1} MiB at its peak, at most {MEMORY_MAX_MIB:.0}: {verdict}"
        );
    }
}

fn print_noise(all: &[Series]) {
    let samples = all.iter().flat_map(|series| series.reads.iter().chain(&series.mixed));
    let (total, noisy) = samples.fold((0, 0), |(total, noisy), sample| {
        (total + 1, noisy + usize::from(sample.foreign > FOREIGN_MAX))
    });
    println!(
        "\n{noisy} of {total} measurements had more than {:.0} % of a core taken by something else.",
        FOREIGN_MAX * 100.0
    );
    if noisy * 4 > total {
        println!("That is too many to rely on the figures: run again when the machine is quiet.");
    }
}

fn mix_name(mix: Mix) -> &'static str {
    match mix {
        Mix::Reads => "reads",
        Mix::Mixed => "mixed",
    }
}
