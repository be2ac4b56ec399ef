//! The map beside the standard library's, through long rows of random changes.

use super::{Map, RUN_MAX};
use std::collections::BTreeMap;

/// Numbers that are the same in every run (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn check<K: Ord + Clone + std::fmt::Debug>(map: &Map<K, u64>, model: &BTreeMap<K, u64>) {
    assert!(map.iter().eq(model.iter()));
    assert!(map.values().eq(model.values()));
    assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
    assert_eq!(map.first(), model.first_key_value());
    assert!(map.runs.iter().all(|run| !run.is_empty() && run.len() < RUN_MAX));
    assert_eq!(format!("{map:?}"), format!("{model:?}"));
}

#[test]
fn it_answers_as_a_tree_does() {
    for seed in 1..=6 {
        let mut random = Random(seed);
        let (mut map, mut model) = (Map::new(), BTreeMap::new());
        // Few keys meet each other often, many fill several runs.
        let keys = [4, 60, 400, 2_000, 5_000, 20_000][usize::try_from(seed).unwrap() - 1];
        for round in 0..6_000 {
            let key = format!("key {}", random.below(keys));
            match random.below(9) {
                0..4 => assert_eq!(map.insert(key.clone(), round), model.insert(key, round)),
                4..6 => assert_eq!(map.remove(key.as_str()), model.remove(key.as_str())),
                6 => {
                    map.change(key.clone(), 7, |value| *value += round);
                    *model.entry(key).or_insert(7) += round;
                }
                7 => assert_eq!(map.get(key.as_str()), model.get(key.as_str())),
                _ => {
                    assert_eq!(map.contains_key(key.as_str()), model.contains_key(key.as_str()));
                    let value = map.get_mut(key.as_str());
                    assert_eq!(value, model.get_mut(key.as_str()));
                    for value in [value, model.get_mut(key.as_str())].into_iter().flatten() {
                        *value += 1;
                    }
                }
            }
            if round % 500 == 0 {
                check(&map, &model);
            }
        }
        check(&map, &model);
        for keep in [3, 40, 1] {
            map.retain(|_, value| *value % keep != 1);
            model.retain(|_, value| *value % keep != 1);
            check(&map, &model);
        }
        map.values_mut().chain(model.values_mut()).for_each(|value| *value += 1);
        map.iter_mut().chain(model.iter_mut()).for_each(|(key, value)| *value += key.len() as u64);
        check(&map, &model);
        map.clear();
        check(&map, &BTreeMap::new());
    }
}

#[test]
fn keys_in_order_fill_their_runs() {
    let mut map = Map::new();
    for key in 0..10 * RUN_MAX as u64 {
        map.insert(key, key);
    }
    assert_eq!(map.runs.len(), (10 * RUN_MAX).div_ceil(RUN_MAX - 1));
    while let Some((&key, _)) = map.first() {
        assert_eq!(map.remove(&key), Some(key));
    }
    assert!(map.runs.is_empty());
}

#[test]
fn the_way_to_the_same_entries_does_not_count() {
    let mut forwards = Map::new();
    let mut backwards = Map::new();
    for key in 0..1_000_u64 {
        forwards.insert(key, key);
        backwards.insert(999 - key, 999 - key);
    }
    assert_eq!(forwards, backwards);
    backwards.insert(500, 0);
    assert_ne!(forwards, backwards);
}
