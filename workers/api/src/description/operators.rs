//! What operators do, and metrics.

use super::operation::{JSON, Operation, count, object, operation, text, word};
use super::people::exported;
use super::schemas::{EXACT_MAX, Schemas};
use protocol::account::{AuditPage, ErasureList, IntegrationList, PeopleList};
use protocol::budget::{BudgetRequest, Budgets, HaltAnswer, HaltRequest};
use protocol::error::ErrorCode;
use protocol::metrics::Metrics;
use protocol::status::DeploymentStatus;
use serde_json::json;

/// Metrics, for people and for scrapers.
pub(super) fn metrics() -> Vec<Operation> {
    let text_of = || json!({ "type": "string" });
    vec![
        operation("GET", "/api/metrics", "metrics", "How much the deployment is used, what came of it, and what it cost.")
            .about("About the repositories that the user sees; operators see everything. `definitions` says what each figure means.")
            .query("from", "First day or moment: `2026-11-01`, `2026-11-01T00:00:00Z`; four weeks before `to` where absent.", text_of())
            .query("to", "First day or moment that does not count; now where absent.", text_of())
            .query("step", "How long the parts of the period are.", word(&["day", "week", "month"]))
            .query("zone", "Time zone of days, such as `Europe/Berlin`; UTC where absent.", text_of())
            .query("repository", "Of this one only.", text_of())
            .query("format", "`json` where absent.", word(&["json", "csv"]))
            .query(
                "table",
                "With `csv`: which; `series` where absent.",
                word(&["adoption", "series", "repositories", "people", "starts", "images", "live"]),
            )
            .answers_as(200, "All of it, or the one table.", JSON, Schemas::answered::<Metrics>)
            .answers_as(200, "", "text/csv", |_| text("A line for each row."))
            .refuses(&[ErrorCode::BadRequest, ErrorCode::Forbidden, ErrorCode::RepositoryUnknown]),
        operation("GET", "/metrics", "exposition", "The deployment's own figures, for Prometheus and its kin.")
            .about("A browser that asks for `text/html` gets the page of metrics.")
            .answers_as(200, "In OpenMetrics.", "application/openmetrics-text", |_| text("OpenMetrics 1.0."))
            .answers_as(200, "", "text/html", |_| text("A document.")),
    ]
}

/// All of the others.
pub(super) fn operations() -> Vec<Operation> {
    let removal = object([
        ("login", text("Of the user at the code host.")),
        (
            "removed",
            json!({ "type": "boolean", "description": "Whether the user is to be removed, or may come back." }),
        ),
    ]);
    vec![
        operation("GET", "/api/operator/audit", "audit", "What was done by whom, newest first.")
            .query(
                "before",
                "`id` of the last entry on the page before.",
                json!({ "type": "integer", "minimum": 0, "maximum": EXACT_MAX }),
            )
            .answers::<AuditPage>(200, "A page of it.")
            .refuses(&[ErrorCode::BadRequest]),
        operation("GET", "/api/operator/people", "listPeople", "Everybody who was ever let in.")
            .answers::<PeopleList>(200, "Those who were here last first."),
        exported(operation(
            "GET",
            "/api/operator/people/{user_id}/export",
            "exportUser",
            "Everything that is stored about somebody.",
        ))
        .refuses(&[ErrorCode::NotFound]),
        operation("POST", "/api/operator/people/{user_id}/erasure", "eraseUser", "Removes somebody with everything that is theirs.")
            .about("It goes on by itself and cannot be undone. Sessions of others keep what was written, in nobody's name.")
            .takes_as(JSON, |_| object([("login", text("Of that user, so that it is nobody else."))]))
            .example(json!({ "login": "linus" }))
            .answers::<ErasureList>(202, "It has begun, or had before.")
            .refuses(&[ErrorCode::NotFound, ErrorCode::Forbidden]),
        operation("GET", "/api/operator/erasures", "listErasures", "Who is being removed, and who was.")
            .answers::<ErasureList>(200, "Those under way first."),
        operation("GET", "/api/operator/checks", "checks", "Tries what the deployment works with.")
            .answers::<IntegrationList>(200, "Each integration, whether it works, and what to do."),
        operation("GET", "/api/operator/status", "status", "How the deployment is at this moment.")
            .answers::<DeploymentStatus>(200, "Replicas, sessions that work, and repositories; who does not answer is counted."),
        operation("GET", "/api/operator/budgets", "listBudgets", "Every budget with what is spent of it, and the halt in force.")
            .answers::<Budgets>(200, "All of them."),
        operation("PUT", "/api/operator/budgets", "setBudget", "Sets a budget, or removes it where no limit is named.")
            .about("`sessionsMax` and `sandboxesMax` limit how many work at once; prompts beyond them wait. A session has neither.")
            .takes::<BudgetRequest>()
            .example(json!({ "scope": "organisation", "subject": "", "period": "month", "moneyMicroDollars": 500_000_000 }))
            .answers::<Budgets>(200, "All of them, as they are now. Sessions that the change concerns ask anew.")
            .refuses(&[ErrorCode::BadRequest]),
        operation("POST", "/api/operator/halt", "halt", "Stops everything: every sandbox ends, and no turn begins.")
            .about("Prompts wait as if they had not begun. People read the reason in their sessions.")
            .takes::<HaltRequest>()
            .example(json!({ "reason": "a key leaked" }))
            .answers::<HaltAnswer>(200, "How many sandboxes were ended, and what could not be.")
            .refuses(&[ErrorCode::BadRequest]),
        operation("DELETE", "/api/operator/halt", "liftHalt", "Lets prompts go on.")
            .answers::<Budgets>(200, "It is so."),
        operation("POST", "/api/operator/removals", "removeUser", "Removes a user, or lets it come back.")
            .takes_as(JSON, move |_| removal.clone())
            .example(json!({ "login": "linus", "removed": true }))
            .answers_done(200, "It is so. What a removed user had open is closed.")
            .refuses(&[ErrorCode::NotFound]),
        operation(
            "POST",
            "/api/operator/rewrap",
            "rewrapTokens",
            "Wraps sealed tokens anew after the key ring has changed.",
        )
        .about("Fifty at a time: repeat until `left` is 0.")
        .answers_object(
            200,
            "What was done.",
            [
                ("rewrapped", count("Wrapped anew.")),
                ("unreadable", count("By no key of the ring.")),
                ("left", count("Still to be done.")),
            ],
        ),
        operation(
            "GET",
            "/api/operator/slack-manifest",
            "slackManifest",
            "The manifest of the Slack app for this deployment.",
        )
        .answers_as(200, "To be pasted at Slack.", JSON, |_| json!({ "type": "object" })),
    ]
}
