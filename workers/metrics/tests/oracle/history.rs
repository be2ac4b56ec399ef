//! What happened in some sessions, event by event, and how their objects told of it.

use metrics::calendar::{DAY_MS, Date, Moment};
use metrics::period::{Asked, Period};
use metrics::record::Facts;
use proptest::prelude::*;
use proptest::sample::Index;

pub(crate) const USERS: std::ops::Range<u8> = 0..5;
pub(crate) const REPOSITORIES: [&str; 3] = ["acme/shop", "acme/site", "zoo/api"];
pub(crate) const KINDS: [&str; 4] = ["warm", "image", "snapshot", "base"];
/// 2026-03-20; clocks change in the days after.
const FIRST_DAY: i64 = 20_532;
const DAYS: i64 = 24;
const MINUTE: i64 = 60_000;

/// Names of a user.
pub(crate) trait Named {
    fn user_id(&self) -> String;
    fn name(&self) -> String;
}

impl Named for u8 {
    fn user_id(&self) -> String {
        format!("usr_{self}")
    }

    fn name(&self) -> String {
        format!("User {self}")
    }
}

/// One thing that happened in a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Joined {
        user: u8,
    },
    Prompted {
        user: u8,
    },
    /// The newest prompt of the user that is left was taken back.
    TakenBack {
        user: u8,
    },
    /// The agent said something.
    Said,
    /// A turn of the user's prompt ended well or not, and took this much.
    TurnEnded {
        user: u8,
        completed: bool,
        input: u32,
        output: u32,
        cost: u32,
    },
    PullCreated,
    PullMerged,
    Started {
        kind: u8,
        waited: u32,
    },
}

/// A session: when it began, and what happened how long after what was before.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) repository: u8,
    day: i64,
    after_midnight: i64,
    events: Vec<(i64, Event)>,
}

/// Everything that happened, and what is asked about it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) sessions: Vec<Session>,
    offset: i64,
    change: i64,
    change_day: i64,
    change_minute: i64,
    from: (i64, i64),
    days: i64,
    step: Step,
    visible: Option<Vec<u8>>,
    user: Option<String>,
    told: Vec<(Index, Index, u32)>,
    pub(crate) images: Vec<(String, i64)>,
    pub(crate) totals: Vec<(String, u32)>,
    pub(crate) now: u64,
}

type Step = u8;

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => USERS.prop_map(|user| Event::Joined { user }),
        4 => USERS.prop_map(|user| Event::Prompted { user }),
        1 => USERS.prop_map(|user| Event::TakenBack { user }),
        2 => Just(Event::Said),
        3 => (USERS, any::<bool>(), 0..9_000_u32, 0..900_u32, 0..900_000_u32).prop_map(|(user, completed, input, output, cost)| {
            Event::TurnEnded { user, completed, input, output, cost }
        }),
        2 => Just(Event::PullCreated),
        2 => Just(Event::PullMerged),
        2 => (0..4_u8, 0..60_000_u32).prop_map(|(kind, waited)| Event::Started { kind, waited }),
    ]
}

fn sessions() -> impl Strategy<Value = Session> {
    // Borders of days and hours, and the moments beside them, are where something can be counted twice or not at all.
    let near = prop_oneof![Just(0), Just(-1), Just(1), Just(3_600_000), Just(3_599_999), 0..DAY_MS];
    let gap = prop_oneof![0..5_000_i64, 0..DAY_MS];
    (0..3_u8, 0..DAYS, near, prop::collection::vec((gap, events()), 0..14)).prop_map(
        |(repository, day, after_midnight, events)| Session { repository, day, after_midnight, events },
    )
}

pub(crate) fn histories() -> impl Strategy<Value = History> {
    let zone = (-48..=56_i64, -4..=4_i64, 0..DAYS, 0..1_440_i64);
    let period = (0..DAYS, prop_oneof![Just(0), -3_000..3_000_i64], 1..DAYS, 0..3_u8);
    let visible = prop::option::of(prop::collection::vec(0..3_u8, 0..3));
    let user = prop::option::weighted(0.3, USERS.prop_map(|user| user.user_id()));
    let told = prop::collection::vec((any::<Index>(), any::<Index>(), any::<u32>()), 0..24);
    let images = prop::collection::btree_map(0..3_usize, 0..DAYS * DAY_MS, 0..3);
    let totals = prop::collection::btree_map(0..3_usize, 0..9_u32, 0..3);
    let asked = (period, visible, user, images, totals, 0..DAYS * DAY_MS);
    (prop::collection::vec(sessions(), 0..7), zone, asked, told).prop_map(|(sessions, zone, asked, told)| {
        let (offset, change, change_day, change_minute) = zone;
        let ((day, minutes, days, step), visible, user, images, totals, now) = asked;
        let named = |place: usize| REPOSITORIES[place].to_owned();
        History {
            sessions,
            offset: offset * 15 * MINUTE,
            change: change * 15 * MINUTE,
            change_day,
            change_minute,
            from: (day, minutes),
            days,
            step,
            visible,
            user,
            told,
            images: images.into_iter().map(|(place, at)| (named(place), FIRST_DAY * DAY_MS + at)).collect(),
            totals: totals.into_iter().map(|(place, total)| (named(place), total)).collect(),
            now: u64::try_from(FIRST_DAY * DAY_MS + now).unwrap(),
        }
    })
}

impl History {
    /// A zone whose clocks are changed once.
    pub(crate) fn zone(&self) -> impl Fn(Moment) -> i64 + use<> {
        let at = (FIRST_DAY + self.change_day) * DAY_MS + self.change_minute * MINUTE;
        let (offset, change) = (self.offset, self.change);
        move |moment| if moment >= at { offset + change } else { offset }
    }

    /// What is asked about: whole days, or what lies beside them.
    pub(crate) fn period(&self, zone: &dyn Fn(Moment) -> i64) -> Period {
        let write = |day: i64, minutes: i64| {
            let date = |day| {
                let (year, month, day) = Date(day).numbers();
                format!("{year}-{month:02}-{day:02}")
            };
            if minutes == 0 {
                return date(day);
            }
            let moment = day * DAY_MS + minutes * MINUTE;
            let of_day = moment.rem_euclid(DAY_MS) / MINUTE;
            format!("{}T{:02}:{:02}:00Z", date(moment.div_euclid(DAY_MS)), of_day / 60, of_day % 60)
        };
        let (day, minutes) = self.from;
        let from = write(FIRST_DAY + day, minutes);
        let to = write(FIRST_DAY + day + self.days, 0);
        let step = ["day", "week", "month"][usize::from(self.step)];
        // A period that begins some days after its midnight may be empty.
        let whole = write(FIRST_DAY + day, 0);
        let read =
            |from: &str| Period::read(Asked { from: Some(from), to: Some(&to), step: Some(step) }, 0, zone);
        read(&from).or_else(|_| read(&whole)).unwrap()
    }

    pub(crate) fn sees(&self, repository: &str) -> bool {
        self.visible
            .as_ref()
            .is_none_or(|visible| visible.iter().any(|place| REPOSITORIES[usize::from(*place)] == repository))
    }

    pub(crate) fn visible_json(&self) -> Option<String> {
        self.visible.as_ref().map(|visible| {
            let names: Vec<&str> = visible.iter().map(|place| REPOSITORIES[usize::from(*place)]).collect();
            format!("{names:?}")
        })
    }

    pub(crate) fn only_user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// What is told: any state of any session at any time, and of each the last one at some time.
    pub(crate) fn deliveries(&self) -> Vec<Facts> {
        if self.sessions.is_empty() {
            return Vec::new();
        }
        let zone = self.zone();
        let picked = self.told.iter().map(|(session, count, key)| {
            let place = session.index(self.sessions.len());
            (*key, place, count.index(self.sessions[place].events.len() + 1))
        });
        let last = self.sessions.iter().enumerate().map(|(place, session)| {
            let key = self.told.get(place).map_or(0, |(_, _, key)| key.rotate_left(7));
            (key, place, session.events.len())
        });
        let mut told: Vec<_> = picked.chain(last).collect();
        told.sort_unstable();
        told.into_iter().map(|(_, place, count)| self.sessions[place].facts(place, count, &zone)).collect()
    }
}

/// Of each user who was there: moments of prompts that count, and tokens read, written, and cost.
type People = [Option<(Vec<Moment>, [u64; 3])>; 5];

fn person(people: &mut People, user: u8) -> &mut (Vec<Moment>, [u64; 3]) {
    people[usize::from(user)].get_or_insert_with(|| (Vec::new(), [0; 3]))
}

impl Session {
    pub(crate) fn started_at(&self, zone: &dyn Fn(Moment) -> i64) -> Moment {
        Date(FIRST_DAY + self.day).begin(zone) + self.after_midnight
    }

    pub(crate) fn repository(&self) -> &'static str {
        REPOSITORIES[usize::from(self.repository)]
    }

    /// Everything with its moment. The first user has created the session.
    pub(crate) fn log(&self, zone: &dyn Fn(Moment) -> i64) -> Vec<(Moment, Event)> {
        let mut at = self.started_at(zone);
        let creation = (at, Event::Joined { user: 0 });
        let events = self.events.iter().map(|(gap, event)| {
            at += gap;
            (at, *event)
        });
        std::iter::once(creation).chain(events).collect()
    }

    /// What its object knows after `count` events, kept up with each of them.
    fn facts(&self, place: usize, count: usize, zone: &dyn Fn(Moment) -> i64) -> Facts {
        let mut facts = Facts {
            session_id: format!("ses_{place}"),
            revision: count as u64 + 1,
            repository: self.repository().to_owned(),
            started_at: u64::try_from(self.started_at(zone)).unwrap(),
            prompted_at: None,
            first_token_at: None,
            completed_at: None,
            pull_created_at: None,
            pull_merged_at: None,
            prompts: 0,
            participants: 0,
            input_tokens: 0,
            output_tokens: 0,
            cost_micro_usd: 0,
            people: String::new(),
            starts: String::new(),
        };
        let mut people = People::default();
        let mut starts = Vec::new();
        for (at, event) in self.log(zone).into_iter().take(count + 1) {
            let moment = u64::try_from(at).unwrap();
            match event {
                Event::Joined { user } => {
                    person(&mut people, user);
                }
                Event::Prompted { user } => {
                    person(&mut people, user).0.push(at);
                    facts.prompted_at.get_or_insert(moment);
                }
                Event::TakenBack { user } => {
                    person(&mut people, user).0.pop();
                }
                Event::Said if facts.prompted_at.is_some() => {
                    facts.first_token_at.get_or_insert(moment);
                }
                Event::Said => {}
                Event::TurnEnded { user, completed, input, output, cost } => {
                    for (sum, more) in person(&mut people, user).1.iter_mut().zip([input, output, cost]) {
                        *sum += u64::from(more);
                    }
                    facts.input_tokens += u64::from(input);
                    facts.output_tokens += u64::from(output);
                    facts.cost_micro_usd += u64::from(cost);
                    if completed {
                        facts.completed_at = Some(moment);
                    }
                }
                Event::PullCreated => {
                    facts.pull_created_at.get_or_insert(moment);
                }
                Event::PullMerged if facts.pull_created_at.is_some() => {
                    facts.pull_merged_at.get_or_insert(moment);
                }
                Event::PullMerged => {}
                Event::Started { kind, waited } => {
                    starts.push(format!("[{},{:?},{at},{waited}]", starts.len(), KINDS[usize::from(kind)]));
                }
            }
        }
        let known = people.iter().enumerate().filter_map(|(user, person)| Some((user, person.as_ref()?)));
        let rows: Vec<String> = known
            .map(|(user, (prompts, [input, output, cost]))| {
                facts.prompts += prompts.len() as u64;
                facts.participants += 1;
                let last = prompts.last().map_or("null".to_owned(), ToString::to_string);
                format!("[\"usr_{user}\",{},{last},{input},{output},{cost}]", prompts.len())
            })
            .collect();
        facts.people = format!("[{}]", rows.join(","));
        facts.starts = format!("[{}]", starts.join(","));
        facts
    }
}
