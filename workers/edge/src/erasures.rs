//! The removal of people: the tables of `migrations/d1/0011_erasures.sql`, and the work itself, as `privacy::erasure` orders it.
//!
//! A request begins it and does what it can; the cron trigger goes on. Everything here may be cut anywhere and be done again, also by two at
//! the same time.

use crate::answer::{OrInternal as _, log};
use crate::context::{Context, random};
use crate::session_object;
use crate::standing::end_access;
use futures::future::join_all;
use platform::d1::{Database, Row, Value};
use platform::vault::store::Vault;
use privacy::erasure::{self, Next, Progress, ROUNDS_MAX, SESSIONS_AT_ONCE};
use protocol::account::PSEUDONYM_PREFIX;
use protocol::error::ErrorBody;
use protocol::id::{SessionId, UserId};
use session::call::{Call, EraseCall, Erased};
use worker::Env;

/// Who is removed and who stands in their place.
pub(crate) struct Removal {
    user: UserId,
    pseudonym: UserId,
}

impl Removal {
    /// Who stands in their place.
    pub(crate) fn pseudonym(&self) -> &UserId {
        &self.pseudonym
    }
}

/// Whether a removal has begun.
pub(crate) enum Begun {
    /// It has.
    Yes(Removal),
    /// It had before.
    Already,
    /// There is no such user.
    Nobody,
    /// It would leave nobody who runs the deployment.
    LastOperator,
}

/// The tables.
pub(crate) struct Erasures(Database);

impl Erasures {
    pub(crate) fn new(env: &Env) -> Result<Self, ErrorBody> {
        Database::new(env).map(Self).or_internal("finding the database")
    }

    async fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, ErrorBody> {
        self.0.rows(sql, values).await.or_unavailable("the database")
    }

    async fn together(&self, statements: &[erasure::Statement<'_>]) -> Result<(), ErrorBody> {
        let statements: Vec<_> =
            statements.iter().map(|(sql, values)| (sql.as_str(), values.as_slice())).collect();
        self.0.together(&statements).await.or_unavailable("the database")
    }

    /// The login of somebody who was let in.
    pub(crate) async fn login(&self, user: &UserId) -> Result<Option<String>, ErrorBody> {
        let rows =
            self.rows("SELECT login FROM users WHERE user_id = ?1", &[Value::Text(user.as_str())]).await?;
        Ok(rows.first().map(|row| row.text(0)))
    }

    /// Begins a removal and locks the user out. `by`: who wants it, unless it is the user.
    pub(crate) async fn begin(
        &self,
        context: &Context,
        user: &UserId,
        by: Option<&UserId>,
    ) -> Result<Begun, ErrorBody> {
        let Some(login) = self.login(user).await? else { return Ok(Begun::Nobody) };
        let drawn = UserId::from_random(random().or_internal("drawing random bytes")?);
        let unique = drawn.as_str().trim_start_matches(UserId::PREFIX).trim_start_matches('_');
        let pseudonym = UserId::parse(&format!("{PSEUDONYM_PREFIX}{unique}")).or_internal("naming nobody")?;
        let allowed = &context.settings.allow_list;
        let others = if allowed.is_operator(&login) { allowed.operators() } else { &[] };
        let others: Vec<String> = others.iter().map(|login| login.to_lowercase()).collect();
        let others = serde_json::to_string(&others).or_internal("naming operators")?;
        let by = by.unwrap_or(&pseudonym);
        let values = [
            Value::Text(user.as_str()),
            Value::Text(pseudonym.as_str()),
            Value::Text(by.as_str()),
            Value::Number(context.now.0),
            Value::Text(&others),
        ];
        if self.rows(erasure::BEGIN, &values).await?.is_empty() {
            const FIND: &str = "SELECT 1 FROM erasures WHERE user_id = ?1";
            let known = !self.rows(FIND, &[Value::Text(user.as_str())]).await?.is_empty();
            return Ok(if known { Begun::Already } else { Begun::LastOperator });
        }
        let removal = Removal { user: user.clone(), pseudonym };
        self.lock(context, &removal).await?;
        Ok(Begun::Yes(removal))
    }

    async fn lock(&self, context: &Context, removal: &Removal) -> Result<(), ErrorBody> {
        let values = [Value::Text(removal.user.as_str()), Value::Number(context.now.0)];
        let statements = erasure::LOCK.map(|sql| (sql, values.as_slice()));
        self.0.together(&statements).await.or_unavailable("the database")?;
        end_access(context, &removal.user).await;
        // Every round tries it; the last one takes the tokens away in any case.
        let ended =
            async { Vault::new(&context.env)?.revoke(&removal.user, &context.settings.github_api_url).await };
        if let Err(error) = ended.await {
            log("ending an authorisation at the code host", &error.reason());
        }
        Ok(())
    }

    async fn due(&self, context: &Context) -> Result<Vec<Removal>, ErrorBody> {
        let rows = self.rows(erasure::DUE, &[Value::Number(context.now.0)]).await?;
        let read = |row: &Row| {
            let user = UserId::parse(&row.text(0)).or_internal("reading a user")?;
            Ok(Removal { user, pseudonym: UserId::parse(&row.text(1)).or_internal("reading a user")? })
        };
        rows.iter().map(read).collect()
    }

    /// The latest removals: the elements of a JSON array.
    pub(crate) async fn list(&self) -> Result<String, ErrorBody> {
        let rows = self.rows(erasure::LIST, &[]).await?;
        Ok(rows.iter().map(|row| row.text(0)).collect::<Vec<_>>().join(","))
    }

    /// Does what can be done of a removal whose user is locked out.
    pub(crate) async fn go_on(&self, context: &Context, removal: &Removal) -> Result<(), ErrorBody> {
        let Removal { user, pseudonym } = removal;
        for _ in 0..ROUNDS_MAX {
            let now = context.now.0;
            match erasure::evaluate_next(self.progress(context, removal).await?, now) {
                Next::CloseSockets => {
                    let problem = "a session with a page of theirs does not answer";
                    return self.later(pseudonym, now, Some(problem)).await;
                }
                Next::AskSessions => {
                    let asked = self.ask_sessions(context, removal).await?;
                    if let Asked::Left(problem) = asked {
                        return self.later(pseudonym, now, problem.as_deref()).await;
                    }
                }
                Next::Sweep { again_at } => {
                    self.together(&erasure::sweep(user, pseudonym, now)).await?;
                    return self.later(pseudonym, again_at, None).await;
                }
                Next::Finish => return self.together(&erasure::finish(user, pseudonym, now)).await,
            }
        }
        Ok(())
    }

    /// Looks for sessions, and says how far it is.
    async fn progress(&self, context: &Context, removal: &Removal) -> Result<Progress, ErrorBody> {
        let (user, pseudonym) = (Value::Text(removal.user.as_str()), Value::Text(removal.pseudonym.as_str()));
        let found = [pseudonym, Value::Number(context.now.0)];
        let statements: [(&str, &[Value<'_>]); 2] =
            [(erasure::FIND_SESSIONS, &[user, pseudonym]), (erasure::FOUND_SESSIONS, &found)];
        self.0.together(&statements).await.or_unavailable("the database")?;
        let rows = self.rows(erasure::PROGRESS, &[user, pseudonym]).await?;
        let number = |column| rows.first().and_then(|row| row.number(column)).unwrap_or_default();
        Ok(Progress { sockets: number(0), sessions: number(1), quiet_since: number(2) })
    }

    /// Asks every session that is not done, some at a time.
    async fn ask_sessions(&self, context: &Context, removal: &Removal) -> Result<Asked, ErrorBody> {
        let pseudonym = Value::Text(removal.pseudonym.as_str());
        let (mut after, mut left, mut silent) = (String::new(), 0, 0);
        loop {
            let values = [pseudonym, Value::Text(&after), Value::Number(SESSIONS_AT_ONCE)];
            let rows = self.rows(erasure::NEXT_SESSIONS, &values).await?;
            let ids: Vec<_> = rows.iter().filter_map(|row| SessionId::parse(&row.text(0)).ok()).collect();
            let Some(last) = ids.last() else { break };
            after = last.to_string();
            let answers = join_all(ids.iter().map(|id| ask(context, removal, id))).await;
            for (id, answer) in ids.iter().zip(answers) {
                match answer {
                    Ok(outcome) => {
                        left += usize::from(outcome == Erased::Deleting.as_str());
                        let values = [pseudonym, Value::Text(id.as_str()), Value::Text(outcome)];
                        self.rows(erasure::ASKED, &values).await?;
                    }
                    Err(reason) => {
                        silent += 1;
                        log("removing somebody from a session", &format!("{id}: {reason}"));
                    }
                }
            }
        }
        Ok(match (left, silent) {
            (0, 0) => Asked::Done,
            (_, 0) => Asked::Left(None),
            (_, silent) => Asked::Left(Some(format!("{silent} sessions do not answer; the log says why"))),
        })
    }

    async fn later(&self, pseudonym: &UserId, at: u64, problem: Option<&str>) -> Result<(), ErrorBody> {
        let problem = problem.map_or(Value::Null, Value::Text);
        let values = [Value::Text(pseudonym.as_str()), Value::Number(at), problem];
        self.rows(erasure::LATER, &values).await.map(|_| ())
    }
}

/// What came of asking sessions.
enum Asked {
    /// All know.
    Done,
    /// Some are still at it, and what is in the way.
    Left(Option<String>),
}

/// Tells a session; the word that is kept of it.
async fn ask(context: &Context, removal: &Removal, id: &SessionId) -> Result<&'static str, String> {
    let call =
        EraseCall { user: removal.user.clone(), pseudonym: erasure::pseudonym(removal.pseudonym.clone()) };
    let told = session_object::post(&context.env, id, Call::Erase, &call).await;
    let mut answer = told.map_err(|error| error.message)?;
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    match answer.status_code() {
        200 => {
            let said: serde_json::Value = protocol::read_json(&body).map_err(|error| error.to_string())?;
            let outcome = said.get("outcome").and_then(serde_json::Value::as_str).unwrap_or_default();
            let known = [Erased::Deleting, Erased::Rewritten].map(Erased::as_str);
            known.into_iter().find(|known| *known == outcome).ok_or_else(|| format!("it says {outcome:?}"))
        }
        // Nothing of it is left, its storage included.
        404 => Ok("deleted"),
        status => Err(format!("it answers with status {status}")),
    }
}

/// The cron trigger: goes on with whatever is due.
pub(crate) async fn go_on_erasing(env: &Env) {
    let done = async {
        let context = Context::without_request(env.clone(), "http://localhost/")?;
        let erasures = Erasures::new(env)?;
        for removal in erasures.due(&context).await? {
            // Whoever began it may have been cut right after.
            let locked = erasures.lock(&context, &removal).await;
            let done = match locked {
                Ok(()) => erasures.go_on(&context, &removal).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                log("removing somebody", &error);
            }
        }
        Ok::<(), ErrorBody>(())
    };
    if let Err(error) = done.await {
        log("finding who is being removed", &error);
    }
}
