//! Golden vectors of what agents make and look at: as the runner says it, and as the timeline tells it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod golden;

use golden::check;
use protocol::attachment::TEXT_TYPE;
use protocol::id::{ArtifactId, ItemId, TurnId};
use protocol::runner::RunnerEvent;
use protocol::time::Timestamp;
use protocol::timeline::{Artifact, ArtifactContent, Extent, SessionEvent};

fn artifact_id(name: &str) -> ArtifactId {
    ArtifactId::parse(&format!("art_{name}")).unwrap()
}

#[test]
fn every_message_is_decoded_as_before() {
    let turn_id = TurnId::parse("trn_1").unwrap();
    let item_id = Some(ItemId::parse("itm_1").unwrap());
    let made = |item_id, name: &str, data: &str| RunnerEvent::FileMade {
        turn_id: turn_id.clone(),
        item_id,
        name: name.into(),
        data: data.into(),
    };
    check(
        "runner_files",
        &vec![made(item_id.clone(), "cart.png", "iVBORw0KGgo="), made(None, "report.md", "IyBEb25l")],
    );
    let changed = |id: &str, content| SessionEvent::ArtifactChanged {
        artifact: Artifact {
            id: artifact_id(id),
            turn_id: turn_id.clone(),
            changed_at: Timestamp(1_795_000_000_000),
            content,
        },
    };
    let picture = ArtifactContent::File {
        name: "cart.png".into(),
        item_id,
        content_id: artifact_id("2"),
        media_type: "image/png".into(),
        bytes: 8,
        extent: Some(Extent { width: 640, height: 480 }),
    };
    let text = ArtifactContent::File {
        name: "report.md".into(),
        item_id: None,
        content_id: artifact_id("4"),
        media_type: TEXT_TYPE.into(),
        bytes: 6,
        extent: None,
    };
    check("files", &vec![changed("1", picture), changed("3", text)]);
}
