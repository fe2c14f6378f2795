//! The connection to a cluster and the context of a pool.

use std::{
    ffi::{CStr, c_char},
    ptr, slice,
    sync::Arc,
    thread,
    time::Duration,
};

use super::{Errno, c_string, check, sys};

/// The longest answer of a method of an object class that is taken.
const ANSWER_MAX: usize = 4 << 20;
/// The longest list of pools that is taken.
const POOLS_MAX: usize = 4 << 20;
/// Lets a callback that released the last handle return to its library before the library is shut down.
const GRACE: Duration = Duration::from_millis(100);

/// Who connects, and how.
#[derive(Debug)]
pub struct Login<'a> {
    /// Without `client.`
    pub user: &'a str,
    /// Path of `ceph.conf`.
    pub conf: &'a str,
    /// Options that must be known to librados.
    pub options: &'a [(&'a str, String)],
    /// Options that make it better; what a release does not know is left out.
    pub wishes: &'a [(&'a str, &'a str)],
}

/// A `rados_t`. Configured at first; connected after [`Cluster::connect`].
#[derive(Debug)]
pub struct Cluster {
    handle: sys::rados_t,
}

// SAFETY: librados may be called from any thread, and from several at the same time, with one handle; it is given
// away for shutdown only when nothing refers to it any more.
unsafe impl Send for Cluster {}
// SAFETY: as above.
unsafe impl Sync for Cluster {}

impl Cluster {
    /// Reads the configuration. Connects to nothing.
    pub fn configure(login: &Login<'_>) -> Result<Self, Errno> {
        let (name, user) = (c_string("ceph")?, c_string(&format!("client.{}", login.user))?);
        let mut handle = ptr::null_mut();
        // SAFETY: all pointers are valid for the call; the handle is written before it is read.
        check(unsafe { sys::rados_create2(&raw mut handle, name.as_ptr(), user.as_ptr(), 0) })?;
        let cluster = Self { handle };
        let conf = c_string(login.conf)?;
        // SAFETY: the handle is valid until it is dropped, the path for the call.
        check(unsafe { sys::rados_conf_read_file(cluster.handle, conf.as_ptr()) })?;
        for (option, value) in login.options {
            cluster.set(option, value)?;
        }
        for (option, value) in login.wishes {
            let _ = cluster.set(option, value);
        }
        Ok(cluster)
    }

    fn set(&self, option: &str, value: &str) -> Result<(), Errno> {
        let (option, value) = (c_string(option)?, c_string(value)?);
        // SAFETY: the handle is valid, the strings are for the call.
        check(unsafe { sys::rados_conf_set(self.handle, option.as_ptr(), value.as_ptr()) }).map(drop)
    }

    /// Connects; waits for `client_mount_timeout` at most.
    pub fn connect(&self) -> Result<(), Errno> {
        // SAFETY: the handle is valid and was not connected: the one caller connects once.
        check(unsafe { sys::rados_connect(self.handle) }).map(drop)
    }

    /// The value of an option. Does not block.
    pub fn option(&self, name: &str) -> Result<String, Errno> {
        let name = c_string(name)?;
        let mut value = vec![0_u8; 4096];
        // SAFETY: the buffer is as long as said; librados ends what it writes with a zero.
        check(unsafe {
            sys::rados_conf_get(self.handle, name.as_ptr(), value.as_mut_ptr().cast::<c_char>(), value.len())
        })?;
        Ok(until_zero(&value))
    }

    /// The cluster's id. Does not block on a connected cluster.
    pub fn fsid(&self) -> Result<String, Errno> {
        let mut id = [0_u8; 64];
        // SAFETY: the buffer is as long as said.
        check(unsafe { sys::rados_cluster_fsid(self.handle, id.as_mut_ptr().cast::<c_char>(), id.len()) })?;
        Ok(until_zero(&id))
    }

    /// The number by which the cluster knows this client. Does not block.
    pub fn instance(&self) -> u64 {
        // SAFETY: the handle is valid.
        unsafe { sys::rados_get_instance_id(self.handle) }
    }

    /// The address by which the cluster knows this client, as [`Cluster::shut_out`] takes it. Does not block.
    pub fn address(&self) -> Result<String, Errno> {
        let mut addresses = ptr::null_mut::<c_char>();
        // SAFETY: the cluster is connected; the result is written before it is read.
        check(unsafe { sys::rados_getaddrs(self.handle, &raw mut addresses) })?;
        if addresses.is_null() {
            return Err(Errno::NOENT);
        }
        // SAFETY: librados gave a string that ends with a zero, ours until it is freed below.
        let text = unsafe { CStr::from_ptr(addresses) }.to_string_lossy().into_owned();
        // SAFETY: allocated by the call above and freed once.
        unsafe { sys::rados_buffer_free(addresses) };
        Ok(text)
    }

    /// Has the cluster refuse the client of this address, for as long as the monitors do by themselves (an hour).
    pub fn shut_out(&self, address: &str) -> Result<(), Errno> {
        let address = c_string(address)?;
        // SAFETY: the cluster is connected; librados reads the address, whatever its type says.
        check(unsafe { sys::rados_blocklist_add(self.handle, address.as_ptr().cast_mut(), 0) }).map(drop)
    }

    /// Waits until this client has the newest map of the osds.
    pub fn update_map(&self) -> Result<(), Errno> {
        // SAFETY: the cluster is connected.
        check(unsafe { sys::rados_wait_for_latest_osdmap(self.handle) }).map(drop)
    }

    /// The names of all pools.
    pub fn pools(&self) -> Result<Vec<String>, Errno> {
        let mut names = vec![0_u8; 4096];
        loop {
            // SAFETY: the buffer is as long as said.
            let needed =
                check(unsafe { sys::rados_pool_list(self.handle, names.as_mut_ptr().cast::<c_char>(), names.len()) })?;
            match usize::try_from(needed) {
                Ok(needed) if needed <= names.len() => break,
                Ok(needed) if needed <= POOLS_MAX => names = vec![0; needed],
                _ => return Err(Errno::RANGE),
            }
        }
        let names = names.split(|b| *b == 0).take_while(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// Asks the monitors.
    pub fn mon_command(&self, command: &str) -> Result<Vec<u8>, Errno> {
        let command = c_string(command)?;
        let mut commands = [command.as_ptr()];
        let (mut answer, mut len) = (ptr::null_mut::<c_char>(), 0_usize);
        let (mut status, mut status_len) = (ptr::null_mut::<c_char>(), 0_usize);
        // SAFETY: one command, ended with a zero; no input; the four results are written before they are read.
        let result = unsafe {
            sys::rados_mon_command(
                self.handle,
                commands.as_mut_ptr(),
                commands.len(),
                ptr::null(),
                0,
                &raw mut answer,
                &raw mut len,
                &raw mut status,
                &raw mut status_len,
            )
        };
        let text = if answer.is_null() || len == 0 {
            Vec::new()
        } else {
            // SAFETY: librados gave `len` bytes there, ours until they are freed below.
            unsafe { slice::from_raw_parts(answer.cast::<u8>(), len) }.to_vec()
        };
        for buffer in [answer, status] {
            if !buffer.is_null() {
                // SAFETY: allocated by the call above and freed once.
                unsafe { sys::rados_buffer_free(buffer) };
            }
        }
        check(result).map(|_| text)
    }
}

/// A handle on its way to its end.
struct Last(sys::rados_t);

// SAFETY: see `Cluster`.
unsafe impl Send for Last {}

impl Drop for Cluster {
    /// Shutting down joins the threads of the library, so it gets a thread of its own: the last reference may go in a
    /// callback of that library, or on an async worker.
    fn drop(&mut self) {
        let last = Last(self.handle);
        // Without a thread the handle stays: that is better than to wait here.
        let _ = thread::Builder::new().name("rados-shutdown".to_owned()).spawn(move || {
            let last = last;
            thread::sleep(GRACE);
            // SAFETY: the last reference was dropped, so nothing uses the handle, and it is shut down once.
            unsafe { sys::rados_shutdown(last.0) };
        });
    }
}

/// A `rados_ioctx_t`: one pool of a cluster. Writes that find the pool full fail instead of waiting.
#[derive(Debug)]
pub struct IoCtx {
    handle: sys::rados_ioctx_t,
    cluster: Arc<Cluster>,
}

// SAFETY: operations on one context from several threads are allowed as long as nobody changes its settings, and
// nobody does after it was made.
unsafe impl Send for IoCtx {}
// SAFETY: as above.
unsafe impl Sync for IoCtx {}

impl IoCtx {
    /// The pool of this name.
    pub fn open(cluster: &Arc<Cluster>, pool: &str) -> Result<Arc<Self>, Errno> {
        let pool = c_string(pool)?;
        let mut handle = ptr::null_mut();
        // SAFETY: the cluster is connected, the name valid for the call, the handle written before it is read.
        check(unsafe { sys::rados_ioctx_create(cluster.handle, pool.as_ptr(), &raw mut handle) })?;
        // SAFETY: the handle was just made, and nobody else has it.
        unsafe { sys::rados_set_pool_full_try(handle) };
        Ok(Arc::new(Self { handle, cluster: Arc::clone(cluster) }))
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub(super) fn handle(&self) -> sys::rados_ioctx_t {
        self.handle
    }

    /// The pool's number. Does not block.
    pub fn pool_id(&self) -> i64 {
        // SAFETY: the handle is valid.
        unsafe { sys::rados_ioctx_get_id(self.handle) }
    }

    /// When the object was last changed, in seconds. `None` when there is no such object.
    pub fn modified(&self, object: &str) -> Result<Option<i64>, Errno> {
        let object = c_string(object)?;
        let (mut size, mut time) = (0, 0);
        // SAFETY: the name is valid for the call, and so are the two places that are written.
        let result = unsafe { sys::rados_stat(self.handle, object.as_ptr(), &raw mut size, &raw mut time) };
        match check(result) {
            Ok(_) => Ok(Some(time)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Calls a method of an object class that reads.
    pub fn exec(&self, object: &str, method: &str, input: &[u8]) -> Result<Vec<u8>, Errno> {
        let (object, class, method) = (c_string(object)?, c_string("rbd")?, c_string(method)?);
        let mut answer = vec![0_u8; 4096];
        loop {
            // SAFETY: the names are valid for the call; both buffers are as long as said.
            let result = unsafe {
                sys::rados_exec(
                    self.handle,
                    object.as_ptr(),
                    class.as_ptr(),
                    method.as_ptr(),
                    input.as_ptr().cast::<c_char>(),
                    input.len(),
                    answer.as_mut_ptr().cast::<c_char>(),
                    answer.len(),
                )
            };
            match check(result) {
                Ok(len) => {
                    answer.truncate(usize::try_from(len).unwrap_or(0));
                    return Ok(answer);
                }
                Err(Errno::RANGE) if answer.len() < ANSWER_MAX => answer = vec![0; answer.len().saturating_mul(16)],
                Err(e) => return Err(e),
            }
        }
    }
}

impl Drop for IoCtx {
    fn drop(&mut self) {
        // SAFETY: made by `open` and destroyed once; images of it hold a reference to this and are closed before.
        unsafe { sys::rados_ioctx_destroy(self.handle) };
    }
}

fn until_zero(bytes: &[u8]) -> String {
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
