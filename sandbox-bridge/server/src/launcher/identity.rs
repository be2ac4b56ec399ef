//! Who the sandbox is: the account on the host, the namespaces, and the privileges it gives up.

use super::spec::{Account, Failed, Refusal, Step};
use super::system;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// The uid and gid that everything in a sandbox sees itself as.
pub(crate) const INSIDE_ID: u32 = 1000;

/// Becomes the account when this is root; otherwise it already is.
pub(crate) fn drop_to(account: &Account) -> Result<(), Refusal> {
    if account.uid == 0 || account.gid == 0 {
        return Err(Refusal::new(Step::Account, "a sandbox never runs as uid 0 or gid 0".to_owned()));
    }
    if Uid::effective().is_root() {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        setgroups(&[]).failed(Step::Account, "leave the groups of root")?;
        setresgid(gid, gid, gid).failed(Step::Account, &format!("become gid {gid}"))?;
        setresuid(uid, uid, uid).failed(Step::Account, &format!("become uid {uid}"))?;
        // Leaving root makes /proc/self belong to root, and with it the map that is written next.
        prctl::set_dumpable(true).failed(Step::Account, "own /proc/self again")?;
    }
    if Uid::effective().as_raw() != account.uid {
        return Err(Refusal::new(Step::Account, format!("this is not uid {}", account.uid)));
    }
    Ok(())
}

/// For plain processes only: the account may be the bridge's own, even root, because there may be no other that works.
pub(crate) fn stay_or_drop_to(account: &Account) -> Result<(), Refusal> {
    if Uid::effective().as_raw() == account.uid { Ok(()) } else { drop_to(account) }
}

/// New namespaces of every kind but the control group's, which the child makes after it has joined its groups.
pub(crate) fn enter_namespaces(account: &Account) -> Result<(), Refusal> {
    unshare(CloneFlags::CLONE_NEWUSER).failed(Step::UserNamespace, "make a user namespace")?;
    let write = |file: &str, text: String| {
        std::fs::write(format!("/proc/self/{file}"), text)
            .failed(Step::UserNamespace, &format!("write {file} of the user namespace"))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{INSIDE_ID} {} 1", account.uid))?;
    write("gid_map", format!("{INSIDE_ID} {} 1", account.gid))?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWNET,
    )
    .failed(Step::UserNamespace, "make mount, process and network namespaces")
}

/// Gives up every capability for good, here and in everything that is executed.
pub(crate) fn give_up_privileges() -> Result<(), Refusal> {
    for capability in 0..64 {
        if !system::drop_bounding(capability).failed(Step::Privileges, "empty the bounding set")? {
            break;
        }
    }
    system::clear_capabilities().failed(Step::Privileges, "give up the capabilities")?;
    prctl::set_no_new_privs().failed(Step::Privileges, "refuse new privileges")
}

/// Version of Landlock in this kernel, 0 for none.
#[must_use]
pub fn landlock_abi() -> i32 {
    const CREATE_RULESET_VERSION: u32 = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes no attributes and only answers a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, CREATE_RULESET_VERSION) };
    i32::try_from(version).unwrap_or(0).max(0)
}
