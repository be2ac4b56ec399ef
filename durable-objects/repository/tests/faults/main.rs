//! A repository, its bridge and its sessions, in virtual time and with faults: requests and answers are lost, doubled and late, the
//! object is evicted, the bridge is killed anywhere. Afterwards ledger and provider agree again, nothing leaks, and no sandbox has two
//! owners. `FARHAND_SEED` plays one seed again.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::large_enum_variant,
    reason = "a world of few that knows all of them"
)]

mod cloud;
mod random;
mod world;

use random::Random;
use world::World;

const SEEDS: u64 = 50;
const MINUTE: u64 = 60_000;

fn play(seed: u64) -> (usize, usize) {
    let mut world = World::new(Random::new(seed));
    world.run(150 * MINUTE);
    world.heal();
    world.run(7 * MINUTE);
    world.check_agreement(&format!("seed {seed}: within one period of the inventory"));
    world.run(18 * MINUTE);
    world.check_rest(&format!("seed {seed}: at rest"));
    (world.owners(), world.kills)
}

#[test]
fn after_any_fault_ledger_and_provider_agree_again_and_nobody_shares_a_sandbox() {
    if let Ok(seed) = std::env::var("FARHAND_SEED") {
        play(seed.parse().expect("FARHAND_SEED is a number"));
        return;
    }
    let (mut owners, mut kills) = (0, 0);
    for seed in 0..SEEDS {
        let (had, killed) = play(seed);
        owners += had;
        kills += killed;
    }
    assert!(owners > 200, "claims happened: {owners}");
    assert!(kills > 80, "bridges were killed: {kills}");
}
