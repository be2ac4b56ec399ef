//! What the ledger's answer means for a session: whether its agent may go on, how far, and what people are told.

use protocol::budget::{Allowance, Budget, BudgetPeriod, BudgetScope, Spending};
use protocol::time::Timestamp;

/// From this share of a budget on, in hundredths, people are warned.
pub const WARN_PERCENT: u64 = 80;

/// What the ledger knows of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Those that count for it.
    pub budgets: Vec<Budget>,
    /// What its turn may spend beyond what it has told; nothing was asked for where absent.
    pub grant: Option<Grant>,
    /// Everything is halted: in whose words, and since when.
    pub halt: Option<(String, Timestamp)>,
}

/// What a turn was granted, whether or not a budget limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Millionths of a dollar.
    pub micro_dollars: u64,
    /// Read and written.
    pub tokens: u64,
    /// It counts until then.
    pub until: Timestamp,
}

/// What a budget limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Cost.
    Money,
    /// Tokens.
    Tokens,
}

/// Limit, what is spent, and what others may spend, of one measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    limit: u64,
    spent: u64,
    promised: u64,
}

impl Account {
    fn of(budget: &Budget, measure: Measure) -> Option<Self> {
        Some(match measure {
            Measure::Money => Self {
                limit: budget.money_micro_dollars?,
                spent: budget.spent_micro_dollars,
                promised: budget.promised_micro_dollars,
            },
            Measure::Tokens => {
                Self { limit: budget.tokens?, spent: budget.spent_tokens, promised: budget.promised_tokens }
            }
        })
    }

    fn room(self) -> u64 {
        self.limit.saturating_sub(self.spent).saturating_sub(self.promised)
    }
}

/// Whether an agent may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It may.
    Free,
    /// It may; people are told that a budget comes to its end.
    Warn(&'a Budget, Measure),
    /// It may not: of this budget nothing is left.
    Stop(&'a Budget, Measure),
}

/// Whether an agent that these budgets count for may spend more.
#[must_use]
pub fn evaluate(budgets: &[Budget]) -> Verdict<'_> {
    let mut warn = None;
    for budget in budgets {
        for measure in [Measure::Money, Measure::Tokens] {
            let Some(account) = Account::of(budget, measure) else { continue };
            if account.room() == 0 {
                return Verdict::Stop(budget, measure);
            }
            if percent(account) >= WARN_PERCENT {
                warn = warn.or(Some(Verdict::Warn(budget, measure)));
            }
        }
    }
    warn.unwrap_or(Verdict::Free)
}

/// Spent of a limit, in hundredths; what has no limit is not spent.
#[must_use]
pub fn percent_spent(budget: &Budget) -> u64 {
    let of = |measure| Account::of(budget, measure).map_or(0, percent);
    of(Measure::Money).max(of(Measure::Tokens))
}

fn percent(account: Account) -> u64 {
    let share = u128::from(account.spent) * 100 / u128::from(account.limit.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Longest time of a turn, where budgets limit it.
#[must_use]
pub fn turn_ms(budgets: &[Budget]) -> Option<u64> {
    budgets.iter().filter_map(|budget| budget.turn_ms).min()
}

/// Whether any of the budgets limits what may be spent.
#[must_use]
pub fn is_limited(budgets: &[Budget]) -> bool {
    budgets.iter().any(|budget| budget.money_micro_dollars.is_some() || budget.tokens.is_some())
}

/// How far a sandbox's spending may rise from `told`, which is what the ledger knew of it when it granted. Without limits any far.
#[must_use]
pub fn allowance(answer: &Answer, told: Spending, asked_at: Timestamp, names: &dyn Names) -> Allowance {
    let free = Allowance {
        asked_at,
        micro_dollars: None,
        tokens: None,
        until: None,
        more: true,
        reason: String::new(),
    };
    let Some(grant) = answer.grant.filter(|_| is_limited(&answer.budgets)) else { return free };
    let tightest = |measure| {
        let accounts =
            answer.budgets.iter().filter_map(|budget| Some((budget, Account::of(budget, measure)?)));
        accounts.min_by_key(|(_, account)| account.room())
    };
    let (money, tokens) = (tightest(Measure::Money), tightest(Measure::Tokens));
    let is_last = |found: &Option<(&Budget, Account)>, granted| {
        found.as_ref().is_some_and(|(_, account)| account.room() <= granted)
    };
    let (last_money, last_tokens) = (is_last(&money, grant.micro_dollars), is_last(&tokens, grant.tokens));
    let binding = match (&money, &tokens) {
        (Some((budget, _)), _) if last_money || !last_tokens => Some((*budget, Measure::Money)),
        (_, Some((budget, _))) => Some((*budget, Measure::Tokens)),
        (Some((budget, _)), None) => Some((*budget, Measure::Money)),
        (None, None) => None,
    };
    Allowance {
        micro_dollars: money.map(|_| told.micro_dollars.saturating_add(grant.micro_dollars)),
        tokens: tokens.map(|_| told.tokens.saturating_add(grant.tokens)),
        until: Some(grant.until),
        more: !(last_money || last_tokens),
        reason: binding.map(|(budget, measure)| will_be_used_up(budget, measure, names)).unwrap_or_default(),
        ..free
    }
}

/// What a call is told that finds nothing left of what was granted.
fn will_be_used_up(budget: &Budget, measure: Measure, names: &dyn Names) -> String {
    let mut then = budget.clone();
    match measure {
        Measure::Money if budget.promised_micro_dollars == 0 => {
            then.spent_micro_dollars = budget.money_micro_dollars.unwrap_or_default();
        }
        Measure::Tokens if budget.promised_tokens == 0 => {
            then.spent_tokens = budget.tokens.unwrap_or_default()
        }
        Measure::Money | Measure::Tokens => {}
    }
    used_up(&then, measure, names)
}

/// What people call those whom budgets are for.
pub trait Names {
    /// A user, by id.
    fn user(&self, user_id: &str) -> String;
}

/// That a budget is used up, for people: which, how much, and who can change it.
#[must_use]
pub fn used_up(budget: &Budget, measure: Measure, names: &dyn Names) -> String {
    let Some(account) = Account::of(budget, measure) else { return String::new() };
    let limit = amount(account.limit, measure);
    let name = name(budget, names);
    let when = match budget.period {
        BudgetPeriod::Day => " It begins anew at midnight UTC.",
        BudgetPeriod::Month => " It begins anew with the month, UTC.",
        BudgetPeriod::Life | BudgetPeriod::Unknown => "",
    };
    let state = if account.spent < account.limit && account.promised > 0 {
        format!("{name}, {limit}, is spent or promised to sessions that run")
    } else {
        format!("{name} is used up: {} of {limit}", amount(account.spent, measure))
    };
    format!("{state}. An operator can raise it in the settings.{when}")
}

/// What is left, for the agent; nothing where nothing is limited.
#[must_use]
pub fn remainder(budgets: &[Budget], names: &dyn Names) -> Option<String> {
    let mut lines = Vec::new();
    for budget in budgets {
        for measure in [Measure::Money, Measure::Tokens] {
            if let Some(account) = Account::of(budget, measure) {
                let (left, limit) = (amount(account.room(), measure), amount(account.limit, measure));
                lines.push(format!("{}: {left} of {limit} left", name(budget, names)));
            }
        }
    }
    if let Some(ms) = turn_ms(budgets) {
        lines.push(format!("time of this turn: {} minutes", ms.div_ceil(60_000)));
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// A budget, for people.
fn name(budget: &Budget, names: &dyn Names) -> String {
    let whose = match budget.scope {
        BudgetScope::Session => "of this session".to_owned(),
        BudgetScope::User => format!("of {}", names.user(&budget.subject)),
        BudgetScope::Repository => format!("of {}", budget.subject),
        BudgetScope::Organisation => "of everybody here".to_owned(),
        BudgetScope::Unknown => "that counts here".to_owned(),
    };
    let time = match budget.period {
        BudgetPeriod::Day => " for today",
        BudgetPeriod::Month => " for this month",
        BudgetPeriod::Life | BudgetPeriod::Unknown => "",
    };
    format!("The budget {whose}{time}")
}

fn amount(number: u64, measure: Measure) -> String {
    match measure {
        // Rounded up, because nothing is not spent.
        Measure::Money => {
            let cents = number.div_ceil(10_000);
            format!("${}.{:02}", cents / 100, cents % 100)
        }
        Measure::Tokens => format!("{number} tokens"),
    }
}

#[cfg(test)]
mod tests;
