//! What a workflow's steps need, and what they are told to do.

use super::model::{Execution, Step, StepResult, Workflow};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Steps of one workflow.
pub const STEPS_AT_MOST: usize = 100;

/// By id.
pub type Workflows = BTreeMap<Arc<str>, Arc<Workflow>>;

/// Why a workflow cannot be one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WorkflowFault {
    /// It has no steps.
    Empty,
    /// It has more than [`STEPS_AT_MOST`].
    TooMany,
    /// Two steps have this id.
    Twice(Arc<str>),
    /// A step needs one that is not there.
    Unknown {
        /// Which.
        step: Arc<str>,
        /// What it needs.
        needs: Arc<str>,
    },
    /// This step needs, by way of others perhaps, itself.
    Circle(Arc<str>),
}

impl fmt::Display for WorkflowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkflowFault::Empty => f.write_str("a workflow has at least one step"),
            WorkflowFault::TooMany => write!(f, "a workflow has at most {STEPS_AT_MOST} steps"),
            WorkflowFault::Twice(step) => write!(f, "two steps are called {step}"),
            WorkflowFault::Unknown { step, needs } => write!(f, "{step} needs {needs}, which is not there"),
            WorkflowFault::Circle(step) => write!(f, "{step} needs itself"),
        }
    }
}

impl std::error::Error for WorkflowFault {}

impl Workflow {
    /// Whether all steps can be done one after the other.
    ///
    /// # Errors
    ///
    /// The first fault that is found.
    pub fn check(&self) -> Result<(), WorkflowFault> {
        let is_known = |id: &str| self.steps.iter().any(|step| *step.id == *id);
        if self.steps.is_empty() {
            return Err(WorkflowFault::Empty);
        }
        if self.steps.len() > STEPS_AT_MOST {
            return Err(WorkflowFault::TooMany);
        }
        for (place, step) in self.steps.iter().enumerate() {
            if self.steps[..place].iter().any(|other| other.id == step.id) {
                return Err(WorkflowFault::Twice(step.id.clone()));
            }
            if let Some(needs) = step.needs.iter().find(|needs| !is_known(needs)) {
                return Err(WorkflowFault::Unknown { step: step.id.clone(), needs: needs.clone() });
            }
        }
        let mut done: Vec<&str> = Vec::new();
        while done.len() < self.steps.len() {
            let is_ready = |step: &&Step| !done.contains(&&*step.id) && step.needs.iter().all(|needs| done.contains(&&**needs));
            match self.steps.iter().find(is_ready) {
                Some(step) => done.push(&step.id),
                None => {
                    let left = self.steps.iter().find(|step| !done.contains(&&*step.id));
                    return Err(WorkflowFault::Circle(left.map_or_else(|| self.id.clone(), |step| step.id.clone())));
                }
            }
        }
        Ok(())
    }

    /// The places of the steps that can be done, given what is done: in the order in which they are listed.
    pub fn ready<'a>(&'a self, results: &'a [StepResult]) -> impl Iterator<Item = usize> + 'a {
        let is_done = |id: &str| results.iter().any(|result| *result.step == *id);
        let steps = self.steps.iter().enumerate();
        steps.filter(move |(_, step)| !is_done(&step.id) && step.needs.iter().all(|needs| is_done(needs))).map(|(place, _)| place)
    }

    /// The step that is shown: the first that can be done; the last one once all are.
    pub fn current(&self, results: &[StepResult]) -> Option<Arc<str>> {
        let current = self.ready(results).next().map(|place| &self.steps[place]);
        current.or(self.steps.last()).map(|step| step.id.clone())
    }
}

impl Step {
    /// What its agent is told: the task, with `{input}` and the results that it names in their places. What else stands in braces stays.
    pub fn told(&self, execution: &Execution) -> String {
        let (mut told, mut rest) = (String::new(), &*self.task);
        while let Some(open) = rest.find('{') {
            let (before, behind) = rest.split_at(open);
            told.push_str(before);
            let name = behind[1..].find('}').map(|close| &behind[1..=close]);
            match name.and_then(|name| value(name, execution).map(|value| (name, value))) {
                Some((name, value)) => {
                    told.push_str(value);
                    rest = &behind[name.len() + 2..];
                }
                None => {
                    told.push('{');
                    rest = &behind[1..];
                }
            }
        }
        told.push_str(rest);
        told
    }
}

fn value<'a>(name: &str, execution: &'a Execution) -> Option<&'a str> {
    if name == "input" {
        return Some(&execution.input);
    }
    execution.results.iter().find(|result| *result.step == *name).map(|result| &*result.output)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::tasks::tests::{execution, step, workflow};

    #[test]
    fn a_workflow_can_be_done() {
        assert_eq!(workflow(&[("a", &[]), ("b", &["a"])]).check(), Ok(()));
        assert_eq!(workflow(&[("b", &["a"]), ("a", &[])]).check(), Ok(()), "the order of the list is another");
        assert_eq!(workflow(&[]).check(), Err(WorkflowFault::Empty));
        assert_eq!(workflow(&[("a", &[]), ("a", &[])]).check(), Err(WorkflowFault::Twice("a".into())));
        let unknown = WorkflowFault::Unknown { step: "a".into(), needs: "c".into() };
        assert_eq!(workflow(&[("a", &["c"])]).check(), Err(unknown));
        let circle = workflow(&[("a", &[]), ("b", &["c"]), ("c", &["b"])]).check();
        assert_eq!(circle, Err(WorkflowFault::Circle("b".into())));
        assert_eq!(circle.unwrap_err().to_string(), "b needs itself");
    }

    #[test]
    fn steps_are_ready_when_what_they_need_is_done() {
        let workflow = workflow(&[("a", &[]), ("b", &[]), ("c", &["a", "b"])]);
        let result = |step: &str| StepResult { step: step.into(), output: "".into(), cost: 0.0 };
        let ready = |results: &[StepResult]| workflow.ready(results).collect::<Vec<_>>();
        assert_eq!(ready(&[]), [0, 1]);
        assert_eq!(ready(&[result("b")]), [0]);
        assert_eq!(workflow.current(&[result("a")]).as_deref(), Some("b"));
        assert_eq!(ready(&[result("b"), result("a")]), [2]);
        let all = [result("b"), result("a"), result("c")];
        assert_eq!((ready(&all), workflow.current(&all).as_deref()), (vec![], Some("c")));
    }

    #[test]
    fn names_in_braces_are_replaced_once() {
        let mut execution = execution(1);
        execution.input = r#"{"code":"{a}"}"#.into();
        execution.results = vec![StepResult { step: "a".into(), output: "{input}".into(), cost: 0.0 }];
        let told = |task: &str| Step { task: task.into(), ..step("b", &[]) }.told(&execution);
        assert_eq!(told("Look at {input}: {a}."), r#"Look at {"code":"{a}"}: {input}."#);
        assert_eq!(told("fn f() { x } {b} {{a}"), "fn f() { x } {b} {{input}");
        assert_eq!(told("{"), "{");
        assert_eq!(told(""), "");
    }
}
