//! Fifty tasks at once, in turn with fifty `runc run` of the same root file system by as many workers as
//! the machine has processors.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::figures::Figures;
use super::launch::launch;
use super::report::{Figure, Report};
use super::runc::Runc;
use crate::interrupt;
use crate::subject::Subject;

const TASKS: usize = 50;
/// Nothing but the launch: no addresses, no rules.
const MODE: &str = "none";

pub fn measure(
    outport: &mut Subject,
    runc: &mut Runc,
    subnet: &str,
    runs: usize,
    report: &mut Report,
) -> Result<()> {
    let (mut ours, mut floor) = (Figures::default(), Figures::default());
    for _ in 0..runs {
        interrupt::check()?;
        ours.add(launch(outport, MODE, subnet, TASKS)?);
        floor.add(runc_burst(runc)?);
    }
    let rate = |figures: &Figures| TASKS as f64 * 1000.0 / figures.percentile_ms(50);
    let (ours, floor) = (rate(&ours), rate(&floor));
    report.add(Figure::new("launches in bursts", ours, "1/s").of("tasks at once", TASKS));
    report.add(Figure::new("runc run in bursts", floor, "1/s").of("at once", TASKS));
    report.add(Figure::new("launches beside runc run, in bursts", ours / floor, "x"));
    Ok(())
}

/// Until the last of the containers wrote its first byte.
fn runc_burst(runc: &mut Runc) -> Result<Duration> {
    let workers = std::thread::available_parallelism()?.get();
    let mut numbers = runc.take_numbers(u32::try_from(TASKS)?);
    let numbers = Mutex::new(&mut numbers);
    let runc = &*runc;
    let began = Instant::now();
    let work = || -> Result<()> {
        // Taken out before the run: the workers go on side by side.
        let next = || numbers.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some(number) = next() {
            runc.run(number)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a worker panicked"))?)
    })?;
    Ok(began.elapsed())
}
