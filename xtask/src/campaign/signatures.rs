//! Signed requests with something changed: none may pass.
//!
//! A round: fifty thousand requests that are good but for one to three changes of any byte of any part, headers that are
//! left out, doubled or added, verified as the front door does.

use anyhow::Result;

use super::Course;

#[path = "../../../crates/identity/tests/forgery/mod.rs"]
#[allow(dead_code, reason = "the tests of the crate use the rest")]
mod forgery;

const FORGERIES: u64 = 50_000;

pub fn run(course: &mut Course) -> Result<()> {
    let good = forgery::good();
    for request in &good {
        if let Err(error) = request.verify_at(forgery::NOW_MS) {
            course.ledger.fault(format!("a good request was refused: {error}"));
        }
    }
    while course.ledger.goes_on()? {
        let threads = std::thread::available_parallelism()?.get();
        let mut randoms: Vec<_> = (0..threads).map(|_| course.random.split()).collect();
        let good = &good;
        let found = std::thread::scope(|scope| {
            let workers: Vec<_> = randoms
                .iter_mut()
                .map(|random| {
                    scope.spawn(move || {
                        let mut below = |end: usize| random.below(end as u64) as usize;
                        let (mut tried, mut passed) = (0, Vec::new());
                        while tried < FORGERIES / threads as u64 {
                            if let Some(request) = forgery::forged(good, &mut below) {
                                tried += 1;
                                if request.verify_at(forgery::NOW_MS).is_ok() {
                                    passed.push(request);
                                }
                            }
                        }
                        (tried, passed)
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
        });
        for each in found {
            let Ok((tried, passed)) = each else {
                course.ledger.fault("the verification panicked");
                continue;
            };
            course.ledger.count("forgeries", tried);
            for request in passed {
                course.ledger.fault(format!("passed: {request:?}"));
            }
        }
    }
    Ok(())
}
