//! Seeds of the simulator as tests: those that failed once, a thousand that are always the same, and two hundred fresh ones.

use simulation::{Fault, MILESTONES, Mutant, Order, Tally, parse_seeds, run, shorten};

/// Seeds that run on every machine at every time.
const FIXED: std::ops::Range<u64> = 0..1000;
/// Seeds that nobody has seen before.
const FRESH: u64 = 200;

fn check(seeds: impl Iterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        tally.add(seed, run(&Order { seed, ..Order::default() }));
    }
    assert!(tally.failing.is_empty(), "replay with `simulate --seed N --trace`: {:#?}", tally.failing);
    tally
}

#[test]
fn what_failed_once_holds() {
    check(parse_seeds(include_str!("../seeds.txt")).unwrap().into_iter());
}

#[test]
fn the_first_half_of_the_fixed_seeds_holds_and_reaches_everything() {
    let tally = check(FIXED.filter(|seed| seed % 2 == 0));
    let names = MILESTONES.iter().copied().chain(Fault::ALL.iter().map(|fault| fault.name()));
    let missed: Vec<_> = names.filter(|name| !tally.seen.contains_key(name)).collect();
    assert!(missed.is_empty(), "no seed reaches {missed:?}");
}

#[test]
fn the_other_half_of_the_fixed_seeds_holds() {
    check(FIXED.filter(|seed| seed % 2 == 1));
}

#[test]
fn fresh_seeds_hold() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    // Far from the fixed ones, and different at each run.
    let first = 1_000_000_000 + now.as_millis() as u64 * 1000;
    println!("fresh seeds from {first}");
    check(first..first + FRESH);
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    let order = Order { seed: 7, is_traced: true, ..Order::default() };
    let first = run(&order);
    assert!(!first.trace.is_empty());
    assert_eq!(first, run(&order));
}

#[test]
fn every_missing_safeguard_is_noticed() {
    for (mutant, name) in Mutant::ALL {
        let failing = (0..100).find(|seed| {
            run(&Order { seed: *seed, mutant: Some(mutant), ..Order::default() }).violation.is_some()
        });
        println!("{name}: seed {failing:?}");
        assert!(failing.is_some(), "a session without this safeguard passes: {name}");
    }
}

#[test]
fn a_failing_seed_is_made_smaller_and_still_fails() {
    let mutant = Some(Mutant::NoPromptDedupe);
    let fails = |order: &Order| run(order).violation.is_some();
    let order = (0..100).map(|seed| Order { seed, mutant, ..Order::default() }).find(fails).unwrap();
    let shortest = shorten(&order);
    assert!(fails(&shortest));
    assert!(shortest.without.len() > Fault::ALL.len() / 2, "{:?}", shortest.without);
}
