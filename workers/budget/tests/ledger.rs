//! The ledger with its real migrations: sessions that ask, spend, die, tell late and twice, in random order. However they do it, what is
//! spent stays within the budget, but for what single calls cost beyond their grant.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod database;

use budget::day;
use budget::ledger::{self, Asker, Columns as _, Spent};
use budget::verdict::{Answer, Verdict, evaluate};
use database::Database;
use platform::bound::Value;
use proptest::prelude::*;
use protocol::budget::{Budget, BudgetScope};
use protocol::time::Timestamp;

/// 2026-11-22, 12:00 UTC.
const NOON: u64 = 1_795_348_800_000;
const HOUR_MS: u64 = 3_600_000;

impl Database {
    fn set(&self, scope: &str, subject: &str, period: &str, money: Option<u64>) {
        let money = money.map_or(Value::Null, Value::Number);
        let values =
            [scope, subject, period].map(Value::Text).into_iter().chain([money]).chain([Value::Null; 4]);
        self.run(&(ledger::SET, values.collect()));
    }

    fn exchange(&self, asker: &Asker<'_>, spent: &[Spent<'_>], takes: bool, now: u64) -> Answer {
        let all = self.0.unchecked_transaction().unwrap();
        for statement in ledger::exchange(asker, spent, takes, Timestamp(now)) {
            self.run(&statement);
        }
        all.commit().unwrap();
        ledger::read(&self.run(&ledger::question(asker, Timestamp(now))))
    }

    fn list(&self, now: u64) -> Vec<Budget> {
        self.run(&ledger::list(Timestamp(now))).iter().map(ledger::read_budget).collect()
    }
}

fn asker<'a>(session_id: &'a str, user_id: &'a str) -> Asker<'a> {
    Asker { session_id, user_id, repository: "acme/shop" }
}

fn spent(user_id: &str, now: u64, micro_dollars: u64) -> Spent<'_> {
    Spent { user_id, day: day::of(Timestamp(now)), micro_dollars, tokens: micro_dollars / 10 }
}

#[test]
fn two_sessions_never_get_the_same_dollar() {
    let database = Database::new();
    database.set("organisation", "", "month", Some(1_000_000));
    let first = database.exchange(&asker("ses_1", "usr_ada"), &[], true, NOON).grant.unwrap();
    assert_eq!(first.micro_dollars, 500_000, "half of what is left");
    let second = database.exchange(&asker("ses_2", "usr_ada"), &[], true, NOON).grant.unwrap();
    assert_eq!(second.micro_dollars, 250_000);
    // The first has spent all of it and gives nothing back.
    let told = [spent("usr_ada", NOON, 500_000)];
    let again = database.exchange(&asker("ses_1", "usr_ada"), &told, true, NOON).grant.unwrap();
    assert_eq!(again.micro_dollars, 125_000);
    // Told twice, it counts once.
    let repeat = database.exchange(&asker("ses_1", "usr_ada"), &told, false, NOON);
    assert_eq!(
        (repeat.budgets[0].spent_micro_dollars, repeat.budgets[0].promised_micro_dollars),
        (500_000, 250_000)
    );
    assert_eq!(again.until, Timestamp(NOON + ledger::LEASE_MS));
    // The second is never heard of again.
    let late = database
        .exchange(&asker("ses_1", "usr_ada"), &told, true, NOON + ledger::FORGOTTEN_MS)
        .grant
        .unwrap();
    assert_eq!(late.micro_dollars, 250_000);
}

#[test]
fn the_own_budget_wins_over_that_of_everybody_and_periods_begin_anew() {
    let database = Database::new();
    database.set("user", "*", "day", Some(100_000));
    database.set("user", "usr_bob", "day", Some(300_000));
    let answer = |user, told: &[Spent<'_>], now| database.exchange(&asker("ses_1", user), told, true, now);
    assert_eq!(answer("usr_ada", &[], NOON).grant.unwrap().micro_dollars, 100_000);
    assert_eq!(answer("usr_bob", &[], NOON).grant.unwrap().micro_dollars, 150_000);
    let used = answer("usr_ada", &[spent("usr_ada", NOON, 100_000)], NOON);
    assert!(matches!(evaluate(&used.budgets), Verdict::Stop(budget, _) if budget.scope == BudgetScope::User));
    assert_eq!(used.grant.unwrap().micro_dollars, 0);
    assert_eq!(answer("usr_ada", &[], NOON + 12 * HOUR_MS).grant.unwrap().micro_dollars, 100_000);
    database.set("session", "*", "life", Some(100_000));
    let other = answer("usr_bob", &[], NOON + 12 * HOUR_MS);
    assert!(
        matches!(evaluate(&other.budgets), Verdict::Stop(budget, _) if budget.scope == BudgetScope::Session)
    );
    database.run(&(ledger::REMOVE, vec![Value::Text("session"), Value::Text("*")]));
    assert_eq!(answer("usr_bob", &[], NOON).grant.unwrap().micro_dollars, 150_000);
    let listed = database.list(NOON);
    assert_eq!(listed.iter().map(|budget| budget.subject.as_str()).collect::<Vec<_>>(), ["*", "usr_bob"]);
    assert_eq!(listed[1].promised_micro_dollars, 150_000);
}

#[test]
fn without_budgets_everything_is_granted_and_one_halt_is_in_force_at_a_time() {
    let database = Database::new();
    let free = database.exchange(&asker("ses_1", "usr_ada"), &[], true, NOON);
    assert_eq!(
        (free.budgets.len(), free.grant.unwrap().micro_dollars, free.halt),
        (0, ledger::GRANT_MICRO_DOLLARS, None)
    );
    let halt = |reason| (ledger::HALT, vec![Value::Text(reason), Value::Text("usr_op"), Value::Number(NOON)]);
    database.run(&halt("leak"));
    database.run(&halt("again"));
    let halted = database.exchange(&asker("ses_1", "usr_ada"), &[], false, NOON);
    assert_eq!((halted.grant, halted.halt), (None, Some(("leak".to_owned(), Timestamp(NOON)))));
    database.run(&(ledger::LIFT, vec![Value::Text("usr_op"), Value::Number(NOON)]));
    assert!(database.run(&(ledger::HALTED, Vec::new())).is_empty());
    database.run(&halt("again"));
    assert_eq!(database.run(&(ledger::HALTED, Vec::new()))[0].text(0), "again");
}

/// What a session of a history does next.
#[derive(Clone, Debug)]
enum Deed {
    /// Asks for more, or ends its turn; the answer gets lost now and then, after the ledger has written it.
    Ask { takes: bool, is_lost: bool },
    /// Makes a model call; told with the next question.
    Call { micro_dollars: u64 },
    /// Tells what it told before, late.
    Repeat,
    /// Nothing happens for a while, all in all less than until a grant is forgotten, in minutes.
    Sleep { minutes: u64 },
}

fn deeds() -> impl Strategy<Value = Vec<(usize, Deed)>> {
    let deed = prop_oneof![
        4 => (any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(takes, is_lost)| Deed::Ask { takes, is_lost }),
        6 => (1u64..60_000).prop_map(|micro_dollars| Deed::Call { micro_dollars }),
        1 => Just(Deed::Repeat),
        1 => (1u64..12).prop_map(|minutes| Deed::Sleep { minutes }),
    ];
    prop::collection::vec((0usize..4, deed), 1..120)
}

/// A session and its sandbox.
#[derive(Clone, Default)]
struct Agent {
    spent: u64,
    told: u64,
    /// How far spending may rise, and until when.
    allowance: (u64, u64),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_spent_stays_within_the_budget_but_for_single_calls(limit in 0u64..800_000, history in deeds()) {
        let database = Database::new();
        database.set("organisation", "", "life", Some(limit));
        database.set("user", "*", "life", Some(limit));
        let names = ["ses_0", "ses_1", "ses_2", "ses_3"];
        let mut agents = vec![Agent::default(); names.len()];
        let (mut now, mut beyond) = (NOON, 0);
        for (which, deed) in history {
            let agent = &mut agents[which];
            let asker = asker(names[which], "usr_ada");
            match deed {
                Deed::Ask { takes, is_lost } => {
                    let told = [spent("usr_ada", NOON, agent.spent)];
                    let answer = database.exchange(&asker, &told, takes, now);
                    agent.told = agent.spent;
                    match answer.grant {
                        Some(grant) if !is_lost => {
                            agent.allowance = (agent.spent + grant.micro_dollars, grant.until.0);
                        }
                        // The sandbox goes on with the last one.
                        Some(_) => {}
                        // The bridge was told before.
                        None => agent.allowance = (agent.spent, now),
                    }
                }
                Deed::Call { micro_dollars } => {
                    if agent.spent < agent.allowance.0 && now < agent.allowance.1 {
                        agent.spent += micro_dollars;
                        beyond += agent.spent.saturating_sub(agent.allowance.0);
                    }
                }
                Deed::Repeat => {
                    let late = [spent("usr_ada", NOON, agent.told / 2)];
                    for statement in ledger::exchange(&asker, &late, false, Timestamp(now)).into_iter().take(1) {
                        database.run(&statement);
                    }
                }
                Deed::Sleep { minutes } => now += minutes * 60_000,
            }
            let all: u64 = agents.iter().map(|agent| agent.spent).sum();
            prop_assert!(all <= limit + beyond, "{all} of {limit}, {beyond} by single calls");
        }
        let told: u64 = agents.iter().map(|agent| agent.told).sum();
        prop_assert_eq!(database.list(now).iter().find(|budget| budget.subject.is_empty()).unwrap().spent_micro_dollars, told);
    }
}
