//! Gathering messages into groups, each of which shares one commit.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::sqlite::writer::message::{Message, waiting};
use crate::sqlite::writer::thread::Writer;

/// How many messages one transaction takes at most.
const GROUP_MAX: usize = 512;
/// How long the writer waits for company when writes come fast: it looks after each pause, and goes on
/// at once when nobody came. A few long pauses cost less than many short ones.
const GATHER_PAUSES: [Duration; 3] =
    [Duration::from_micros(400), Duration::from_micros(1_300), Duration::from_micros(1_300)];
/// How long settlements linger for the commit of a write that somebody waits for.
const LINGER: Duration = Duration::from_millis(50);
/// How long it waits at most when nothing arrives.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(1);
/// When nobody asked for anything for so long, nobody is kept waiting by a step that fills facets.
const LULL: Duration = Duration::from_millis(5);

impl Writer {
    /// Waits for the next group; says whether anybody can still ask. What nobody waits for lingers, to
    /// share the commit of what somebody does.
    pub(crate) fn collect(&self, group: &mut Vec<Message>, last_waiting: usize) -> bool {
        let mut idle_wait = self.idle_wait();
        let mut first = None;
        while waiting(group) == 0 && group.len() < GROUP_MAX {
            match self.queue.recv_timeout(idle_wait) {
                Ok(message) => group.push(message),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            self.drain(group);
            idle_wait = LINGER.saturating_sub(first.get_or_insert_with(Instant::now).elapsed());
        }
        self.gather(group, last_waiting);
        true
    }

    /// How long to wait when nobody asks for anything.
    fn idle_wait(&self) -> Duration {
        let due_in = self.memory.blocks.due_in(self.memory.settled_to());
        let due_in = if self.memory.meters.is_moving() { Some(Duration::ZERO) } else { due_in };
        match (due_in, self.health.failure()) {
            (Some(due_in), None) => due_in.clamp(LULL, IDLE_WAIT_MAX),
            (None, _) | (_, Some(_)) => IDLE_WAIT_MAX,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the writer's thread is its own; a wait here costs nobody a wake-up"
    )]
    fn gather(&self, group: &mut Vec<Message>, last_waiting: usize) {
        if last_waiting < 2 {
            return;
        }
        for pause in GATHER_PAUSES {
            let before = group.len();
            if waiting(group) >= last_waiting.max(32) {
                break;
            }
            std::thread::sleep(pause);
            self.drain(group);
            if group.len() == before {
                break;
            }
        }
    }

    fn drain(&self, group: &mut Vec<Message>) {
        while group.len() < GROUP_MAX {
            match self.queue.try_recv() {
                Ok(message) => group.push(message),
                Err(_) => break,
            }
        }
    }
}
