//! What is stored about a person, for that person or an operator: all of it as a file, and its removal.

use super::guard::Admitted;
use super::sessions::note;
use crate::answer::{Answer, OrInternal as _, file_stream, json_text};
use crate::body::fields;
use crate::context::Context;
use crate::erasures::{Begun, Erasures};
use crate::session_object;
use futures::stream::{self, StreamExt as _};
use platform::d1::{Database, Value};
use privacy::export;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{SessionId, UserId};
use serde_json::json;
use session::call::Call;
use worker::Env;

/// Everything about whoever asks.
pub(super) async fn export_self(context: &Context, admitted: &Admitted) -> Answer {
    export(context, &admitted.principal()?.user.id, &admitted.principal()?.user.id).await
}

/// Everything about somebody.
pub(super) async fn export_other(context: &Context, admitted: &Admitted, user: &UserId) -> Answer {
    if Erasures::new(&context.env)?.login(user).await?.is_none() {
        return Err(nobody());
    }
    export(context, user, &admitted.principal()?.user.id).await
}

/// Lines of JSON: what it is, the rows of the tables, what each session has, and last whether that is all.
async fn export(context: &Context, user: &UserId, by: &UserId) -> Answer {
    let database = Database::new(&context.env).or_internal("finding the database")?;
    let after = context.query("after").unwrap_or_default();
    let head = json!({ "export": { "user": user, "at": context.now.0, "deployment": context.home() } });
    let mut lines = format!("{head}\n");
    if after.is_empty() {
        for (table, query) in export::queries() {
            let rows = database.rows(query, &[Value::Text(user.as_str())]).await;
            for row in rows.or_unavailable("the database")? {
                lines.push_str(&format!("{{\"table\":\"{table}\",\"row\":{}}}\n", row.text(0)));
            }
        }
    }
    let values = [Value::Text(user.as_str()), Value::Text(&after), Value::Number(export::SESSIONS_MAX + 1)];
    let rows = database.rows(export::SESSIONS, &values).await.or_unavailable("the database")?;
    let mut sessions: Vec<SessionId> =
        rows.iter().filter_map(|row| SessionId::parse(&row.text(0)).ok()).collect();
    let most = usize::try_from(export::SESSIONS_MAX).unwrap_or(usize::MAX);
    let is_all = sessions.len() <= most;
    sessions.truncate(most);
    let end = json!({ "end": { "complete": is_all, "after": sessions.last().filter(|_| !is_all) } });
    note(context, by, "user.export", user.as_str()).await;

    let (env, user) = (context.env.clone(), user.clone());
    let file_name = format!("farhand-{user}.ndjson");
    let told = stream::iter(sessions).then(move |id| {
        let (env, user) = (env.clone(), user.clone());
        async move { session_lines(&env, &id, &user).await }
    });
    let whole = stream::iter([lines]).chain(told).chain(stream::iter([format!("{end}\n")]));
    file_stream("application/x-ndjson", &file_name, whole.map(|text| Ok(text.into_bytes())))
}

/// What a session has. One that is gone has nothing; one that does not answer is named, so that nobody takes the file for whole.
async fn session_lines(env: &Env, id: &SessionId, user: &UserId) -> String {
    let asked = async {
        let mut answer =
            session_object::get_with(env, id, Call::Export, ("user", user.as_str())).await.map_err(drop)?;
        let body = answer.bytes().await.map_err(drop)?;
        match answer.status_code() {
            200 => protocol::read_json::<Vec<(String, serde_json::Value)>>(&body).map_err(drop),
            404 => Ok(Vec::new()),
            _ => Err(()),
        }
    };
    match asked.await {
        Ok(rows) => rows
            .into_iter()
            .map(|(kind, row)| format!("{}\n", json!({ "sessionId": id, "kind": kind, "row": row })))
            .collect(),
        Err(()) => format!("{}\n", json!({ "sessionId": id, "problem": "it does not answer; export again" })),
    }
}

/// The latest removals.
pub(super) async fn list(context: &Context) -> Answer {
    json_text(200, format!("{{\"erasures\":[{}]}}", Erasures::new(&context.env)?.list().await?))
}

/// Removes whoever asks.
pub(super) async fn erase_self(context: &Context, admitted: &Admitted) -> Answer {
    let user = &admitted.principal()?.user;
    erase(context, admitted, &user.id, None).await?;
    context.clear_cookies();
    json_text(202, "{}".to_owned())
}

/// Removes somebody.
pub(super) async fn erase_other(context: &Context, admitted: &Admitted, user: &UserId) -> Answer {
    let by = &admitted.principal()?.user.id;
    erase(context, admitted, user, Some(by).filter(|by| *by != user)).await?;
    if by == user {
        context.clear_cookies();
    }
    json_text(202, format!("{{\"erasures\":[{}]}}", Erasures::new(&context.env)?.list().await?))
}

/// The body repeats the login, so that nobody is removed by a slip of the hand.
async fn erase(
    context: &Context,
    admitted: &Admitted,
    user: &UserId,
    by: Option<&UserId>,
) -> Result<(), ErrorBody> {
    let fields = fields(&admitted.body, &["login"])?;
    let said = fields.text("login")?;
    let erasures = Erasures::new(&context.env)?;
    let login = erasures.login(user).await?.ok_or_else(nobody)?;
    if !login.eq_ignore_ascii_case(said) {
        let message = "`login` must be that of the account, so that no other one is removed";
        return Err(ErrorBody::new(ErrorCode::BadRequest, message));
    }
    match erasures.begin(context, user, by).await? {
        Begun::Yes(removal) => {
            let actor = by.unwrap_or(removal.pseudonym());
            note(context, actor, "user.erase", removal.pseudonym().as_str()).await;
            // What fails here is done by the cron trigger.
            if let Err(error) = erasures.go_on(context, &removal).await {
                crate::answer::log("removing somebody", &error);
            }
            Ok(())
        }
        Begun::Already => Ok(()),
        Begun::Nobody => Err(nobody()),
        Begun::LastOperator => {
            let message = "nobody else who has signed in runs this deployment: name another operator in OPERATORS, \
                who signs in, first";
            Err(ErrorBody::new(ErrorCode::Forbidden, message))
        }
    }
}

fn nobody() -> ErrorBody {
    ErrorBody::new(ErrorCode::NotFound, "nobody of this id has signed in here")
}
