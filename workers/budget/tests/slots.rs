//! Slots with their real migrations: sessions whose exchanges run at the same time, statement by statement in random order, lose their
//! answers and are forgotten. However they do it, no limit is passed, and nobody waits while there is a slot.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing helper fails its test")]

mod database;

use budget::ledger::{self, Asker, Statement};
use budget::slots::{Exchange, Exchanged, MARGIN_MS, Needs, Port};
use database::{Database, Row};
use platform::bound::Value;
use proptest::prelude::*;
use protocol::time::Timestamp;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// 2026-11-22, 12:00 UTC.
const NOON: u64 = 1_795_348_800_000;
const LIFE_MS: u64 = 4 * 3_600_000;
const SESSIONS: usize = 6;

/// The answer was lost; what was asked for may have happened.
#[derive(Debug)]
struct Lost;

/// What each exchange of a history sees of the database: others come between any two of its statements.
struct Shared<'a> {
    database: &'a Database,
    loses: Cell<Option<u32>>,
}

impl Port for Shared<'_> {
    type Row = Row;
    type Error = Lost;

    async fn rows(&self, statement: Statement<'_>) -> Result<Vec<Row>, Lost> {
        let mut waited = false;
        poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        let rows = self.database.run(&statement);
        let left = self.loses.get().map(|left| left.checked_sub(1));
        match left {
            Some(None) => Err(Lost),
            Some(left) => {
                self.loses.set(left);
                Ok(rows)
            }
            None => Ok(rows),
        }
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

impl Database {
    fn limit(&self, scope: &str, subject: &str, sessions: Option<u64>, sandboxes: Option<u64>) {
        let number = |limit: Option<u64>| limit.map_or(Value::Null, Value::Number);
        let mut values = [scope, subject, "day"].map(Value::Text).to_vec();
        values.extend([Value::Null; 3]);
        values.extend([sessions, sandboxes].map(number));
        self.run(&(ledger::SET, values));
    }

    fn exchange(&self, exchange: Exchange<'_>) -> Exchanged {
        run(exchange.run(&Shared { database: self, loses: Cell::new(None) })).unwrap()
    }

    fn taken(&self, kind: &str, user_id: &str, now: u64) -> u64 {
        let sql = "SELECT count(*) FROM slots WHERE kind = ?1 AND user_id LIKE ?2 AND expires_at > ?3";
        let now = i64::try_from(now).unwrap();
        let counted: i64 = self.0.query_row(sql, (kind, user_id, now), |row| row.get(0)).unwrap();
        u64::try_from(counted).unwrap()
    }
}

fn exchange<'a>(session_id: &'a str, user: &'a str, needs: (bool, bool), now: u64) -> Exchange<'a> {
    Exchange {
        session_id,
        repository: "acme/shop",
        has: Needs::default(),
        needs: Needs { session: needs.0.then_some(user), sandbox: needs.1.then_some(user) },
        waits: true,
        waited: true,
        now: Timestamp(now),
        until: Timestamp(now + LIFE_MS + MARGIN_MS),
    }
}

const BOTH: (bool, bool) = (true, true);
const SANDBOX: (bool, bool) = (false, true);
const NOTHING: (bool, bool) = (false, false);

#[test]
fn the_last_slot_is_taken_once_and_handed_on_in_the_order_of_waiting() {
    let database = Database::new();
    database.limit("user", "*", Some(1), Some(2));
    let ask = |session, needs, now| database.exchange(exchange(session, "usr_ada", needs, now));
    assert_eq!(ask("ses_1", BOTH, NOON), Exchanged::default());
    let second = ask("ses_2", BOTH, NOON + 2);
    assert!(second.lack.session && second.lack.sandbox, "all or nothing: {second:?}");
    assert_eq!(second.first_end, Some(Timestamp(NOON + LIFE_MS + MARGIN_MS)));
    // Who asks again keeps its turn, and who came later does not pass it.
    assert!(ask("ses_3", BOTH, NOON + 3).lack.is_any());
    assert!(ask("ses_2", BOTH, NOON + 4).lack.is_any());
    assert!(!database.exchange(exchange("ses_9", "usr_bob", BOTH, NOON)).lack.is_any(), "another user");
    let ended = ask("ses_1", SANDBOX, NOON + 5);
    assert_eq!(ended.next, ["ses_2", "ses_3"]);
    assert!(!ask("ses_2", BOTH, NOON + 6).lack.is_any());
    // It has a sandbox already: the limit of those does not count.
    assert!(ask("ses_1", BOTH, NOON + 7).lack.session);
    assert_eq!(ask("ses_2", NOTHING, NOON + 8).next, ["ses_3", "ses_1"]);
    assert!(!ask("ses_3", BOTH, NOON + 9).lack.is_any());
    let over = ask("ses_1", NOTHING, NOON + 10);
    assert_eq!(over.next, Vec::<String>::new(), "nobody else waits");
    assert!(database.run(&("SELECT session_id FROM slot_waits", vec![])).is_empty());
}

#[test]
fn lowering_a_limit_stops_nobody_and_everybodys_limit_gives_way_to_the_own() {
    let database = Database::new();
    database.limit("organisation", "", Some(3), None);
    database.limit("user", "*", Some(1), None);
    database.limit("user", "usr_ada", Some(2), None);
    let ask = |session, user, now| database.exchange(exchange(session, user, BOTH, now)).lack.is_any();
    assert!(!ask("ses_1", "usr_ada", NOON) && !ask("ses_2", "usr_ada", NOON));
    assert!(ask("ses_3", "usr_ada", NOON), "two of her own");
    assert!(!ask("ses_4", "usr_bob", NOON) && ask("ses_5", "usr_bob", NOON));
    assert!(ask("ses_6", "usr_eve", NOON), "three in all");
    database.limit("user", "usr_ada", Some(1), None);
    assert!(!ask("ses_1", "usr_ada", NOON) && !ask("ses_2", "usr_ada", NOON), "they have their slots");
    // The next prompt there is somebody else's, who has none left; hers is free then.
    assert!(ask("ses_2", "usr_bob", NOON));
    assert_eq!(database.taken("session", "usr_ada", NOON), 1);
    let asker = Asker { session_id: "ses_1", user_id: "usr_ada", repository: "acme/shop" };
    let answer = ledger::read(&database.run(&ledger::question(&asker, Timestamp(NOON))));
    let seen: Vec<_> = answer.budgets.iter().filter_map(|budget| budget.sessions).collect();
    assert_eq!(
        seen.iter().map(|slots| (slots.taken, slots.max)).collect::<BTreeSet<_>>(),
        [(1, 1), (2, 3)].into()
    );
}

#[test]
fn a_slot_of_the_forgotten_ends_with_its_sandboxes_life_and_a_halt_gives_none() {
    let database = Database::new();
    database.limit("organisation", "", None, Some(1));
    let over = NOON + LIFE_MS + MARGIN_MS;
    let ask = |session, now| database.exchange(exchange(session, "usr_ada", BOTH, now)).lack;
    assert!(!ask("ses_1", NOON).is_any());
    let lack = ask("ses_2", over - 1);
    assert!(lack.sandbox && lack.session);
    assert!(!ask("ses_2", over).is_any());
    database.run(&(ledger::HALT, vec![Value::Text("leak"), Value::Text("usr_op"), Value::Number(over)]));
    database.limit("organisation", "", None, None);
    assert!(ask("ses_3", over).is_any());
    assert!(!ask("ses_2", over).is_any(), "it has them");
}

/// What happens in a history.
#[derive(Clone, Debug)]
enum Deed {
    /// A session needs this from here on, for the prompt of this user, and asks; its answer gets lost after so many statements.
    Need { which: usize, needs: (bool, bool), user: usize, loses: Option<u32> },
    /// An exchange that runs gets one statement further.
    Go { which: usize },
    /// A limit changes.
    Limit { user: Option<usize>, sessions: Option<u64>, sandboxes: Option<u64> },
    /// A session is never heard of again: another one takes its name when its slots are over.
    Vanish { which: usize },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let needs = prop_oneof![3 => Just(BOTH), 2 => Just(SANDBOX), 2 => Just(NOTHING)];
    let limit = || prop::option::weighted(0.8, 1u64..4);
    let deed = prop_oneof![
        8 => (0..SESSIONS, needs, 0usize..2, prop::option::weighted(0.2, 0u32..5))
            .prop_map(|(which, needs, user, loses)| Deed::Need { which, needs, user, loses }),
        16 => (0..SESSIONS).prop_map(|which| Deed::Go { which }),
        1 => (prop::option::of(0usize..2), limit(), limit())
            .prop_map(|(user, sessions, sandboxes)| Deed::Limit { user, sessions, sandboxes }),
        1 => (0..SESSIONS).prop_map(|which| Deed::Vanish { which }),
    ];
    prop::collection::vec(deed, 1..150)
}

const USERS: [&str; 2] = ["usr_ada", "usr_bob"];
const NAMES: [&str; SESSIONS] = ["ses_0", "ses_1", "ses_2", "ses_3", "ses_4", "ses_5"];

type Running<'a> = Pin<Box<dyn Future<Output = Result<Exchanged, Lost>> + 'a>>;

/// A session: what it needs, whether it knows that it has it, and its exchange that runs.
#[derive(Default)]
struct Agent<'a> {
    needs: Needs<'static>,
    has: Needs<'static>,
    lacks: bool,
    asks: bool,
    running: Option<(Needs<'static>, Running<'a>)>,
}

/// Sessions, as their objects do it: one exchange at a time, and another one when needs have changed meanwhile, when they were told, or
/// when the answer was lost.
struct World<'a> {
    database: &'a Database,
    agents: Vec<Agent<'a>>,
    now: u64,
    told: u32,
}

impl<'a> World<'a> {
    fn need(&mut self, which: usize, needs: (bool, bool), user: usize) {
        let user = USERS[user];
        let agent = &mut self.agents[which];
        agent.needs = Needs { session: needs.0.then_some(user), sandbox: needs.1.then_some(user) };
        let kept = |has: Option<&'static str>, need| if has == need { has } else { None };
        agent.has = Needs {
            session: kept(agent.has.session, agent.needs.session),
            sandbox: kept(agent.has.sandbox, agent.needs.sandbox),
        };
        agent.asks = true;
    }

    /// One statement of the session's exchange, which begins where one is wanted. `false`: there is nothing to do.
    fn go(&mut self, which: usize, loses: Option<u32>) -> bool {
        let agent = &mut self.agents[which];
        if agent.running.is_none() {
            if !std::mem::take(&mut agent.asks) {
                return false;
            }
            let shared = Shared { database: self.database, loses: Cell::new(loses) };
            let (needs, has, now) = (agent.needs, agent.has, self.now);
            let exchange = Exchange { needs, has, ..exchange(NAMES[which], "", NOTHING, now) };
            agent.running = Some((needs, Box::pin(async move { exchange.run(&shared).await })));
        }
        let Some((needs, running)) = &mut agent.running else { return false };
        let needs = *needs;
        let Poll::Ready(outcome) = running.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            return true;
        };
        agent.running = None;
        match outcome {
            Ok(exchanged) => {
                agent.lacks = exchanged.lack.is_any();
                let is_same = needs == agent.needs;
                if !agent.lacks && is_same {
                    agent.has = needs;
                }
                agent.asks |= !is_same;
                if let Some(next) = exchanged.next.first() {
                    let told = NAMES.iter().position(|name| name == next).unwrap();
                    self.agents[told].asks = true;
                    self.told += 1;
                }
            }
            Err(Lost) => agent.asks = true,
        }
        true
    }

    /// Goes on until nobody has anything to do.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut has_gone = false;
            for which in 0..SESSIONS {
                has_gone |= self.go(which, None);
            }
            if !has_gone {
                return;
            }
        }
        unreachable!("sessions tell each other for ever");
    }

    /// Sessions that a limit keeps from what they need, by a reckoning of its own.
    fn is_full(&self, which: usize, limits: &[(Option<usize>, Option<u64>, Option<u64>)]) -> bool {
        let needs = self.agents[which].needs;
        let kinds = [
            ("session", needs.session, self.agents[which].has.session),
            ("sandbox", needs.sandbox, self.agents[which].has.sandbox),
        ];
        kinds.into_iter().any(|(kind, need, has)| {
            let Some(user) = need.filter(|_| need != has) else { return false };
            limits.iter().any(|(whose, sessions, sandboxes)| {
                let pattern = whose.map_or("%", |user| USERS[user]);
                let max = if kind == "session" { sessions } else { sandboxes };
                let counts = pattern == "%" || pattern == user;
                counts && max.is_some_and(|max| self.database.taken(kind, pattern, self.now) >= max)
            })
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_limit_is_passed_and_nobody_waits_while_there_is_a_slot(mut history in deeds(), is_calm in any::<bool>()) {
        if is_calm {
            history.retain(|deed| !matches!(deed, Deed::Need { loses: Some(_), .. } | Deed::Vanish { .. }));
        }
        let database = Database::new();
        let mut world = World { database: &database, agents: Vec::new(), now: NOON, told: 0 };
        world.agents.resize_with(SESSIONS, Agent::default);
        // Slots that were there when a limit was lowered stay.
        let mut limits: Vec<(Option<usize>, Option<u64>, Option<u64>)> = vec![(None, Some(2), Some(3))];
        database.limit("organisation", "", Some(2), Some(3));
        let mut most = [[0, 0]; 3];
        for deed in history {
            match deed {
                Deed::Need { which, needs, user, loses } => {
                    world.need(which, needs, user);
                    world.go(which, loses);
                }
                Deed::Go { which } => {
                    world.go(which, None);
                }
                Deed::Limit { user, sessions, sandboxes } => {
                    limits.retain(|(whose, ..)| *whose != user);
                    limits.push((user, sessions, sandboxes));
                    match user {
                        Some(user) => database.limit("user", USERS[user], sessions, sandboxes),
                        None => database.limit("organisation", "", sessions, sandboxes),
                    }
                    // As the edge does it.
                    world.agents.iter_mut().for_each(|agent| agent.asks = true);
                }
                Deed::Vanish { which } => world.agents[which] = Agent::default(),
            }
            for (slot, pattern) in ["usr_ada", "usr_bob", "%"].into_iter().enumerate() {
                let limit = limits.iter().find(|(whose, ..)| whose.unwrap_or(2) == slot);
                let (sessions, sandboxes) = limit.map_or((None, None), |(_, sessions, sandboxes)| (*sessions, *sandboxes));
                let taken = ["session", "sandbox"].map(|kind| database.taken(kind, pattern, world.now));
                for (taken, before, max) in [(taken[0], most[slot][0], sessions), (taken[1], most[slot][1], sandboxes)] {
                    prop_assert!(max.is_none_or(|max| taken <= max || taken <= before), "{taken} of {max:?} for {pattern}");
                }
                most[slot] = taken;
            }
        }
        world.settle();
        // Without a lost answer nobody needs the alarm.
        if is_calm {
            for (which, agent) in world.agents.iter().enumerate() {
                prop_assert!(!agent.lacks || world.is_full(which, &limits), "{} was not told", NAMES[which]);
            }
        }
        // Who vanished is forgotten when its slots end, and everybody else asks in a while.
        world.now += LIFE_MS + MARGIN_MS;
        for agent in &mut world.agents {
            (agent.asks, agent.has) = (true, Needs::default());
        }
        let told = world.told;
        world.settle();
        prop_assert!(world.told - told <= 40, "no herd: {} were told", world.told - told);
        for (which, agent) in world.agents.iter().enumerate() {
            prop_assert!(!agent.lacks || world.is_full(which, &limits), "{} waits while there is a slot", NAMES[which]);
        }
    }

    #[test]
    fn all_that_wait_come_one_after_the_other_without_an_alarm(max in 1u64..4, order in Just(vec![0usize, 1, 2, 3, 4, 5]).prop_shuffle()) {
        let database = Database::new();
        database.limit("organisation", "", Some(max), None);
        let mut world = World { database: &database, agents: Vec::new(), now: NOON, told: 0 };
        world.agents.resize_with(SESSIONS, Agent::default);
        for which in &order {
            world.now += 1;
            world.need(*which, BOTH, 0);
            world.settle();
        }
        let mut done = Vec::new();
        while done.len() < SESSIONS {
            let at_work: Vec<usize> = (0..SESSIONS).filter(|which| world.agents[*which].has.session.is_some()).collect();
            prop_assert!(!at_work.is_empty() && at_work.len() as u64 <= max);
            let first = *order.iter().find(|which| at_work.contains(which)).unwrap();
            world.need(first, NOTHING, 0);
            world.settle();
            done.push(first);
        }
        prop_assert_eq!(done, order);
    }
}
