//! `keystile journal follow`.
//!
//! A record appears in the journal before its outcome is known. Printed at once it would never be seen to
//! end, so a record that is still pending waits for its outcome; if that takes long it is printed twice.

use std::io::Write as _;
use std::thread::sleep;
use std::time::Duration;

use keystile_core::journal::{Outcome, WriteRecord};
use keystile_engine::journal::{Order, RecordFilter};

use super::arguments::{FollowArguments, Form, PeriodArguments};
use super::json::{self, Layout};
use super::records::{PAGE, page};
use super::render;
use super::session::{Session, Stop};

const POLL: Duration = Duration::from_millis(250);
/// After so many polls, two seconds, a pending record is printed as such.
const PATIENCE_POLLS: u32 = 8;
/// So many records are asked for one by one at each poll; the earliest beyond it are printed as they are.
const WAITING_MAX: usize = 64;

/// Prints records until the reader leaves or the process is stopped.
pub(super) fn follow(
    arguments: &FollowArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let mut follower = Follower::start(arguments, session)?;
    loop {
        for record in follower.poll(session)? {
            print(&record, arguments.common.form(), session)?;
        }
        session.terminal.stdout.flush()?;
        pause();
    }
}

fn print(record: &WriteRecord, form: Form, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let out = &mut session.terminal.stdout;
    match form {
        Form::Json => json::write_line(out, record, Layout::Line)?,
        Form::Text => writeln!(out, "{}", render::follow_line(record, &session.terminal.screen))?,
    }
    Ok(())
}

/// A record whose outcome is not known yet.
struct Waiting {
    record: WriteRecord,
    polls: u32,
}

struct Follower {
    /// Without an outcome: a record that does not match yet may do so when it ends.
    filter: RecordFilter,
    outcome: Option<Outcome>,
    waiting: Vec<Waiting>,
}

impl Follower {
    fn start(arguments: &FollowArguments, session: &mut Session<'_, '_>) -> Result<Self, Stop> {
        let now = session.terminal.screen.now;
        let mut filter = arguments.filter.resolve(PeriodArguments::default(), now, Order::Latest);
        filter.outcome = None;
        filter.limit = 1;
        let found = page(filter.clone(), session)?;
        filter.order = found.first().map_or(Order::Earliest, |record| Order::After(record.id));
        filter.limit = PAGE;
        Ok(Self { filter, outcome: arguments.filter.outcome, waiting: Vec::new() })
    }

    /// What there is to print now, in the order in which it became known.
    fn poll(&mut self, session: &mut Session<'_, '_>) -> Result<Vec<WriteRecord>, Stop> {
        let mut ready = self.look_after_waiting(session)?;
        let new = page(self.filter.clone(), session)?;
        if let Some(last) = new.last() {
            self.filter.order = Order::After(last.id);
        }
        for record in new {
            if record.outcome == Outcome::Pending {
                self.waiting.push(Waiting { record, polls: 0 });
            } else {
                ready.push(record);
            }
        }
        let overfull = self.waiting.len().saturating_sub(WAITING_MAX);
        // What was printed as pending before need not be printed so again.
        let dropped =
            self.waiting.drain(..overfull).filter(|waiting| waiting.polls < PATIENCE_POLLS);
        ready.extend(dropped.map(|waiting| waiting.record));
        ready.retain(|record| self.outcome.is_none_or(|outcome| record.outcome == outcome));
        Ok(ready)
    }

    fn look_after_waiting(
        &mut self,
        session: &mut Session<'_, '_>,
    ) -> Result<Vec<WriteRecord>, Stop> {
        let mut ready = Vec::new();
        let mut still = Vec::new();
        for Waiting { record, polls } in std::mem::take(&mut self.waiting) {
            let filter =
                RecordFilter { order: Order::Only(record.id), limit: 1, ..RecordFilter::default() };
            // A record that is gone was taken by retention.
            let Some(record) = page(filter, session)?.pop() else {
                continue;
            };
            if record.outcome != Outcome::Pending {
                ready.push(record);
                continue;
            }
            if polls + 1 == PATIENCE_POLLS {
                ready.push(record.clone());
            }
            still.push(Waiting { record, polls: polls.saturating_add(1) });
        }
        self.waiting = still;
        Ok(ready)
    }
}

#[expect(clippy::disallowed_methods, reason = "a command line that waits blocks nobody")]
fn pause() {
    sleep(POLL);
}

#[cfg(test)]
mod tests {
    use keystile_engine::command::wire::WireCommand;

    use super::super::arguments::{Arguments, CliCommand, JournalCommand, StoreCommand};
    use super::super::tests::{Prepared, TestTerminal, a_record, answer as answered};
    use super::*;
    use clap::Parser as _;
    use keystile_engine::journal::ListRecords;

    fn arguments(line: &str) -> FollowArguments {
        match Arguments::try_parse_from(line.split(' ')).unwrap().subcommand {
            CliCommand::Store(StoreCommand::Journal(JournalCommand::Follow(arguments))) => {
                arguments
            }
            other => panic!("{other:?}"),
        }
    }

    /// Answers from a journal that grows and settles between polls.
    fn answer(journal: &[WriteRecord], command: &WireCommand) -> Prepared {
        let WireCommand::ListRecords(ListRecords { filter }) = command else {
            panic!("{command:?}")
        };
        let mut found: Vec<_> = match filter.order {
            Order::Latest => journal.iter().rev().cloned().collect(),
            Order::Earliest => journal.to_vec(),
            Order::After(id) => journal.iter().filter(|record| record.id > id).cloned().collect(),
            Order::Only(id) => journal.iter().filter(|record| record.id == id).cloned().collect(),
            Order::Before(_) => panic!("nobody asks backwards"),
        };
        found.truncate(filter.limit as usize);
        answered(found)
    }

    fn polled(line: &str, steps: &[Vec<WriteRecord>]) -> Vec<Vec<(i64, Outcome)>> {
        let step = std::cell::Cell::new(0);
        let mut send = |command| answer(&steps[step.get()], &command);
        TestTerminal::default().with_session(&mut send, |session| {
            let mut follower = Follower::start(&arguments(line), session).unwrap();
            let mut seen = Vec::new();
            for at in 1..steps.len() {
                step.set(at);
                let records = follower.poll(session).unwrap();
                seen.push(records.iter().map(|record| (record.id.0, record.outcome)).collect());
            }
            seen
        })
    }

    #[test]
    fn a_write_is_shown_once_its_outcome_is_known() {
        let (old, slow, quick) = (a_record(1), a_record(2), a_record(3));
        let pending = WriteRecord { outcome: Outcome::Pending, ..slow.clone() };
        let steps = [
            vec![old.clone()],
            vec![old.clone(), pending, quick.clone()],
            vec![old.clone(), slow.clone(), quick.clone()],
            vec![old, slow, quick],
        ];
        let applied = Outcome::Applied;
        assert_eq!(
            polled("keystile journal follow", &steps),
            [vec![(3, applied)], vec![(2, applied)], vec![]]
        );
    }

    #[test]
    fn a_write_that_takes_long_is_shown_as_pending_and_again_when_it_ends() {
        let pending = WriteRecord { outcome: Outcome::Pending, ..a_record(1) };
        let mut steps = vec![vec![pending]; 12];
        steps[0] = vec![];
        steps.push(vec![a_record(1)]);
        let seen: Vec<_> = polled("keystile journal follow", &steps).concat();
        assert_eq!(seen, [(1, Outcome::Pending), (1, Outcome::Applied)]);
        let seen: Vec<_> = polled("keystile journal follow --outcome applied", &steps).concat();
        assert_eq!(seen, [(1, Outcome::Applied)]);
    }

    #[test]
    fn no_write_is_lost_when_many_are_pending() {
        let pending = |id| WriteRecord { outcome: Outcome::Pending, ..a_record(id) };
        let steps =
            [vec![], (1..=100).map(pending).collect(), (1..=100).map(a_record).collect::<Vec<_>>()];
        let mut seen: Vec<_> =
            polled("keystile journal follow", &steps).concat().iter().map(|(id, _)| *id).collect();
        seen.sort_unstable();
        assert_eq!(seen, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_that_leaves_ends_it_quietly() {
        let polls = std::cell::Cell::new(0);
        let journal = [a_record(1), a_record(2)];
        let mut send = |command| {
            polls.set(polls.get() + 1);
            let shown = if polls.get() > 1 { 2 } else { 0 };
            answer(&journal[..shown], &command)
        };
        let mut terminal = TestTerminal { stdout_open: false, ..TestTerminal::default() };
        assert!(terminal.run("keystile journal follow --json", &mut send));
        assert_eq!(terminal.stderr(), "");
    }
}
