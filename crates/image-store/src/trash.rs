//! Emptying the trash: by one thread and one process, however much comes into it.
//!
//! **Invariant:** at most one thread of a store removes, and whoever asks while it does is served by the round after
//! it: what was in the trash before the question is gone, or was logged, when the answer comes.

use crate::store::Inner;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Who asked for the trash to be emptied, and how far that is done.
#[derive(Default)]
pub(crate) struct Trash {
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

#[derive(Default)]
struct Rounds {
    /// Questions so far.
    asked: u64,
    /// Questions that are answered.
    answered: u64,
    is_running: bool,
}

impl Trash {
    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Has the trash emptied, and does not wait for it. Whatever cannot be removed stays for the next question, or the
    /// next opening.
    pub fn empty_trash(self: &Arc<Inner>) {
        self.ask();
    }

    /// Has the trash emptied. Blocks until it is.
    pub fn empty_trash_and_wait(self: &Arc<Inner>) {
        let asked = self.ask();
        let mut rounds = self.trash.rounds();
        while rounds.answered < asked && rounds.is_running {
            rounds = self.trash.ended.wait(rounds).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ask(self: &Arc<Inner>) -> u64 {
        let mut rounds = self.trash.rounds();
        rounds.asked += 1;
        if !rounds.is_running {
            let inner = Arc::clone(self);
            let remover = std::thread::Builder::new().name("image trash".to_owned());
            match remover.spawn(move || inner.answer()) {
                Ok(_) => rounds.is_running = true,
                // A process at its limit of threads: it stays where it is, and costs space until then.
                Err(error) => {
                    tracing::warn!(
                        event = "image_trash_thread_missing",
                        %error,
                        "cannot start a thread to empty the trash; the next removal tries again"
                    );
                }
            }
        }
        rounds.asked
    }

    fn answer(&self) {
        let mut rounds = self.trash.rounds();
        while rounds.answered < rounds.asked {
            let asked = rounds.asked;
            drop(rounds);
            self.options.unpacker.empty(&self.places.trash);
            rounds = self.trash.rounds();
            rounds.answered = asked;
            self.trash.ended.notify_all();
        }
        rounds.is_running = false;
        self.trash.ended.notify_all();
    }
}
