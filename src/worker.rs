//! Background threads: their names, their end, and what happens when one panics.
//!
//! INV-1: a worker is joined when its handle is stopped or dropped: no thread
//! outlives the database that it works for.
//! INV-2: a panic is caught and reported through `on_panic`; nothing that
//! waits for the worker is left hanging by it.
//! INV-3: neither is anything left hanging by a panic in a caller's thread,
//! where that thread has taken on work that others wait for ([`on_panic`]).

use crate::error::Error;
use parking_lot::Mutex;
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::JoinHandle;

/// A running background thread.
///
/// Whoever owns it tells it to end (by whatever the body listens to) and then
/// calls [`Worker::join`].
#[derive(Debug)]
pub struct Worker {
    handle: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts `body` on a thread called `name`. Should it panic, `on_panic`
    /// is called with an [`Error::Panicked`].
    ///
    /// # Errors
    /// The system will not give another thread.
    pub fn spawn(
        name: &str,
        body: impl FnOnce() + Send + 'static,
        on_panic: impl FnOnce(Error) + Send + 'static,
    ) -> io::Result<Self> {
        let thread = name.to_owned();
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // What the body shares is behind locks that do not poison and
            // behind `on_panic`, which ends all use of it.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                on_panic(Error::Panicked { thread, message: message_of(panic.as_ref()) });
            }
        })?;
        Ok(Worker { handle: Some(handle) })
    }

    /// Waits for the thread's end.
    pub fn join(mut self) {
        self.wait();
    }

    fn wait(&mut self) {
        if let Some(handle) = self.handle.take()
            && handle.thread().id() != std::thread::current().id()
        {
            // A panic was caught inside; one in `on_panic` has nobody left to tell.
            let _ = handle.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.wait();
    }
}

/// A thread for work that can be done without it, which is started when it is first of use.
#[derive(Debug, Default)]
pub struct Helper(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    New,
    Running(Worker),
    Stopped,
}

impl Helper {
    /// Starts the thread as [`Worker::spawn`] does, if that was not done yet; false: the system gives none, or it was stopped.
    pub fn start(
        &self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
        on_panic: impl FnOnce(Error) + Send + 'static,
    ) -> bool {
        let mut state = self.0.lock();
        if let State::New = *state
            && let Ok(worker) = Worker::spawn(name, body, on_panic)
        {
            *state = State::Running(worker);
        }
        matches!(*state, State::Running(_))
    }

    /// Waits for the thread's end, if there is one, which was told to end. There will be none any more.
    pub fn stop(&self) {
        // Not joined under the lock: who asks for it meanwhile is told at once.
        let state = std::mem::replace(&mut *self.0.lock(), State::Stopped);
        if let State::Running(worker) = state {
            worker.join();
        }
    }

    /// Whether it was started, and not stopped.
    #[cfg(test)]
    pub fn is_running(&self) -> bool {
        matches!(*self.0.lock(), State::Running(_))
    }
}

/// Runs `act`. Should it panic, `clean_up` is called with an [`Error::Panicked`],
/// and the panic goes on.
pub fn on_panic<T>(clean_up: impl FnOnce(Error), act: impl FnOnce() -> T) -> T {
    // Whoever uses this sees to it that what `act` leaves half done is not used.
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let thread = std::thread::current().name().unwrap_or("without a name").to_owned();
        clean_up(Error::Panicked { thread, message: message_of(panic.as_ref()) });
        resume_unwind(panic)
    })
}

/// Runs `act`; its panic ends here, as its message. For what is not ours to trust: code of the
/// program that embeds us.
///
/// # Errors
/// The message of the panic.
pub fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let message = message_of(panic.as_ref());
        // What was thrown may panic in its turn when dropped.
        std::mem::forget(panic);
        message
    })
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "no message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_panic_is_reported_with_its_thread_and_message() {
        let (sender, receiver) = mpsc::channel();
        let worker = Worker::spawn(
            "doomed",
            || panic!("on purpose"),
            move |e| sender.send(e.to_string()).expect("the test listens"),
        )
        .expect("a thread");
        worker.join();
        let text = receiver.recv().expect("reported");
        assert!(text.contains("doomed") && text.contains("on purpose"), "{text}");
    }

    #[test]
    fn a_helper_comes_when_it_is_wanted_and_once_stopped_never() {
        let helper = Helper::default();
        let (sender, receiver) = mpsc::channel();
        let start = || {
            let sender = sender.clone();
            let body = move || sender.send(()).expect("the test listens");
            helper.start("helper", body, |e| panic!("{e}"))
        };
        assert!(!helper.is_running());
        assert!(start() && start());
        assert_eq!(receiver.recv(), Ok(()));
        helper.stop();
        assert!(!start() && !helper.is_running());
        assert!(receiver.try_recv().is_err(), "there was one thread");
    }
}
