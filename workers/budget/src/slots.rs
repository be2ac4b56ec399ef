//! Slots: how many sessions are at work at once, and how many sandboxes are theirs. Statements for D1, their order, and words for people.
//!
//! A session takes what it needs in one statement, all or nothing, and only where every limit that counts for it has room: so two never
//! take the last slot. Who finds none waits in `slot_waits`, and then tries once more, because a slot may have been given back just
//! before anybody could see it wait. Who gives a slot back, waits no more, or has waited and goes on waiting, tells the first that waits and
//! for whom there is one; that one does the same, so that one after the other comes, in the order of waiting. Who is forgotten asks by
//! itself.

use crate::ledger::{Columns, Statement};
use crate::verdict::Names;
use platform::bound::Value;
use protocol::budget::{AtOnce, Budget, BudgetScope};
use protocol::time::Timestamp;

/// A slot ends so long after the life of the sandbox that it is for, should nobody give it back.
pub const MARGIN_MS: u64 = 5 * 60_000;
/// Sessions that are tried to be told of a slot, until one of them hears it.
const TOLD_MAX: u64 = 3;

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A session at work.
    Session,
    /// A session's sandbox.
    Sandbox,
}

/// Slots that a session needs and does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lack {
    /// To be at work.
    pub session: bool,
    /// For its sandbox.
    pub sandbox: bool,
}

impl Lack {
    /// Whether there is any.
    #[must_use]
    pub fn is_any(self) -> bool {
        self.session || self.sandbox
    }
}

/// Slots that a session needs or has, each with the user for whose prompt it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs<'a> {
    /// Its turn runs or is about to.
    pub session: Option<&'a str>,
    /// It has a sandbox or is about to.
    pub sandbox: Option<&'a str>,
}

impl Needs<'_> {
    /// What of this is not in `has`.
    #[must_use]
    pub fn lack(&self, has: &Self) -> Lack {
        let misses = |need: Option<&str>, has: Option<&str>| need.is_some() && need != has;
        Lack { session: misses(self.session, has.session), sandbox: misses(self.sandbox, has.sandbox) }
    }
}

/// A session that exchanges what it has for what it needs.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Which.
    pub session_id: &'a str,
    /// `owner/name`.
    pub repository: &'a str,
    /// What it surely has.
    pub has: Needs<'a>,
    /// What it is to have afterwards, and nothing else.
    pub needs: Needs<'a>,
    /// Whether it waits where there is no slot.
    pub waits: bool,
    /// Whether it may be known to wait.
    pub waited: bool,
    /// The present moment.
    pub now: Timestamp,
    /// When its slots end by themselves.
    pub until: Timestamp,
}

/// What came of an [`Exchange`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// What there is no slot for.
    pub lack: Lack,
    /// When a slot of somebody else ends by itself, where it lacks one.
    pub first_end: Option<Timestamp>,
    /// Sessions for which there is a slot now, the one that has waited longest first: one of them is to be told.
    pub next: Vec<String>,
}

/// Runs statements, wherever the database is. Each is a transaction.
pub trait Port {
    /// One row of an answer.
    type Row: Columns;
    /// Why there is no answer; the statement may have been carried out.
    type Error;
    /// Rows of a statement; of one that changes something, those of its `RETURNING`.
    fn rows(&self, statement: Statement<'_>) -> impl Future<Output = Result<Vec<Self::Row>, Self::Error>>;
}

impl Exchange<'_> {
    /// Gives back what is not needed, takes what is, and finds out who is next. May be repeated, after a lost answer too; exchanges of one
    /// session come one after the other.
    pub async fn run<P: Port>(&self, port: &P) -> Result<Exchanged, P::Error> {
        let mut lack = self.needs.lack(&self.has);
        let mut has_freed = false;
        if lack.is_any()
            && let Some(changed_hands) = self.take(port).await?
        {
            lack = Lack::default();
            has_freed = changed_hands;
        }
        let is_whole = self.needs.session.is_some() && self.needs.sandbox.is_some();
        if lack.is_any() || !is_whole {
            has_freed |= !port.rows(self.give_back()).await?.is_empty();
        }
        let (mut first_end, mut is_listed) = (None, self.waited);
        if lack.is_any() {
            lack = self.find_lack(port).await?;
            if lack.is_any() && self.waits {
                port.rows(self.wait(lack)).await?;
                is_listed = true;
                if let Some(changed_hands) = self.take(port).await? {
                    lack = Lack::default();
                    has_freed |= changed_hands;
                } else {
                    first_end = self.first_end(port).await?;
                }
            }
        }
        if is_listed && !(self.waits && lack.is_any()) {
            let was_listed = port.rows((WAIT_NO_MORE, vec![Value::Text(self.session_id)])).await?;
            has_freed |= !was_listed.is_empty();
        }
        // Whoever told it may have gone by what it lacked before; then what there is may be for somebody else.
        let passes_on = self.waited && lack.is_any();
        let next = if has_freed || passes_on { port.rows(self.next()).await? } else { Vec::new() };
        Ok(Exchanged { lack, first_end, next: next.iter().map(|row| row.text(0)).collect() })
    }

    /// Whether it could be taken, and then whether that has freed a slot of another user.
    async fn take<P: Port>(&self, port: &P) -> Result<Option<bool>, P::Error> {
        let rows = port.rows(self.taking()).await?;
        Ok((!rows.is_empty()).then(|| rows.iter().any(|row| row.number(1) == Some(1))))
    }

    /// What it lacks of all that it needs, now that not everything could be taken.
    async fn find_lack<P: Port>(&self, port: &P) -> Result<Lack, P::Error> {
        let values = vec![Value::Text(self.session_id), Value::Number(self.now.0)];
        let rows = port.rows((OWN, values)).await?;
        let own = |kind, user| rows.iter().any(|row| row.text(0) == kind).then_some(user).flatten();
        // Those in another user's name have just been given back.
        let has = Needs {
            session: own("session", self.needs.session),
            sandbox: own("sandbox", self.needs.sandbox),
        };
        Ok(self.needs.lack(&has))
    }

    async fn first_end<P: Port>(&self, port: &P) -> Result<Option<Timestamp>, P::Error> {
        let values = vec![Value::Text(self.session_id), Value::Number(self.now.0)];
        let rows = port.rows((FIRST_END, values)).await?;
        Ok(rows.first().and_then(|row| row.number(0)).map(Timestamp))
    }

    fn taking(&self) -> Statement<'_> {
        let mut values = self.whose();
        values.extend([Value::Text(self.repository), Value::Number(self.now.0), Value::Number(self.until.0)]);
        (TAKE, values)
    }

    fn give_back(&self) -> Statement<'_> {
        let mut values = self.whose();
        values.push(Value::Number(self.now.0));
        (GIVE_BACK, values)
    }

    /// The first three values of a statement: the session, and for whom it needs a slot of each kind, or null.
    fn whose(&self) -> Vec<Value<'_>> {
        let Needs { session, sandbox } = self.needs;
        let [session, sandbox] = [session, sandbox].map(|user| user.map_or(Value::Null, Value::Text));
        vec![Value::Text(self.session_id), session, sandbox]
    }

    fn wait(&self, lack: Lack) -> Statement<'_> {
        let user = self.needs.session.or(self.needs.sandbox).unwrap_or_default();
        let values = vec![
            Value::Text(self.session_id),
            Value::Text(user),
            Value::Text(self.repository),
            Value::Number(lack.session.into()),
            Value::Number(lack.sandbox.into()),
            Value::Number(self.now.0),
        ];
        (WAIT, values)
    }

    fn next(&self) -> Statement<'_> {
        (NEXT, vec![Value::Number(self.now.0), Value::Text(self.session_id), Value::Number(TOLD_MAX)])
    }
}

/// ?1: session, ?2 and ?3: for whom it needs a slot to be at work and one for its sandbox, or null, ?4: repository, ?5: now,
/// ?6: when it ends.
/// A slot that the session has is not asked about again: who lowers a limit stops nobody.
const TAKE: &str = "WITH wanted (kind, user_id) AS ( \
       SELECT 'session', ?2 WHERE ?2 IS NOT NULL UNION ALL SELECT 'sandbox', ?3 WHERE ?3 IS NOT NULL), \
     missing AS ( \
       SELECT kind, user_id FROM wanted WHERE NOT EXISTS (SELECT 1 FROM slots AS own WHERE own.session_id = ?1 \
         AND own.kind = wanted.kind AND own.user_id = wanted.user_id AND own.expires_at > ?5)), \
     asked (kind, scope, subject) AS ( \
       SELECT kind, 'user', user_id FROM missing UNION ALL SELECT kind, 'repository', ?4 FROM missing \
       UNION ALL SELECT kind, 'organisation', '' FROM missing), \
     counts AS ( \
       SELECT asked.kind AS kind, asked.scope AS scope, asked.subject AS subject, \
         CASE asked.kind WHEN 'session' THEN budgets.sessions_max ELSE budgets.sandboxes_max END AS most \
       FROM asked JOIN budgets ON budgets.scope = asked.scope AND budgets.subject = ( \
         SELECT subject FROM budgets AS own WHERE own.scope = asked.scope AND own.subject IN (asked.subject, '*') \
         ORDER BY own.subject = '*' LIMIT 1)), \
     full AS ( \
       SELECT 1 FROM counts WHERE most <= (SELECT count(*) FROM slots AS taken WHERE taken.kind = counts.kind \
         AND taken.session_id <> ?1 AND taken.expires_at > ?5 AND CASE counts.scope WHEN 'organisation' THEN 1 \
         WHEN 'user' THEN taken.user_id = counts.subject ELSE taken.repository = counts.subject END)) \
     INSERT INTO slots (session_id, kind, user_id, repository, expires_at, changed_hands) \
     SELECT ?1, kind, user_id, ?4, ?6, 0 FROM wanted \
     WHERE NOT EXISTS (SELECT 1 FROM full) AND NOT EXISTS (SELECT 1 FROM halts WHERE lifted_at IS NULL) \
     ON CONFLICT (session_id, kind) DO UPDATE SET user_id = excluded.user_id, repository = excluded.repository, \
       expires_at = excluded.expires_at, changed_hands = slots.user_id <> excluded.user_id \
     RETURNING kind, changed_hands";

/// What the session does not need, or has in another user's name, and whatever is over; a row for each.
const GIVE_BACK: &str = "DELETE FROM slots WHERE expires_at <= ?4 \
    OR session_id = ?1 AND user_id IS NOT CASE kind WHEN 'session' THEN ?2 ELSE ?3 END RETURNING kind";

const OWN: &str = "SELECT kind FROM slots WHERE session_id = ?1 AND expires_at > ?2";

const WAIT: &str = "INSERT INTO slot_waits (session_id, user_id, repository, lacks_session, lacks_sandbox, since) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
    ON CONFLICT (session_id) DO UPDATE SET user_id = excluded.user_id, repository = excluded.repository, \
    lacks_session = excluded.lacks_session, lacks_sandbox = excluded.lacks_sandbox";

/// Takes a session, ?1, out of those that wait; whether it was among them says its row.
pub const WAIT_NO_MORE: &str = "DELETE FROM slot_waits WHERE session_id = ?1 RETURNING session_id";

/// ?1: now, ?2: who asks, ?3: how many. A limit is at least one, so that what nobody has taken has room.
const NEXT: &str = "WITH live AS (SELECT kind, user_id, repository FROM slots WHERE expires_at > ?1), \
     used (kind, scope, subject, taken) AS ( \
       SELECT kind, 'organisation', '', count(*) FROM live GROUP BY kind \
       UNION ALL SELECT kind, 'user', user_id, count(*) FROM live GROUP BY kind, user_id \
       UNION ALL SELECT kind, 'repository', repository, count(*) FROM live GROUP BY kind, repository), \
     full AS ( \
       SELECT used.kind AS kind, used.scope AS scope, used.subject AS subject FROM used \
       JOIN budgets ON budgets.scope = used.scope AND budgets.subject = ( \
         SELECT subject FROM budgets AS own WHERE own.scope = used.scope AND own.subject IN (used.subject, '*') \
         ORDER BY own.subject = '*' LIMIT 1) \
       WHERE CASE used.kind WHEN 'session' THEN budgets.sessions_max ELSE budgets.sandboxes_max END <= used.taken) \
     SELECT session_id FROM slot_waits AS waits WHERE session_id <> ?2 AND NOT EXISTS ( \
       SELECT 1 FROM full WHERE CASE full.kind WHEN 'session' THEN waits.lacks_session ELSE waits.lacks_sandbox END AND CASE full.scope WHEN 'organisation' THEN 1 \
       WHEN 'user' THEN full.subject = waits.user_id ELSE full.subject = waits.repository END) \
     ORDER BY since, session_id LIMIT ?3";

const FIRST_END: &str = "SELECT min(expires_at) FROM slots WHERE session_id <> ?1 AND expires_at > ?2";

fn limit(budget: &Budget, kind: Kind) -> Option<AtOnce> {
    match kind {
        Kind::Session => budget.sessions,
        Kind::Sandbox => budget.sandboxes,
    }
}

/// Whether how many work at once is limited for those whom these budgets are for.
#[must_use]
pub fn is_limited(budgets: &[Budget]) -> bool {
    budgets.iter().any(|budget| budget.sessions.is_some() || budget.sandboxes.is_some())
}

/// Why there is no slot, for people: which limit, how many there are, what ends the wait, and who can change it.
#[must_use]
pub fn none_left(budgets: &[Budget], lack: Lack, names: &dyn Names) -> String {
    let kinds = [(Kind::Session, lack.session), (Kind::Sandbox, lack.sandbox)];
    let lacked = kinds.into_iter().filter(|(_, is_lacked)| *is_lacked).map(|(kind, _)| kind);
    let full = lacked.flat_map(|kind| budgets.iter().map(move |budget| (kind, budget))).find_map(
        |(kind, budget)| {
            let slots = limit(budget, kind).filter(|slots| slots.taken >= slots.max)?;
            Some((kind, budget, slots))
        },
    );
    let kind = full.map_or(if lack.session { Kind::Session } else { Kind::Sandbox }, |(kind, ..)| kind);
    let found = full.map(|(_, budget, slots)| (budget, slots));
    let count = found.map_or_else(String::new, |(_, AtOnce { max, taken })| format!("{taken} of {max} "));
    let whose = found.map_or_else(String::new, |(budget, _)| whose(budget, names));
    let (state, end) = match kind {
        Kind::Session => (
            format!("{count}sessions{whose} are at work, and more may not be at once."),
            "The prompt goes on when another one's turn ends.",
        ),
        Kind::Sandbox => (
            format!("{count}sandboxes{whose} are in use, and more may not be at once."),
            "The prompt goes on when one of them ends, as an idle one does after a while.",
        ),
    };
    let mut text = format!("{state} {end} An operator can raise the limit in the settings.");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn whose(budget: &Budget, names: &dyn Names) -> String {
    match budget.scope {
        BudgetScope::User => format!(" of {}", names.user(&budget.subject)),
        BudgetScope::Repository => format!(" of {}", budget.subject),
        BudgetScope::Organisation => " of everybody here".to_owned(),
        BudgetScope::Session | BudgetScope::Unknown => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::budget::BudgetPeriod;

    struct Ada;

    impl Names for Ada {
        fn user(&self, _: &str) -> String {
            "Ada".to_owned()
        }
    }

    fn budget(scope: BudgetScope, sessions: Option<(u64, u64)>, sandboxes: Option<(u64, u64)>) -> Budget {
        let slots = |(taken, max)| AtOnce { max, taken };
        Budget {
            scope,
            subject: "acme/shop".to_owned(),
            period: BudgetPeriod::Day,
            money_micro_dollars: None,
            tokens: None,
            turn_ms: None,
            spent_micro_dollars: 0,
            spent_tokens: 0,
            promised_micro_dollars: 0,
            promised_tokens: 0,
            sessions: sessions.map(slots),
            sandboxes: sandboxes.map(slots),
        }
    }

    #[test]
    fn people_are_told_which_limit_how_many_and_what_ends_the_wait() {
        let free = budget(BudgetScope::Organisation, Some((2, 9)), None);
        let user = budget(BudgetScope::User, Some((2, 2)), Some((1, 3)));
        let repository = budget(BudgetScope::Repository, None, Some((4, 3)));
        let all = [free, user, repository];
        let (session, sandbox) =
            (Lack { session: true, sandbox: false }, Lack { session: false, sandbox: true });
        assert_eq!(
            none_left(&all, session, &Ada),
            "2 of 2 sessions of Ada are at work, and more may not be at once. The prompt goes on when another one's turn ends. \
             An operator can raise the limit in the settings."
        );
        let of_sandboxes = none_left(&all, sandbox, &Ada);
        assert_eq!(
            of_sandboxes,
            "4 of 3 sandboxes of acme/shop are in use, and more may not be at once. The prompt goes on when one of them ends, as an idle \
             one does after a while. An operator can raise the limit in the settings."
        );
        let both = Lack { session: true, sandbox: true };
        assert_eq!(none_left(&all[2..], both, &Ada), of_sandboxes, "the one that is full");
        assert!(none_left(&[], sandbox, &Ada).starts_with("Sandboxes are in use, and more"));
        assert!(is_limited(&all) && !is_limited(&[]));
    }

    #[test]
    fn somebody_elses_slot_is_none() {
        let (none, both) = (Needs::default(), Needs { session: Some("a"), sandbox: Some("b") });
        assert_eq!(both.lack(&none), Lack { session: true, sandbox: true });
        assert_eq!(both.lack(&Needs { sandbox: Some("b"), ..none }), Lack { session: true, sandbox: false });
        assert_eq!(both.lack(&Needs { session: Some("b"), ..both }), Lack { session: true, sandbox: false });
        assert!(!both.lack(&both).is_any() && !none.lack(&both).is_any());
    }
}
