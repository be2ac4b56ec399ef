//! The files of control groups: the kernel's, and in the tests a model of its rules.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::Path;

/// What is done to a hierarchy.
pub(super) trait Files: Debug + Send + Sync {
    /// Makes a group; one that is there is no error.
    fn make(&self, group: &Path) -> io::Result<()>;
    /// Removes an empty group.
    fn remove(&self, group: &Path) -> io::Result<()>;
    fn read(&self, group: &Path, file: &str) -> io::Result<String>;
    fn write(&self, group: &Path, file: &str, value: &str) -> io::Result<()>;
}

/// The kernel's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel;

impl Files for Kernel {
    fn make(&self, group: &Path) -> io::Result<()> {
        match fs::create_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn remove(&self, group: &Path) -> io::Result<()> {
        fs::remove_dir(group)
    }

    fn read(&self, group: &Path, file: &str) -> io::Result<String> {
        fs::read_to_string(group.join(file))
    }

    fn write(&self, group: &Path, file: &str, value: &str) -> io::Result<()> {
        fs::write(group.join(file), value)
    }
}

/// The rules of version 2 that decide whether limits hold, after the kernel's `cgroup-v2.rst`: controllers are handed down, a group
/// with processes hands nothing down, files exist only for controllers that have arrived, and who has not been given a group
/// cannot write there.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Model(std::sync::Mutex<std::collections::BTreeMap<std::path::PathBuf, Modelled>>);

#[cfg(test)]
#[derive(Debug, Default)]
struct Modelled {
    writable: bool,
    controllers: Vec<String>,
    handed_down: Vec<String>,
    processes: usize,
    files: std::collections::BTreeMap<String, String>,
}

#[cfg(test)]
impl Model {
    /// One group with processes; `writable` when it was delegated to this account.
    pub(super) fn with_group(path: &str, controllers: &[&str], processes: usize, writable: bool) -> Self {
        let model = Self::default();
        let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
        let group = Modelled { writable, controllers, processes, ..Modelled::default() };
        model.0.lock().unwrap().insert(path.into(), group);
        model
    }

    /// Every group with its settings.
    pub(super) fn settings(&self) -> Vec<String> {
        let groups = self.0.lock().unwrap();
        let lines = groups.iter().flat_map(|(path, group)| {
            group.files.iter().map(move |(file, value)| format!("{}/{file} = {value}", path.display()))
        });
        lines.collect()
    }

    /// How many processes each group has.
    pub(super) fn processes(&self) -> Vec<(String, usize)> {
        let groups = self.0.lock().unwrap();
        groups.iter().map(|(path, group)| (path.display().to_string(), group.processes)).collect()
    }
}

#[cfg(test)]
impl Files for Model {
    fn make(&self, path: &Path) -> io::Result<()> {
        let mut groups = self.0.lock().unwrap();
        if groups.contains_key(path) {
            return Ok(());
        }
        let parent = groups.get(path.parent().unwrap()).ok_or(io::ErrorKind::NotFound)?;
        if !parent.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let group =
            Modelled { writable: true, controllers: parent.handed_down.clone(), ..Modelled::default() };
        groups.insert(path.to_owned(), group);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut groups = self.0.lock().unwrap();
        let has_children = groups.keys().any(|other| other.parent() == Some(path));
        if has_children || groups.get(path).is_some_and(|group| group.processes > 0) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        groups.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read(&self, path: &Path, file: &str) -> io::Result<String> {
        let groups = self.0.lock().unwrap();
        let group = groups.get(path).ok_or(io::ErrorKind::NotFound)?;
        match file {
            "cgroup.controllers" => Ok(group.controllers.join(" ")),
            "cgroup.subtree_control" => Ok(group.handed_down.join(" ")),
            other => group.files.get(other).cloned().ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }

    fn write(&self, path: &Path, file: &str, value: &str) -> io::Result<()> {
        let mut groups = self.0.lock().unwrap();
        if file == "cgroup.procs" {
            // The bridge moves itself, from the only group that had processes at first.
            let from = groups.values_mut().find(|group| group.processes > 0).unwrap();
            from.processes -= 1;
            groups.get_mut(path).ok_or(io::ErrorKind::NotFound)?.processes += 1;
            return Ok(());
        }
        let group = groups.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        if !group.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if file == "cgroup.subtree_control" {
            if group.processes > 0 {
                return Err(io::Error::from_raw_os_error(libc::EBUSY));
            }
            let wanted: Vec<String> =
                value.split(' ').map(|name| name.trim_start_matches('+').to_owned()).collect();
            if wanted.iter().any(|name| !group.controllers.contains(name)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            group.handed_down.clone_from(&wanted);
            // What is handed down reaches the groups that are there already.
            let children = groups.iter_mut().filter(|(other, _)| other.parent() == Some(path));
            children.for_each(|(_, child)| child.controllers.clone_from(&wanted));
            return Ok(());
        }
        let controller = file.split('.').next().unwrap();
        if controller != "cgroup" && !group.controllers.iter().any(|name| name == controller) {
            return Err(io::ErrorKind::NotFound.into());
        }
        group.files.insert(file.to_owned(), value.to_owned());
        Ok(())
    }
}
