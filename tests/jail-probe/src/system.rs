//! Raw system calls for the attempts: numbers in, result or error number out.

use crate::attempt::Tried;
use std::ffi::c_long;

/// Calls the kernel directly, so that no library decides beforehand.
pub(crate) fn call(number: c_long, arguments: [usize; 6]) -> Result<c_long, i32> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: pointers among the arguments are null or point to memory that the caller keeps; everything else are numbers.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(result) }
}

/// The same as an attempt.
pub(crate) fn tried(number: c_long, arguments: [usize; 6]) -> Tried {
    call(number, arguments).map(|result| format!("returned {result}"))
}

/// Makes a child by `clone` with these flags. Where that works the child ends at once.
pub(crate) fn clone_with(flags: i32) -> Tried {
    let flags = flags.cast_unsigned() | libc::SIGCHLD.cast_unsigned();
    let child = call(libc::SYS_clone, [flags as usize, 0, 0, 0, 0, 0])?;
    if child == 0 {
        std::process::exit(0);
    }
    Ok(format!("child {child}"))
}

/// `struct clone_args`, first version.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// Makes a child by `clone3` with these flags.
pub(crate) fn clone3_with(flags: i32) -> Tried {
    let arguments = CloneArguments {
        flags: u64::from(flags.cast_unsigned()),
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    let child =
        call(libc::SYS_clone3, [(&raw const arguments).addr(), size_of::<CloneArguments>(), 0, 0, 0, 0])?;
    if child == 0 {
        std::process::exit(0);
    }
    Ok(format!("child {child}"))
}

/// `getpid` through the 32-bit door of the kernel, whose numbers are other ones.
#[cfg(target_arch = "x86_64")]
pub(crate) fn getpid_of_32_bit() -> Tried {
    let mut result: i32 = 20;
    // SAFETY: call 20 takes no arguments; the kernel clears r8 to r11 on this way.
    unsafe {
        std::arch::asm!("int 0x80", inout("eax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if result < 0 { Err(-result) } else { Ok(format!("process {result}")) }
}
