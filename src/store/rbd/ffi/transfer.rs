//! Requests that end in a callback: nothing here blocks.

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Errno, Image, sys};

/// The answer to a request; a lost one is an error of the channel.
pub type Transfer<T> = oneshot::Receiver<Result<T, Errno>>;

/// What a request owns until librbd calls back.
pub trait Slot: Send {
    /// Runs on a thread of librbd: sends and drops, and neither waits nor panics.
    fn finish(self: Box<Self>, result: isize);
}

/// A completion that owns `slot`.
pub(super) fn completion<S: Slot>(slot: Box<S>) -> Result<sys::rbd_completion_t, Errno> {
    let arg = Box::into_raw(slot).cast::<c_void>();
    let mut completion = ptr::null_mut();
    // SAFETY: `done::<S>` takes back exactly what `arg` is.
    let result = unsafe { sys::rbd_aio_create_completion(arg, done::<S>, &raw mut completion) };
    if result < 0 {
        // SAFETY: no completion was made, so nobody else has the slot.
        drop(unsafe { Box::from_raw(arg.cast::<S>()) });
        return Err(Errno(result.saturating_neg()));
    }
    Ok(completion)
}

unsafe extern "C" fn done<S: Slot>(completion: sys::rbd_completion_t, arg: *mut c_void) {
    // SAFETY: librbd calls once for each completion, with the argument that it was made with.
    let slot = unsafe { Box::from_raw(arg.cast::<S>()) };
    // SAFETY: the completion is complete, and released once, here.
    let result = unsafe {
        let result = sys::rbd_aio_get_return_value(completion);
        sys::rbd_aio_release(completion);
        result
    };
    slot.finish(result);
}

fn errno(result: isize) -> Errno {
    Errno(i32::try_from(result.saturating_neg()).unwrap_or(i32::MAX))
}

/// A request that was not taken. Its slot stays where it is: should librbd call back after all, it is still there.
fn refused<T>(result: c_int) -> Transfer<T> {
    let (sender, receiver) = oneshot::channel();
    let _ = sender.send(Err(Errno(result.saturating_neg())));
    receiver
}

struct Write {
    data: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<u8>, Errno>>,
}

impl Slot for Write {
    fn finish(self: Box<Self>, result: isize) {
        let _ = self.answer.send(if result < 0 { Err(errno(result)) } else { Ok(self.data) });
    }
}

/// Begins to write; the buffer comes back with the answer.
pub fn write(image: &Image, offset: u64, data: Vec<u8>) -> Transfer<Vec<u8>> {
    let (answer, receiver) = oneshot::channel();
    let (start, len) = (data.as_ptr(), data.len());
    let completion = match completion(Box::new(Write { data, answer })) {
        Ok(completion) => completion,
        Err(e) => return refused(e.0.saturating_neg()),
    };
    // SAFETY: the slot owns the `len` bytes at `start`, and lives and does not change them until librbd calls back.
    let result = unsafe { sys::rbd_aio_write(image.handle(), offset, len, start.cast::<c_char>(), completion) };
    if result < 0 { refused(result) } else { receiver }
}

struct Read {
    data: Vec<u8>,
    len: usize,
    answer: oneshot::Sender<Result<Bytes, Errno>>,
}

impl Slot for Read {
    fn finish(mut self: Box<Self>, result: isize) {
        let answer = match usize::try_from(result) {
            Ok(got) => {
                let got = got.min(self.len).min(self.data.capacity());
                // SAFETY: librbd filled the first `got` bytes of the buffer.
                unsafe { self.data.set_len(got) };
                Ok(Bytes::from(std::mem::take(&mut self.data)))
            }
            Err(_) => Err(errno(result)),
        };
        let _ = self.answer.send(answer);
    }
}

/// Begins to read. What was never written is zeros.
pub fn read(image: &Image, offset: u64, len: usize) -> Transfer<Bytes> {
    let (answer, receiver) = oneshot::channel();
    let mut data = Vec::with_capacity(len);
    let start: *mut u8 = data.as_mut_ptr();
    let completion = match completion(Box::new(Read { data, len, answer })) {
        Ok(completion) => completion,
        Err(e) => return refused(e.0.saturating_neg()),
    };
    // SAFETY: the slot owns room for `len` bytes at `start`, and nothing touches it until librbd calls back.
    let result = unsafe { sys::rbd_aio_read(image.handle(), offset, len, start.cast::<c_char>(), completion) };
    if result < 0 { refused(result) } else { receiver }
}

struct Flush {
    answer: oneshot::Sender<Result<(), Errno>>,
}

impl Slot for Flush {
    fn finish(self: Box<Self>, result: isize) {
        let _ = self.answer.send(if result < 0 { Err(errno(result)) } else { Ok(()) });
    }
}

/// Begins to flush: answers when everything that was written before is safe.
pub fn flush(image: &Image) -> Transfer<()> {
    let (answer, receiver) = oneshot::channel();
    let completion = match completion(Box::new(Flush { answer })) {
        Ok(completion) => completion,
        Err(e) => return refused(e.0.saturating_neg()),
    };
    // SAFETY: the handle is valid; the slot lives until librbd calls back.
    let result = unsafe { sys::rbd_aio_flush(image.handle(), completion) };
    if result < 0 { refused(result) } else { receiver }
}
