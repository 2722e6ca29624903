//! What the kernel keeps of answers that nobody reads.

use std::io;
use std::os::fd::AsRawFd;

use tokio::net::TcpStream;

/// Bytes that a connection's socket takes beyond those that are on their way. Without it the kernel takes megabytes of
/// each connection, where no limit of ours counts them and no deadline sees that they are not read. What is on its way
/// is not bounded by it, so that a fast line far away stays fast.
const UNSENT_BYTES_MAX: libc::c_int = 128 * 1024;

/// Source: tcp(7) and Linux's `Documentation/networking/ip-sysctl`, `tcp_notsent_lowat`.
pub(crate) fn bound_unsent(stream: &TcpStream) -> io::Result<()> {
    let value = UNSENT_BYTES_MAX;
    let length = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    #[allow(unsafe_code, reason = "the standard library has no such option")]
    // SAFETY: the descriptor is open for as long as `stream` is borrowed, and the option's value is `length` bytes at
    // `value`.
    let outcome = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const value).cast(),
            length,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
