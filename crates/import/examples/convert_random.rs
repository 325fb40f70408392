//! Converts a random decoder of a named shape and says how long it took and how much memory it needed.
//!
//! `cargo run --release -p og-import --example convert_random [15m|124m|1b]`

use og_import::{
    convert::{Options, convert},
    decoder::{Random, Shape},
};
use std::{error::Error, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "15m".to_owned());
    let shape = Shape::named(&name).ok_or("shapes are 15m, 124m and 1b")?;
    let start = Instant::now();
    let made = convert(
        &Random::new(shape.config(), 1),
        &Options::default(),
        &mut |_| {},
    )?;
    let bytes: usize = made.matrices.iter().map(Vec::len).sum();
    let peak = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = peak
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    println!(
        "{name}: {} MB of matrices in {:.1} s; {peak}",
        bytes / 1_000_000,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
