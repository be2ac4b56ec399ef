//! The system call filter: refuses what a build never needs and an escape often does. Everything else passes.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, sock_filter,
};
use std::collections::BTreeMap;

/// `open_tree_attr`, newer than the C library's list.
const SYS_OPEN_TREE_ATTR: i64 = 467;

/// Answered with EPERM whatever the arguments.
const REFUSED: &[i64] = &[
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_tree,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // The kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_syslog,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
];

/// The same, of calls that only this architecture has. Most are relics that nothing is built with any more.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS__sysctl,
    libc::SYS_sysfs,
    libc::SYS_ustat,
];
/// See above.
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// Answered with ENOSYS: programs that find them missing take an older way that can be filtered by its arguments.
const MISSING: &[i64] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// Flags of `clone` that would make a namespace.
const CLONE_NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
/// Terminal requests: TIOCSTI and TIOCLINUX put input into somebody else's terminal, TIOCCONS takes the console's output, and
/// TIOCSETD loads line disciplines, which are old and have been a way into the kernel.
const TERMINAL_REQUESTS: &[u64] = &[0x5412, 0x541C, 0x541D, 0x5423];
/// The one query of `personality` and the default.
const PERSONALITIES: &[u64] = &[0, 0xffff_ffff];
const UNIX: u64 = 1;
const IPV4: u64 = 2;
const IPV6: u64 = 10;
const NETLINK: u64 = 16;
/// Network families; netlink is for listing interfaces, see [`refused_sockets`].
const FAMILIES: &[u64] = &[UNIX, IPV4, IPV6, NETLINK];
/// Of IPv4 and IPv6: whatever the kind implies, TCP, UDP. All others would load a rarely used part of the kernel.
const PROTOCOLS: &[u64] = &[0, 6, 17];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Installs the filters on this process and everything it will execute. `no_new_privs` must be set.
pub(crate) fn apply() -> Result<(), seccompiler::Error> {
    for program in programs()? {
        seccompiler::apply_filter(&program)?;
    }
    Ok(())
}

fn programs() -> Result<Vec<BpfProgram>, seccompiler::Error> {
    let missing = MISSING.iter().map(|number| (*number, Vec::new())).collect();
    let mut programs = vec![filter(refused_rules()?, libc::EPERM)?, filter(missing, libc::ENOSYS)?];
    if cfg!(target_arch = "x86_64") {
        programs.push(refuse_x32());
    }
    Ok(programs)
}

/// A foreign architecture's call kills the process; that is how the library begins each filter.
fn filter(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::Error> {
    let arch = std::env::consts::ARCH.try_into()?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno.cast_unsigned()), arch)?;
    Ok(filter.try_into()?)
}

fn refused_rules() -> Result<Rules, seccompiler::Error> {
    let mut rules: Rules = REFUSED.iter().chain(REFUSED_HERE).map(|number| (*number, Vec::new())).collect();
    let mut clone = Vec::new();
    for flag in CLONE_NAMESPACES {
        let flag = u64::from(flag.cast_unsigned());
        clone.push(rule(&[(0, Op::MaskedEq(flag), flag)])?);
    }
    rules.insert(libc::SYS_clone, clone);
    let requests = TERMINAL_REQUESTS.iter().map(|request| rule(&[(1, Op::Eq, *request)]));
    rules.insert(libc::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    let personalities: Vec<_> = PERSONALITIES.iter().map(|value| (0, Op::Ne, *value)).collect();
    rules.insert(libc::SYS_personality, vec![rule(&personalities)?]);
    rules.insert(libc::SYS_socket, refused_sockets()?);
    rules.insert(libc::SYS_socketpair, vec![rule(&[(0, Op::Ne, UNIX)])?]);
    Ok(rules)
}

fn refused_sockets() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let families: Vec<_> = FAMILIES.iter().map(|family| (0, Op::Ne, *family)).collect();
    let mut rules = vec![rule(&families)?, rule(&[(0, Op::Eq, NETLINK), (2, Op::Ne, 0)])?];
    for family in [IPV4, IPV6] {
        let protocols = PROTOCOLS.iter().map(|protocol| (2, Op::Ne, *protocol));
        let conditions: Vec<_> = std::iter::once((0, Op::Eq, family)).chain(protocols).collect();
        rules.push(rule(&conditions)?);
    }
    Ok(rules)
}

/// All conditions must hold; each is an argument's number, an operator and a value of 32 bits.
fn rule(conditions: &[(u8, Op, u64)]) -> Result<SeccompRule, seccompiler::Error> {
    let conditions = conditions
        .iter()
        .map(|(argument, op, value)| SeccompCondition::new(*argument, Length::Dword, op.clone(), *value))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(SeccompRule::new(conditions)?)
}

/// x32 calls carry the architecture of x86-64 and a bit in their number, so they would pass every comparison above.
fn refuse_x32() -> BpfProgram {
    const X32_BIT: u32 = 0x4000_0000;
    const RETURN_ERRNO: u32 = 0x0005_0000;
    const RETURN_ALLOW: u32 = 0x7fff_0000;
    let statement = |code: u32, k: u32| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    vec![
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        sock_filter { code: (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16, jt: 0, jf: 1, k: X32_BIT },
        statement(libc::BPF_RET | libc::BPF_K, RETURN_ERRNO | libc::EPERM.cast_unsigned()),
        statement(libc::BPF_RET | libc::BPF_K, RETURN_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_and_stay_small() {
        let programs = programs().unwrap();
        assert_eq!(programs.len(), if cfg!(target_arch = "x86_64") { 3 } else { 2 });
        let longest = programs.iter().map(Vec::len).max().unwrap();
        assert!(longest < 512, "a filter of {longest} instructions is run on every system call");
    }
}
