//! The spool on a real disk: numbering, acknowledgement, restart, damage, back pressure.

use super::*;

fn step(text: &str) -> RunnerEvent {
    RunnerEvent::SetupStep { step: text.to_owned() }
}

fn steps(spool: &Spool, from: Seq) -> Vec<(Seq, RunnerEvent)> {
    let records = spool.read(from, 1000, usize::MAX);
    records
        .iter()
        .map(|json| serde_json::from_str::<RunnerEventRecord>(json).unwrap())
        .map(|record| (record.seq, record.event))
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn events_survive_a_restart_until_they_are_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    assert_eq!(spool.next_seq(), 1);
    spool.append(step("a")).await;
    spool.append(step("b")).await;
    drop(spool);

    let spool = Spool::open(folder.path()).unwrap();
    assert_eq!(steps(&spool, 1), [(1, step("a")), (2, step("b"))]);
    assert_eq!(spool.resume(2).unwrap(), 2);
    assert!(!spool.is_drained());
    spool.ack(2).unwrap();
    assert!(spool.is_drained());
    drop(spool);

    let spool = Spool::open(folder.path()).unwrap();
    assert_eq!(spool.next_seq(), 3, "an acknowledged event's number is not used again");
}

#[tokio::test]
async fn whole_files_go_when_they_are_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let long = "x".repeat(300_000);
    for _ in 0..12 {
        spool.append(step(&long)).await;
    }
    assert_eq!(files(folder.path()).len(), 3);
    spool.ack(11).unwrap();
    assert_eq!(files(folder.path()).len(), 1);
    assert_eq!(steps(&spool, 12), [(12, step(&long))]);
}

#[tokio::test]
async fn a_batch_is_bounded_but_never_empty() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    for _ in 0..5 {
        spool.append(step(&"x".repeat(1000))).await;
    }
    assert_eq!(spool.read(1, 50, 2500).len(), 2);
    assert_eq!(spool.read(1, 3, usize::MAX).len(), 3);
    assert_eq!(spool.read(5, 50, 10).len(), 1);
    assert_eq!(spool.read(6, 50, usize::MAX).len(), 0);
}

#[tokio::test]
async fn a_full_spool_holds_producers_back_until_an_acknowledgement() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open_limited(folder.path(), 2 * SEGMENT_BYTES).unwrap();
    let long = "x".repeat(900_000);
    while spool.files().bytes() <= 2 * SEGMENT_BYTES {
        spool.append(step(&long)).await;
    }
    let mut waiting = std::pin::pin!(spool.append(step("late")));
    assert!(futures::poll!(&mut waiting).is_pending());
    spool.ack(spool.next_seq() - 1).unwrap();
    assert!(futures::poll!(&mut waiting).is_ready());
}

#[tokio::test]
async fn a_damaged_event_keeps_its_number_and_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    for text in ["a", "b", "c"] {
        spool.append(step(text)).await;
    }
    drop(spool);
    let [path] = files(folder.path()).try_into().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();

    let spool = Spool::open(folder.path()).unwrap();
    assert!(spool.is_damaged());
    assert_eq!(spool.next_seq(), 4);
    let turn_id = TurnId::parse("trn_1").unwrap();
    spool.set_last_turn(turn_id.clone());
    let events = steps(&spool, 1);
    assert_eq!(events[0], (1, step("a")));
    assert_eq!(events[2], (3, step("c")));
    let (2, RunnerEvent::ItemChanged { item }) = &events[1] else { panic!("{:?}", events[1]) };
    assert_eq!(item.turn_id, turn_id);
    assert!(matches!(&item.content, ItemContent::Notice { level: NoticeLevel::Error, .. }));
}

#[tokio::test]
async fn numbers_that_the_session_has_already_are_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    spool.append(step("a")).await;
    assert_eq!(spool.resume(10).unwrap(), 10);
    spool.append(step("b")).await;
    assert_eq!(steps(&spool, 10), [(10, step("b"))]);
    drop(spool);
    assert_eq!(Spool::open(folder.path()).unwrap().next_seq(), 11);
}
