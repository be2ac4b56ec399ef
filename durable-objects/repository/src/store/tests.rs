//! The outbox over a database in memory: what is read of it, and in which order.

use super::Store;
use crate::core::Work;
use platform::memory::MemorySql;
use protocol::id::{BuildId, ImageId, SandboxId};
use protocol::time::Timestamp;

#[test]
fn what_somebody_waits_for_is_before_any_number_of_removals() {
    let store = Store::new(MemorySql::open().unwrap());
    store.migrate(Timestamp(1)).unwrap();
    let sandbox = |index: u16| {
        let [high, low] = index.to_be_bytes();
        SandboxId::from_random([high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    };
    for index in 0..500 {
        store.enqueue(&Work::Discard(sandbox(index)), Timestamp(10)).unwrap();
    }
    let removals =
        [Work::CancelBuild(BuildId::from_random([1; 16])), Work::DeleteImage(ImageId::from_random([2; 16]))];
    let others =
        [Work::Fill(sandbox(1000)), Work::StartBuild(BuildId::from_random([3; 16])), Work::TakeInventory];
    for (index, work) in others.iter().chain(&removals).enumerate() {
        store.enqueue(work, Timestamp(20 + index as u64)).unwrap();
    }
    let due = store.load_due(Timestamp(30)).unwrap();
    let works: Vec<Work> = due.iter().filter_map(|row| Work::parse(&row.key)).collect();
    assert_eq!(works[..3], others);
    assert!(works.len() < 30 && works[3..].iter().all(Work::is_removal));
    let schedule = store.load_schedule().unwrap();
    assert_eq!(schedule.iter().map(|(_, at)| at.0).take(4).collect::<Vec<_>>(), [20, 21, 22, 10]);
    for work in others.iter().chain(&removals) {
        store.withdraw(work).unwrap();
    }
    assert!(store.load_schedule().unwrap().iter().all(|(key, _)| key.starts_with("discard/")));
}
