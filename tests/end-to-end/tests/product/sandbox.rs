//! What an agent in the sandbox can see and reach.

use crate::{scripted, session};
use anyhow::ensure;
use protocol::timeline::TurnOutcome;

/// Matches the canary, but not itself, where the prompt is kept.
fn pattern(canary: &str) -> String {
    let mut letters = canary.chars();
    let first = letters.next().unwrap_or_default();
    format!("[{first}]{}", letters.as_str())
}

#[tokio::test]
async fn no_credential_is_anywhere_inside() -> anyhow::Result<()> {
    let stack = scripted("canary").await?;
    let ada = stack.sign_in("ada").await?;
    let canaries = stack.canaries();
    ensure!(canaries.len() >= 5, "nothing to look for");
    let patterns: Vec<String> = canaries.iter().map(|canary| format!("-e '{}'", pattern(canary))).collect();
    let patterns = patterns.join(" ");
    let script = [
        format!("run env | grep -cE {patterns}"),
        format!("run cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -cE {patterns}"),
        format!("run git config --list --show-origin | grep -cE {patterns}"),
        // All of the private root but the binaries of the host, which the sandbox cannot write.
        format!(
            "run find / /workspace /home /run /tmp -xdev -type f -not -path '/usr/*' -not -path '/opt/*' -not -path '/dev/*' -print0 2>/dev/null | xargs -0 grep -alsE {patterns} 2>/dev/null | wc -l"
        ),
    ]
    .join("\n");
    let (_, mut observer) = session(&ada, &script).await?;
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    assert_eq!(
        observer.output().split_whitespace().collect::<Vec<_>>(),
        ["0"; 4],
        "{:?}",
        observer.view.items
    );

    let seen = format!("{:?}", observer.view);
    for canary in &canaries {
        ensure!(!seen.contains(canary.as_str()), "a credential is in the timeline");
    }
    Ok(())
}

#[tokio::test]
async fn the_host_and_the_network_are_out_of_reach() -> anyhow::Result<()> {
    let stack = scripted("jail").await?;
    let secret = stack.directory().join("host-secret.txt");
    std::fs::write(&secret, "host canary 4711")?;
    let ada = stack.sign_in("ada").await?;
    let port = stack.url().rsplit(':').next().unwrap_or_default().to_owned();
    let script = [
        format!("run cat {} 2>/dev/null || echo no-file", secret.display()),
        "run cat /etc/shadow 2>/dev/null || echo no-shadow".to_owned(),
        "run ls /root /home/agent/.ssh 2>/dev/null; test -w /usr || echo usr-read-only".to_owned(),
        format!("run bash -c 'echo > /dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo reached || echo no-loopback"),
        "run bash -c 'echo > /dev/tcp/1.1.1.1/443' 2>/dev/null && echo reached || echo no-network; bash -c 'echo > /dev/tcp/127.0.0.1/3128' && echo gateway-there".to_owned(),
        "run id -u; ps -e 2>/dev/null | grep -c workerd".to_owned(),
    ]
    .join("\n");
    let (_, mut observer) = session(&ada, &script).await?;
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    let output = observer.output();
    for expected in ["no-file", "no-shadow", "usr-read-only", "no-loopback", "no-network", "gateway-there"] {
        ensure!(output.contains(expected), "{expected} is missing in:\n{output}");
    }
    ensure!(!output.contains("4711") && !output.contains("reached"), "{output}");
    Ok(())
}
