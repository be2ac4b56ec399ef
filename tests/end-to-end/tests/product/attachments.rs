//! What goes along with a prompt, from a client to the agent.

use crate::{Observer, scripted};
use anyhow::{Context, ensure};
use protocol::attachment::Attachment;
use protocol::timeline::TurnOutcome;
use stack::Client;

#[tokio::test]
async fn a_selection_reaches_the_agent_with_places_of_the_repository() -> anyhow::Result<()> {
    let stack = scripted("attachments").await?;
    let ada = stack.sign_in("ada").await?;
    let capture = r#"{"type":"capture","capture":{"version":1,"page":{"url":"https://shop.example/?token=abc","title":"Shop",
        "width":9,"height":9,"pixelRatio":1},"selection":[0,0,9,9],"components":["Checkout"],
        "nodes":[{"tag":"b","text":"mail jo@example.com","source":"home/build/shop/src/checkout.sh:7:3"}]}}"#;
    let log = Attachment::Text { name: "build.log".into(), text: "error: no".into() };
    let mut prompt = Client::prompt("attachments");
    prompt.attachments = vec![serde_json::from_str(capture)?, log];
    let session = ada.create_session("acme/shop", Some(prompt)).await?;
    let mut observer = Observer::join(&ada, &session).await?;
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    let told = observer.text();
    for part in [
        "page: https://shop.example/?token=…",
        "b : mail [email] @src/checkout.sh:7:3",
        "Places after `@` are files of this repository",
        "Attached file `build.log`. What is between the marks is its content:\n```text\nerror: no\n```",
    ] {
        ensure!(told.contains(part), "{part:?} did not reach the agent: {told}");
    }
    let prompt = observer.view.prompts.first().context("no prompt")?;
    let [page, file] = prompt.attachments.as_slice() else { anyhow::bail!("{:?}", prompt.attachments) };
    ensure!((page.name.as_str(), page.elements) == ("Checkout", Some(1)), "{page:?}");
    let outline = ada.artifact(&session, page.text_id.as_ref().context("no outline")?).await?;
    ensure!(outline.contains("inside: <Checkout>\n\nb : mail [email] @home/build/shop"), "{outline}");
    let text = ada.artifact(&session, file.text_id.as_ref().context("no text")?).await?;
    ensure!(text == "error: no", "{text}");
    Ok(())
}
