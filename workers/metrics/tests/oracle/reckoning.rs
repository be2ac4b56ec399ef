//! The same figures, reckoned from everything that happened by looking through all of it for each. Slow, and plain enough to be believed.

use crate::database::Database;
use crate::history::{Event, History, KINDS, Named, REPOSITORIES, Session, USERS};
use metrics::calendar::Moment;
use metrics::period::Period;
use metrics::query::{self, Scope};
use metrics::table::Cell;

/// A session as somebody would tell of it who was there all the time.
struct Told {
    repository: &'static str,
    started_at: Moment,
    log: Vec<(Moment, Event)>,
}

impl Told {
    fn of(session: &Session, zone: &dyn Fn(Moment) -> i64) -> Self {
        Self {
            repository: session.repository(),
            started_at: session.started_at(zone),
            log: session.log(zone),
        }
    }

    fn first(&self, is_it: impl Fn(&Event) -> bool) -> Option<usize> {
        self.log.iter().position(|(_, event)| is_it(event))
    }

    fn at(&self, place: usize) -> Moment {
        self.log[place].0
    }

    /// The first of one kind at or after the first of another.
    fn first_after(&self, before: impl Fn(&Event) -> bool, is_it: impl Fn(&Event) -> bool) -> Option<Moment> {
        let begin = self.first(before)?;
        self.log[begin..].iter().find(|(_, event)| is_it(event)).map(|(at, _)| *at)
    }

    fn pull_created_at(&self) -> Option<Moment> {
        self.first(|event| matches!(event, Event::PullCreated)).map(|place| self.at(place))
    }

    fn is_merged(&self) -> bool {
        self.first_after(
            |event| matches!(event, Event::PullCreated),
            |event| matches!(event, Event::PullMerged),
        )
        .is_some()
    }

    fn first_token_ms(&self) -> Option<i64> {
        let prompted = |event: &Event| matches!(event, Event::Prompted { .. });
        let said = self.first_after(prompted, |event| matches!(event, Event::Said))?;
        Some(said - self.at(self.first(prompted)?))
    }

    /// Moments of the prompts of a user that were not taken back.
    fn prompts_of(&self, user: u8) -> Vec<Moment> {
        let mut prompts = Vec::new();
        for (at, event) in &self.log {
            if matches!(event, Event::Prompted { user: by } if *by == user) {
                prompts.push(*at);
            } else if matches!(event, Event::TakenBack { user: by } if *by == user) {
                prompts.pop();
            }
        }
        prompts
    }

    fn prompts(&self) -> usize {
        USERS.map(|user| self.prompts_of(user).len()).sum()
    }

    /// Whoever did something in it.
    fn has(&self, user: u8) -> bool {
        self.log.iter().any(|(_, event)| match event {
            Event::Joined { user: by } | Event::Prompted { user: by } | Event::TakenBack { user: by } => {
                *by == user
            }
            Event::TurnEnded { user: by, .. } => *by == user,
            Event::Said | Event::PullCreated | Event::PullMerged | Event::Started { .. } => false,
        })
    }

    /// Tokens read and written, and millionths of a dollar.
    fn usage(&self, of: impl Fn(u8) -> bool) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for (_, event) in &self.log {
            if let Event::TurnEnded { user, input, output, cost, .. } = event
                && of(*user)
            {
                for (sum, more) in sums.iter_mut().zip([input, output, cost]) {
                    *sum += f64::from(*more);
                }
            }
        }
        sums
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn number(count: usize) -> f64 {
    count as f64
}

fn ratio(dividend: f64, divisor: f64) -> f64 {
    if divisor == 0.0 { 0.0 } else { dividend / divisor }
}

#[expect(clippy::cast_precision_loss, reason = "some days of milliseconds")]
fn average(values: &[i64]) -> f64 {
    ratio(values.iter().sum::<i64>() as f64, number(values.len()))
}

/// The smallest value that so many of a hundred do not exceed.
#[expect(clippy::cast_precision_loss, reason = "some days of milliseconds")]
fn percentile(values: &[i64], percent: usize) -> f64 {
    let enough =
        |limit: &&i64| values.iter().filter(|value| value <= limit).count() * 100 >= values.len() * percent;
    values.iter().filter(enough).min().copied().unwrap_or_default() as f64
}

/// A moment as the database answers it.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn moment(at: Moment) -> Cell {
    Cell::Number(at as f64)
}

fn numbers(values: impl IntoIterator<Item = f64>) -> Vec<Cell> {
    values.into_iter().map(Cell::Number).collect()
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Asks the database everything and compares.
pub(crate) fn compare(
    database: &Database,
    history: &History,
    period: &Period,
    ends: &Scope<'_>,
    parts: &Scope<'_>,
) {
    let zone = history.zone();
    let told: Vec<Told> = history.sessions.iter().map(|session| Told::of(session, &zone)).collect();
    let all: Vec<&Told> = told.iter().filter(|session| history.sees(session.repository)).collect();
    let within = |from: Moment, to: Moment| -> Vec<&Told> {
        all.iter().copied().filter(|session| (from..to).contains(&session.started_at)).collect()
    };
    let sessions = within(period.from, period.to);
    same("adoption", &database.ask(&query::adoption(ends)), &[adoption(&sessions)]);
    let series: Vec<_> = period
        .borders
        .windows(2)
        .map(|part| {
            let mut row = vec![moment(part[0])];
            row.extend(numbers(part_of_series(&within(part[0], part[1]))));
            row
        })
        .collect();
    same("series", &database.ask(&query::series(parts)), &series);
    same(
        "repositories",
        &database.ask(&query::repositories(ends)),
        &repositories(history, period, &all, &sessions),
    );
    same("people", &database.ask(&query::people(ends)), &people(history, &sessions));
    same("starts", &database.ask(&query::starts(ends)), &starts(period, &all));
    same("images", &database.ask(&query::images(ends)), &images(history));
    let live = USERS.filter(|user| {
        let since = i64::try_from(history.now).unwrap() - 300_000;
        all.iter().any(|session| session.prompts_of(*user).last().is_some_and(|at| *at > since))
    });
    same("live", &database.ask(&query::live(ends)), &[numbers([number(live.count())])]);
}

/// Equal, up to the last digits of fractions.
fn same(what: &str, found: &[Vec<Cell>], expected: &[Vec<Cell>]) {
    let is_same = |found: &Cell, expected: &Cell| match (found, expected) {
        (Cell::Number(found), Cell::Number(expected)) => {
            (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
        }
        (found, expected) => found == expected,
    };
    let rows = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| is_same(found, expected))
        });
    assert!(rows, "{what}: the database answers\n{found:?}\nthe history says\n{expected:?}");
}

fn adoption(sessions: &[&Told]) -> Vec<Cell> {
    let count = number(sessions.len());
    let created = number(sessions.iter().filter(|session| session.pull_created_at().is_some()).count());
    let merged = number(sessions.iter().filter(|session| session.is_merged()).count());
    let waits: Vec<i64> = sessions.iter().filter_map(|session| session.first_token_ms()).collect();
    let users = USERS.filter(|user| sessions.iter().any(|session| session.has(*user))).count();
    let prompts = number(sessions.iter().map(|session| session.prompts()).sum());
    let [input, output, cost] = usage(sessions);
    let cost = cost / 1e6;
    numbers([
        count,
        created,
        merged,
        ratio(merged, created),
        average(&waits),
        percentile(&waits, 50),
        percentile(&waits, 95),
        number(users),
        number(multiplayer(sessions)),
        prompts,
        ratio(prompts, count),
        input,
        output,
        cost,
        ratio(cost, count),
        ratio(cost, merged),
        ratio(input + output, count),
        ratio(input + output, merged),
    ])
}

fn multiplayer(sessions: &[&Told]) -> usize {
    sessions.iter().filter(|session| USERS.filter(|user| session.has(*user)).count() > 1).count()
}

fn usage(sessions: &[&Told]) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for session in sessions {
        for (sum, more) in sums.iter_mut().zip(session.usage(|_| true)) {
            *sum += more;
        }
    }
    sums
}

fn part_of_series(sessions: &[&Told]) -> [f64; 9] {
    let waits: Vec<i64> = sessions.iter().filter_map(|session| session.first_token_ms()).collect();
    let [input, output, cost] = usage(sessions);
    [
        number(sessions.len()),
        number(sessions.iter().filter(|session| session.pull_created_at().is_some()).count()),
        number(sessions.iter().filter(|session| session.is_merged()).count()),
        average(&waits),
        number(multiplayer(sessions)),
        number(sessions.iter().map(|session| session.prompts()).sum()),
        input,
        output,
        cost / 1e6,
    ]
}

fn repositories(history: &History, period: &Period, all: &[&Told], sessions: &[&Told]) -> Vec<Vec<Cell>> {
    let mut rows: Vec<(usize, Vec<Cell>)> = Vec::new();
    for repository in REPOSITORIES {
        let own: Vec<&Told> =
            sessions.iter().copied().filter(|session| session.repository == repository).collect();
        let is_opened = |session: &&&Told| {
            session.repository == repository
                && session.pull_created_at().is_some_and(|at| (period.from..period.to).contains(&at))
        };
        let opened = all.iter().filter(is_opened).count();
        if own.is_empty() && opened == 0 {
            continue;
        }
        let [count, created, merged, _, _, prompts, input, output, cost] = part_of_series(&own);
        let mut row = vec![text(repository)];
        let share = ratio(merged, created);
        row.extend(numbers([
            count,
            created,
            merged,
            share,
            ratio(prompts, count),
            input,
            output,
            cost,
            number(opened),
        ]));
        match history.totals.iter().find(|(name, _)| name == repository) {
            None => row.extend([Cell::Nothing, Cell::Nothing]),
            Some((_, total)) => {
                let total = f64::from(*total);
                row.extend(numbers([total, ratio(number(opened), total.max(number(opened)))]));
            }
        }
        rows.push((own.len(), row));
    }
    rows.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn people(history: &History, sessions: &[&Told]) -> Vec<Vec<Cell>> {
    let mut rows: Vec<(usize, Vec<Cell>)> = Vec::new();
    for user in USERS.filter(|user| history.only_user().is_none_or(|only| only == user.user_id())) {
        let own: Vec<&&Told> = sessions.iter().filter(|session| session.has(user)).collect();
        if own.is_empty() {
            continue;
        }
        let prompts = own.iter().map(|session| session.prompts_of(user).len()).sum();
        let mut sums = [0.0; 3];
        for session in &own {
            for (sum, more) in sums.iter_mut().zip(session.usage(|by| by == user)) {
                *sum += more;
            }
        }
        let [input, output, cost] = sums;
        let mut row = vec![text(&user.user_id()), text(&user.name())];
        row.extend(numbers([number(own.len()), number(prompts), input, output, cost / 1e6]));
        rows.push((prompts, row));
    }
    rows.sort_by_key(|(prompts, _)| std::cmp::Reverse(*prompts));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn starts(period: &Period, all: &[&Told]) -> Vec<Vec<Cell>> {
    let waits = |kind: &str| -> Vec<i64> {
        let events = all.iter().flat_map(|session| &session.log);
        let here = events.filter(|(at, _)| (period.from..period.to).contains(at));
        here.filter_map(|(_, event)| {
            let Event::Started { kind: of, waited } = event else { return None };
            (KINDS[usize::from(*of)] == kind).then_some(i64::from(*waited))
        })
        .collect()
    };
    let fresh: usize = ["warm", "image", "base"].into_iter().map(|kind| waits(kind).len()).sum();
    KINDS
        .into_iter()
        .map(|kind| {
            let waits = waits(kind);
            let share = if kind == "snapshot" { 0.0 } else { ratio(number(waits.len()), number(fresh)) };
            let mut row = vec![text(kind)];
            row.extend(numbers([
                number(waits.len()),
                average(&waits),
                percentile(&waits, 50),
                percentile(&waits, 95),
                share,
            ]));
            row
        })
        .collect()
}

fn images(history: &History) -> Vec<Vec<Cell>> {
    let mut known: Vec<_> =
        history.images.iter().filter(|(repository, _)| history.sees(repository)).collect();
    known.sort_by_key(|(repository, at)| (*at, repository.clone()));
    let now = i64::try_from(history.now).unwrap();
    known
        .into_iter()
        .map(|(repository, at)| vec![text(repository), moment(*at), moment((now - at).max(0))])
        .collect()
}
