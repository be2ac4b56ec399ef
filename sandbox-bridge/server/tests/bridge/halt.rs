//! The kill switch: every sandbox ends, whoever it belongs to, and who it belonged to hears why.

use crate::support::{Stack, order, sandbox_id};
use protocol::budget::{HaltRequest, Halted};
use std::time::Instant;

const SANDBOXES: usize = 24;

#[tokio::test]
async fn a_halt_ends_every_sandbox_and_tells_each_session() {
    let stack = Stack::start().await;
    let mut ids = Vec::new();
    for number in 1..=SANDBOXES {
        ids.push(stack.create(&order(&number.to_string(), 1)).await);
    }
    let _runner = stack.dial(&ids[0]).await;
    let asked = Instant::now();
    let request = HaltRequest { reason: "A key leaked".to_owned() };
    let halted: Halted = stack.put("/halted", &request).await.unwrap();
    println!("{SANDBOXES} sandboxes ended in {} ms", asked.elapsed().as_millis());
    assert_eq!(halted, Halted { ended: u32::try_from(SANDBOXES).unwrap(), left: 0 });
    assert!(stack.bridge.provider().list_ids().is_empty());
    stack.edge.until("word of every end", |session| session.ended.len() == SANDBOXES).await;
    stack.edge.read(|session| {
        for ended in &session.ended {
            assert!(ended.halted && ended.reason == "A key leaked" && ended.generation == 1);
            assert!(ids.contains(&ended.sandbox_id));
        }
    });
    // Again there is nothing to end, and what comes late is not made.
    let again: Halted = stack.put("/halted", &request).await.unwrap();
    assert_eq!(again, Halted { ended: 0, left: 0 });
    let late = format!("/sandboxes/{}", sandbox_id("2-1"));
    assert!(stack.put::<serde_json::Value>(&late, &order("2", 1)).await.is_err());
}
