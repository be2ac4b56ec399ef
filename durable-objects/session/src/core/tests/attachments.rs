//! What goes along with prompts: what is taken, what is refused and with which words, and that a prompt's identity covers it.

use super::*;
use crate::core::{Served, serve_attachment};
use protocol::attachment::{Attachment, Picture};
use protocol::error::ErrorCode;
use protocol::limit::ATTACHMENTS_BYTES_MAX;
use protocol::timeline::{AttachmentKind, PromptAttachment};

/// The first bytes of a WebP, and nothing of a picture.
const WEBP: &str = "UklGRgAAAABXRUJQVlA4IA==";

pub(crate) fn picture() -> Picture {
    Picture { media_type: "image/webp".into(), data: WEBP.into(), width: 4, height: 3 }
}

pub(crate) fn capture(text: &str) -> Attachment {
    let text = serde_json::to_string(text).unwrap();
    let json = format!(
        r#"{{"type":"capture","outline":"told by the client","capture":{{"version":1,"page":{{"url":"https://jo:x@shop.example/a?token=1",
        "title":"Shop","width":9,"height":9,"pixelRatio":1}},"selection":[0,0,9,9],"components":["Cart"],"nodes":[{{"tag":"p","text":{text}}}]}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn file(name: &str, text: &str) -> Attachment {
    Attachment::Text { name: name.into(), text: text.into() }
}

pub(crate) fn with(number: usize, attachments: Vec<Attachment>) -> PromptRequest {
    PromptRequest { attachments, ..request(number, "Look at this") }
}

fn submit(rig: &mut Rig, request: PromptRequest) -> Vec<Effect> {
    rig.apply(Input::PromptSubmitted { author: user("ada"), prompt: request })
}

fn refusal(effects: &[Effect]) -> (ErrorCode, String) {
    match effects {
        [Effect::Reply(Reply::Refused(error))] => (error.code, error.message.clone()),
        other => panic!("not refused, or not that alone: {other:?}"),
    }
}

fn told(effects: &[Effect]) -> Vec<PromptAttachment> {
    let queued = effects.iter().find_map(|effect| match effect {
        Effect::Record { event: SessionEvent::PromptQueued { prompt }, .. } => {
            Some(prompt.attachments.clone())
        }
        _ => None,
    });
    queued.unwrap()
}

fn kept(effects: &[Effect]) -> Vec<Attachment> {
    let saved = effects.iter().find_map(|effect| match effect {
        Effect::SaveAttachments { attachments, .. } => Some(attachments),
        _ => None,
    });
    saved.unwrap().iter().map(|attachment| serde_json::from_str(&attachment.content).unwrap()).collect()
}

#[test]
fn the_timeline_tells_of_attachments_and_the_contents_are_kept_beside_it() {
    let mut rig = Rig::running();
    let image = Attachment::Image { name: "a\u{202e}`b.webp\n".into(), picture: picture() };
    let effects = submit(&mut rig, with(5, vec![capture("mail jo@example.com"), image, file("", "one\n")]));
    let [page, image, file] = told(&effects).try_into().unwrap();
    assert_eq!((page.kind, page.name.as_str(), page.elements), (AttachmentKind::Capture, "Cart", Some(1)));
    assert_eq!(page.page_url.as_deref(), Some("https://shop.example/a?token=…"));
    assert!(page.text_id.is_some() && page.picture.is_none());
    assert_eq!((image.kind, image.name.as_str(), &image.text_id), (AttachmentKind::Image, "a'b.webp", &None));
    let facts = image.picture.unwrap();
    assert_eq!((facts.media_type.as_str(), facts.width, facts.height, facts.bytes), ("image/webp", 4, 3, 16));
    assert_eq!((file.kind, file.name.as_str(), file.bytes), (AttachmentKind::Text, "text", 4));

    let [page, image, file] = kept(&effects).try_into().unwrap();
    let json = serde_json::to_string(&page).unwrap();
    assert!(json.contains("[email]") && !json.contains("jo@") && !json.contains("told by"), "{json}");
    let Some(Served::Text(outline)) = serve_attachment(page.clone(), false) else { panic!() };
    assert!(outline.ends_with("inside: <Cart>\n\np : mail [email]"), "{outline}");
    assert_eq!(serve_attachment(page, true), None);
    let Some(Served::Picture { media_type, bytes }) = serve_attachment(image, true) else { panic!() };
    assert_eq!((media_type.as_str(), bytes.len()), ("image/webp", 16));
    assert_eq!(serve_attachment(file, false), Some(Served::Text("one\n".into())));
}

#[test]
fn what_is_not_what_it_claims_to_be_is_refused_with_its_place() {
    let image = |media_type: &str, data: &str| Attachment::Image {
        name: "a".into(),
        picture: Picture { media_type: media_type.into(), data: data.into(), ..picture() },
    };
    let broken: Attachment = serde_json::from_str(r#"{"type":"capture","capture":{"version":2}}"#).unwrap();
    for (attachment, why) in [
        (broken, "not of version 1; update the extension"),
        (image("image/png", WEBP), "is not image/png"),
        (image("image/webp", "PHN2Zz48L3N2Zz4="), "is not image/webp"),
        (image("image/webp", "UklGRgAAAABXRUJQVlA4IA"), "not base64"),
        (image("image/webp", "UklGR gAAAABXRUJQVlA4IA=="), "not base64"),
        (image("image/webp", ""), "is not image/webp"),
        (file("a", ""), "it is empty"),
        (file("a", "a\0b"), "no text"),
    ] {
        let mut rig = Rig::running();
        let (code, message) = refusal(&submit(&mut rig, with(5, vec![file("ok", "ok"), attachment])));
        assert_eq!(code, ErrorCode::BadRequest);
        assert!(
            message.starts_with("attachment 2 of the prompt is refused: ") && message.contains(why),
            "{message}"
        );
    }
}

#[test]
fn more_than_fits_is_refused() {
    let mut rig = Rig::running();
    let files = |count: usize, text: &str| vec![file("a", text); count];
    for (attachments, why) in [
        (files(6, "x"), "at most 5 attachments"),
        (vec![capture("x"); 4], "at most 3 captures"),
        (files(3, &"x".repeat(ATTACHMENTS_BYTES_MAX / 3)), "at most 184320 are accepted"),
    ] {
        let (code, message) = refusal(&submit(&mut rig, with(5, attachments)));
        assert_eq!(code, ErrorCode::TooLarge);
        assert!(message.contains(why), "{message}");
    }
    let effects = submit(&mut rig, with(5, files(5, &"x".repeat(ATTACHMENTS_BYTES_MAX / 5 - 60))));
    assert_eq!(told(&effects).len(), 5);
}

#[test]
fn the_same_id_with_other_attachments_is_a_conflict() {
    let mut rig = Rig::running();
    let first = submit(&mut rig, with(5, vec![capture("blue"), file("a", "one")]));
    let accepted = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::Reply(Reply::PromptAccepted { .. })))
    };
    assert!(accepted(&first));
    let again = submit(&mut rig, with(5, vec![capture("blue"), file("a", "one")]));
    assert!(accepted(&again) && again.len() == 1, "a repeat changes nothing");
    for other in [
        vec![],
        vec![capture("blue")],
        vec![capture("red"), file("a", "one")],
        vec![file("a", "one"), capture("blue")],
    ] {
        assert_eq!(refusal(&submit(&mut rig, with(5, other))).0, ErrorCode::IdConflict);
    }
}

#[test]
fn the_first_prompt_of_a_session_takes_them_too() {
    let context =
        Context { now: Timestamp(1), random: [1; 16], models: &models(), timing: Timing::default() };
    let (_, effects) = Session::create(new_session(Some(with(1, vec![capture("x")]))), context).unwrap();
    assert_eq!(kept(&effects).len(), 1);
    let broken = new_session(Some(with(1, vec![file("a", "")])));
    assert_eq!(Session::create(broken, context).unwrap_err().code, ErrorCode::BadRequest);
}
