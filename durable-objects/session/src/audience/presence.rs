//! Who is looking, told as differences: a user with three windows is there once, and one who only reloads was never away.

use platform::map::Map;
use protocol::id::UserId;

/// Connections by user, and what viewers were told of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    users: Map<UserId, Known>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    connections: u32,
    /// Whether viewers believe that this user is there.
    announced: bool,
}

/// The difference to what viewers know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceChange {
    /// Users that were not looking before.
    pub joined: Vec<UserId>,
    /// Users that no connection is left of.
    pub left: Vec<UserId>,
}

impl Presence {
    /// The connections that there were before; viewers know of them.
    #[must_use]
    pub fn of(users: impl IntoIterator<Item = UserId>) -> Self {
        let mut presence = Self::default();
        for user in users {
            presence.users.change(user, Known::default(), |known| {
                known.connections += 1;
                known.announced = true;
            });
        }
        presence
    }

    /// One more connection.
    pub fn join(&mut self, user: UserId) {
        self.users.change(user, Known::default(), |known| known.connections += 1);
    }

    /// One connection less.
    pub fn leave(&mut self, user: &UserId) {
        if let Some(known) = self.users.get_mut(user) {
            known.connections = known.connections.saturating_sub(1);
        }
    }

    /// One connection less, of which nothing was known: it was there before all that is remembered.
    pub fn miss(&mut self, user: UserId) {
        self.users.change(user, Known { connections: 0, announced: true }, |_| ());
    }

    /// Everyone with a connection.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.users.iter().filter(|(_, known)| known.connections > 0).map(|(user, _)| user)
    }

    /// Everyone of whom viewers know.
    pub fn announced(&self) -> impl Iterator<Item = &UserId> {
        self.users.iter().filter(|(_, known)| known.announced).map(|(user, _)| user)
    }

    /// What viewers are to be told; `None` when nothing is new.
    pub fn take_change(&mut self) -> Option<PresenceChange> {
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for (user, known) in self.users.iter_mut() {
            let is_there = known.connections > 0;
            if is_there != known.announced {
                known.announced = is_there;
                if is_there { &mut joined } else { &mut left }.push(user.clone());
            }
        }
        self.users.retain(|_, known| known.connections > 0);
        (!joined.is_empty() || !left.is_empty()).then_some(PresenceChange { joined, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn user(number: u8) -> UserId {
        UserId::parse(&format!("usr_{number}")).unwrap()
    }

    #[test]
    fn a_user_is_there_once_however_many_windows() {
        let mut presence = Presence::of([user(1), user(1)]);
        presence.join(user(2));
        presence.join(user(2));
        presence.leave(&user(1));
        assert_eq!(presence.take_change(), Some(PresenceChange { joined: vec![user(2)], left: Vec::new() }));
        presence.leave(&user(1));
        presence.leave(&user(1));
        assert_eq!(presence.take_change(), Some(PresenceChange { joined: Vec::new(), left: vec![user(1)] }));
        assert_eq!(presence.take_change(), None);
    }

    #[test]
    fn a_reload_is_no_news() {
        let mut presence = Presence::of([user(1)]);
        presence.leave(&user(1));
        presence.join(user(1));
        presence.join(user(2));
        presence.leave(&user(2));
        assert_eq!(presence.take_change(), None);
    }

    #[test]
    fn who_left_while_nobody_looked_is_told() {
        let mut presence = Presence::of([user(1)]);
        presence.miss(user(1));
        assert_eq!(presence.take_change(), None, "another window is open");
        presence.miss(user(2));
        assert_eq!(presence.take_change(), Some(PresenceChange { joined: Vec::new(), left: vec![user(2)] }));
    }

    proptest! {
        #[test]
        fn differences_add_up_to_what_is(acts in prop::collection::vec((0..4u8, 0..3u8), 0..60)) {
            let mut presence = Presence::default();
            let mut counts = [0u32; 4];
            let mut told = BTreeSet::new();
            for (who, what) in acts {
                match what {
                    0 => {
                        presence.join(user(who));
                        counts[usize::from(who)] += 1;
                    }
                    1 => {
                        presence.leave(&user(who));
                        counts[usize::from(who)] = counts[usize::from(who)].saturating_sub(1);
                    }
                    _ => if let Some(change) = presence.take_change() {
                        for left in &change.left {
                            prop_assert!(told.remove(left));
                        }
                        for joined in change.joined {
                            prop_assert!(told.insert(joined));
                        }
                        prop_assert!(told.iter().eq(presence.users()));
                        prop_assert!(told.iter().eq(presence.announced()));
                    }
                }
                let present = (0..4u8).filter(|who| counts[usize::from(*who)] > 0).map(user);
                prop_assert!(present.eq(presence.users().cloned()));
            }
        }
    }
}
