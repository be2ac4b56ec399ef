//! Tables and properties of what answers mean.

use super::*;
use proptest::prelude::*;

struct Ada;

impl Names for Ada {
    fn user(&self, _: &str) -> String {
        "Ada".to_owned()
    }
}

fn budget(
    scope: BudgetScope,
    period: BudgetPeriod,
    money: Option<(u64, u64)>,
    tokens: Option<(u64, u64)>,
) -> Budget {
    Budget {
        scope,
        subject: "acme/shop".to_owned(),
        period,
        money_micro_dollars: money.map(|(limit, _)| limit),
        tokens: tokens.map(|(limit, _)| limit),
        turn_ms: None,
        spent_micro_dollars: money.map_or(0, |(_, spent)| spent),
        spent_tokens: tokens.map_or(0, |(_, spent)| spent),
        promised_micro_dollars: 0,
        promised_tokens: 0,
        sessions: None,
        sandboxes: None,
    }
}

#[test]
fn people_are_told_which_budget_how_much_and_who_can_change_it() {
    let session = budget(BudgetScope::Session, BudgetPeriod::Life, Some((1_500_000, 1_504_000)), None);
    assert_eq!(
        used_up(&session, Measure::Money, &Ada),
        "The budget of this session is used up: $1.51 of $1.50. An operator can raise it in the settings."
    );
    let user = budget(BudgetScope::User, BudgetPeriod::Day, None, Some((1000, 1000)));
    assert_eq!(
        used_up(&user, Measure::Tokens, &Ada),
        "The budget of Ada for today is used up: 1000 tokens of 1000 tokens. An operator can raise it in the settings. \
         It begins anew at midnight UTC."
    );
    let shared = Budget {
        promised_micro_dollars: 6_000_000,
        ..budget(BudgetScope::Repository, BudgetPeriod::Month, Some((9_000_000, 3_000_000)), None)
    };
    assert_eq!(
        used_up(&shared, Measure::Money, &Ada),
        "The budget of acme/shop for this month, $9.00, is spent or promised to sessions that run. An operator can raise it in the \
         settings. It begins anew with the month, UTC."
    );
    assert_eq!(
        remainder(&[Budget { turn_ms: Some(90_000), ..user }], &Ada).as_deref(),
        Some("The budget of Ada for today: 0 tokens of 1000 tokens left; time of this turn: 2 minutes")
    );
    assert_eq!(remainder(&[], &Ada), None);
}

#[test]
fn the_tightest_budget_decides_and_four_fifths_are_a_warning() {
    let of = |spent| budget(BudgetScope::Organisation, BudgetPeriod::Month, Some((100, spent)), None);
    for (spent, expected) in
        [(0, "free"), (79, "free"), (80, "warn"), (99, "warn"), (100, "stop"), (170, "stop")]
    {
        let budgets = [of(0), of(spent)];
        let found = match evaluate(&budgets) {
            Verdict::Free => "free",
            Verdict::Warn(budget, _) => {
                assert_eq!(budget.spent_micro_dollars, spent);
                "warn"
            }
            Verdict::Stop(budget, _) => {
                assert_eq!(budget.spent_micro_dollars, spent);
                "stop"
            }
        };
        assert_eq!(found, expected, "{spent}");
    }
}

#[test]
fn a_grant_without_limits_allows_anything_and_the_last_one_says_so() {
    let told = Spending { micro_dollars: 70, tokens: 7, refused: false };
    let grant = Some(Grant { micro_dollars: 20, tokens: 1000, until: Timestamp(9) });
    let free = allowance(&Answer { grant, ..Answer::default() }, told, Timestamp(1), &Ada);
    assert_eq!((free.micro_dollars, free.tokens, free.until), (None, None, None));
    let one = |limit| vec![budget(BudgetScope::Session, BudgetPeriod::Life, Some((limit, 80)), None)];
    let more = allowance(&Answer { budgets: one(200), grant, ..Answer::default() }, told, Timestamp(1), &Ada);
    assert_eq!(
        (more.micro_dollars, more.tokens, more.more, more.until),
        (Some(90), None, true, Some(Timestamp(9)))
    );
    let last = allowance(&Answer { budgets: one(100), grant, ..Answer::default() }, told, Timestamp(1), &Ada);
    assert_eq!((last.micro_dollars, last.more), (Some(90), false));
    assert!(last.reason.starts_with("The budget of this session"), "{}", last.reason);
}

proptest! {
    #[test]
    fn what_is_spent_or_promised_never_leaves_room_and_more_room_never_stops(
        limit in 0u64..1000, spent in 0u64..1500, promised in 0u64..1500, raise in 0u64..2000,
    ) {
        let with = |limit| Budget {
            promised_micro_dollars: promised,
            ..budget(BudgetScope::User, BudgetPeriod::Day, Some((limit, spent)), None)
        };
        let stops = |limit| matches!(evaluate(&[with(limit)]), Verdict::Stop(..));
        prop_assert_eq!(stops(limit), spent + promised >= limit);
        prop_assert!(!stops(limit) || limit + raise > spent + promised || stops(limit + raise));
        prop_assert!(percent_spent(&with(limit)) >= 100 || spent < limit.max(1));
    }
}
