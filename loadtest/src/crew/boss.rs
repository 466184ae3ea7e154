//! The boss's side: hires workers, leads them through the stages, adds up what they found.

use super::letters::{Progress, Stage, Task, ToBoss, ToWorker, receive, send};
use crate::{clock, tally::Tally, usage::Usage};
use std::{
    io::{self, BufReader},
    ops::Range,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// All workers begin a stage together, this long after the letter that says so was sent.
pub(super) const NOTICE: Duration = Duration::from_millis(100);
/// A stage in which nobody has told anything for so long is given up: workers tell their progress five times a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// The workers of a run.
pub(crate) struct Crew {
    hands: Vec<Hand>,
    inbox: Receiver<(usize, io::Result<ToBoss>)>,
    progress: Vec<Progress>,
}

struct Hand {
    child: Child,
    letters: ChildStdin,
}

/// What one stage cost each worker.
pub(crate) struct Settled {
    /// In the order of the workers.
    pub(crate) usages: Vec<Usage>,
}

impl Crew {
    /// Starts one process of this program for each task, and waits until all have made what they need.
    ///
    /// # Errors
    /// A worker that does not start, or that says why it cannot.
    pub(crate) fn hire(tasks: Vec<Task>) -> io::Result<Crew> {
        let (outbox, inbox) = channel();
        let mut crew = Crew { progress: vec![Progress::default(); tasks.len()], hands: Vec::new(), inbox };
        for (number, task) in tasks.into_iter().enumerate() {
            crew.hands.push(hire(number, task, outbox.clone())?);
        }
        let mut waiting = crew.hands.len();
        while waiting > 0 {
            if let (_, ToBoss::Ready) = crew.next(PATIENCE)?.ok_or_else(|| io::Error::other("a worker does not get ready"))? {
                waiting -= 1;
            }
        }
        Ok(crew)
    }

    /// Lets every worker begin a stage at the same moment, which is returned.
    ///
    /// # Errors
    /// A worker is gone.
    pub(crate) fn enter(&mut self, stage: Stage) -> io::Result<u64> {
        let at_ns = clock::now_ns() + clock::nanos(NOTICE);
        for hand in &mut self.hands {
            send(&mut hand.letters, &ToWorker::Enter(stage, at_ns))?;
        }
        Ok(at_ns)
    }

    /// Lets some workers begin a stage: at `at_ns`, or soon where that is 0.
    ///
    /// # Errors
    /// A worker is gone.
    pub(super) fn enter_some(&mut self, workers: Range<usize>, stage: Stage, at_ns: u64) -> io::Result<()> {
        let at_ns = if at_ns == 0 { clock::now_ns() + clock::nanos(NOTICE) } else { at_ns };
        for hand in &mut self.hands[workers] {
            send(&mut hand.letters, &ToWorker::Enter(stage, at_ns))?;
        }
        Ok(())
    }

    /// A phase of the day begins at this moment, for all.
    ///
    /// # Errors
    /// A worker is gone.
    pub(crate) fn open_phase(&mut self, at_ns: u64) -> io::Result<()> {
        self.hands.iter_mut().try_for_each(|hand| send(&mut hand.letters, &ToWorker::Phase(at_ns)))
    }

    /// Waits until all workers have settled the stage; tells what was done so far whenever something is new.
    ///
    /// # Errors
    /// A worker is gone or has stopped telling.
    pub(crate) fn settle(&mut self, stage: Stage, mut tell: impl FnMut(Progress)) -> io::Result<Settled> {
        let mut usages = vec![None; self.hands.len()];
        while usages.iter().any(Option::is_none) {
            let (number, letter) = self.next(PATIENCE)?.ok_or_else(|| io::Error::other("the workers are silent"))?;
            match letter {
                ToBoss::Progress(_) => tell(self.progress()),
                ToBoss::Settled(settled, usage) if settled == stage => usages[number] = Some(usage),
                ToBoss::Settled(..) | ToBoss::Ready | ToBoss::Done(_) | ToBoss::Failed(_) => {}
            }
        }
        tell(self.progress());
        Ok(Settled { usages: usages.into_iter().flatten().collect() })
    }

    /// Lets time pass while the workers go on, and tells what was done so far.
    ///
    /// # Errors
    /// A worker is gone.
    pub(crate) fn pass(&mut self, time: Duration, mut tell: impl FnMut(Progress)) -> io::Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.next(left)?.is_some() {
                tell(self.progress());
            }
        }
        Ok(())
    }

    /// Lets the workers go; what they found, added up.
    ///
    /// # Errors
    /// A worker is gone before it told.
    pub(crate) fn dismiss(mut self) -> io::Result<Tally> {
        for hand in &mut self.hands {
            send(&mut hand.letters, &ToWorker::Finish)?;
        }
        let (mut sum, mut waiting) = (Tally::default(), self.hands.len());
        while waiting > 0 {
            let letter = self.next(PATIENCE)?.ok_or_else(|| io::Error::other("a worker does not tell what it found"))?;
            if let (_, ToBoss::Done(tally)) = letter {
                sum.merge(&tally);
                waiting -= 1;
            }
        }
        for hand in &mut self.hands {
            hand.child.wait()?;
        }
        self.hands.clear();
        Ok(sum)
    }

    /// What all have done so far.
    pub(crate) fn progress(&self) -> Progress {
        let mut sum = Progress::default();
        self.progress.iter().for_each(|one| sum.add(one));
        sum
    }

    /// The next letter, if one comes in time.
    pub(super) fn next(&mut self, within: Duration) -> io::Result<Option<(usize, ToBoss)>> {
        match self.inbox.recv_timeout(within) {
            Ok((_, Ok(ToBoss::Failed(reason)))) => Err(io::Error::other(reason)),
            Ok((number, Ok(letter))) => {
                if let ToBoss::Progress(progress) = letter {
                    self.progress[number] = progress;
                }
                Ok(Some((number, letter)))
            }
            Ok((number, Err(fault))) => Err(io::Error::other(format!("worker {number} is gone: {fault}"))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("all workers are gone")),
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for hand in &mut self.hands {
            let _ = hand.child.kill();
            let _ = hand.child.wait();
        }
    }
}

fn hire(number: usize, task: Task, outbox: Sender<(usize, io::Result<ToBoss>)>) -> io::Result<Hand> {
    let mut child = Command::new(std::env::current_exe()?).arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut letters), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("a worker without pipes"));
    };
    thread::Builder::new().name(format!("worker {number}")).spawn(move || {
        let mut answers = BufReader::new(answers);
        loop {
            let letter = receive::<ToBoss>(&mut answers);
            let last = matches!(letter, Err(_) | Ok(ToBoss::Done(_)));
            if outbox.send((number, letter)).is_err() || last {
                return;
            }
        }
    })?;
    // The worker reads its task as soon as it stands: a long one does not fill the pipe for ever.
    send(&mut letters, &ToWorker::Order(Box::new(task)))?;
    Ok(Hand { child, letters })
}
