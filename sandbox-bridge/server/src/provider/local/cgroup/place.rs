//! Where a process is in each mounted hierarchy of control groups, from the kernel's own tables. Only parses.

use std::path::{Path, PathBuf};

/// Which kind of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// One group of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) version: Version,
    /// Of the hierarchy; for version 2 the group itself tells.
    pub(super) controllers: Vec<String>,
    pub(super) directory: PathBuf,
}

/// `mounts` is a `mountinfo`, `groups` the `cgroup` of the process; see cgroups(7).
pub(super) fn places(mounts: &str, groups: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let controllers: Vec<String> =
            controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if let Some(directory) = mounts.lines().find_map(|mount| place_in(mount, &controllers, path)) {
            let version = if controllers.is_empty() { Version::Two } else { Version::One };
            places.push(Place { version, controllers, directory });
        }
    }
    places
}

/// `path` of a hierarchy as a directory, when this line of mountinfo mounts that hierarchy.
fn place_in(mount: &str, controllers: &[String], path: &str) -> Option<PathBuf> {
    let (left, right) = mount.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, place) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1).unwrap_or_default());
    let fits = match controllers.first() {
        None => kind == "cgroup2",
        Some(first) => kind == "cgroup" && options.split(',').any(|option| option == first),
    };
    let below = if root == "/" { path } else { path.strip_prefix(root)? };
    fits.then(|| Path::new(place).join(below.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
35 31 0:32 /pod/x /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn directories(own: &str) -> Vec<String> {
        places(MOUNTS, own).into_iter().map(|place| place.directory.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_own_place_is_found_in_each_hierarchy() {
        assert_eq!(
            directories("4:memory:/a/b\n1:cpu,cpuacct:/pod/x/c\n0::/user.slice\n"),
            ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/cpu/c", "/sys/fs/cgroup/unified/user.slice"]
        );
    }

    #[test]
    fn a_place_outside_the_mounted_part_or_without_a_mount_is_skipped() {
        assert_eq!(directories("1:cpu,cpuacct:/elsewhere\n9:pids:/\nnonsense\n"), Vec::<String>::new());
    }
}
