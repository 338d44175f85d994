//! Tasks for staff, and questions, which are tasks with words.

use domain::{
    events::Events,
    ids::{MeterId, TaskId},
    input::FieldError,
    meters::Meter,
    premises::Premise,
    questions::{Answer, Ask, Question, QuestionStatus},
    tasks::{Task, TaskKind, TaskStatus},
};
use store::{Crowd, Guarded, Scope, Session, StoreError, Transaction, meters, questions, tasks};

use super::{App, Done, Effect, Failure, Once, Operation, Thing, change, resource};

impl Thing for Question {
    type Id = TaskId;
    async fn find(session: &mut Session<'_>, id: TaskId) -> Result<Option<Guarded<Self>>, StoreError> {
        questions::find(session, id).await
    }
    fn resource(id: TaskId) -> Option<String> {
        resource("question", id)
    }
    fn version(&self) -> i64 {
        if self.status == QuestionStatus::Open { 1 } else { 2 }
    }
}

/// A page of the questions about a meter that the customer sees, after one.
pub async fn about_meter(
    app: &App,
    scope: &Scope,
    meter: MeterId,
    after: Option<TaskId>,
    limit: i64,
) -> Result<Guarded<Vec<Question>>, Failure> {
    let mut snapshot = app.store.snapshot(scope).await?;
    let mut session = snapshot.session();
    meters::find(&mut session, meter).await?.ok_or(Failure::NotFound)?;
    Ok(questions::of_meter(&mut session, meter, after, limit).await?)
}

fn wrong(pointer: &str, code: &'static str, message: &str) -> Failure {
    Failure::Fields(vec![FieldError { pointer: pointer.to_owned(), ..FieldError::new(code, message) }])
}

impl Operation<(Meter, Premise), Question> for Ask {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        _: MeterId,
        (meter, _): &(Meter, Premise),
    ) -> Result<Effect<TaskId>, Failure> {
        let unknown = || wrong("/readingId", "unknown-reading", "The meter has no such reading.");
        let id = questions::ask(&mut tx.own(), meter, self.reading_id, &self.text).await?.ok_or_else(unknown)?;
        Ok(Effect::Done(id, Events::None("a question is for staff, and not for neighbours")))
    }
}

impl Operation<Question> for Answer {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        id: TaskId,
        current: &Question,
    ) -> Result<Effect<TaskId>, Failure> {
        let answer = self.answer.as_ref().ok_or_else(|| wrong("/answer", "missing", "Write an answer."))?;
        if current.status == QuestionStatus::Answered {
            return Err(Failure::refused("invalid-transition", &[]));
        }
        questions::answer(&mut tx.own(), current, answer).await?;
        Ok(Effect::Done(id, Events::None("an answer is for the customer, and not for neighbours")))
    }
}

/// A page of tasks, oldest first. A task holds ids and listed codes: nothing of a customer's is opened.
pub async fn list(app: &App, crowd: &Crowd, page: tasks::Page) -> Result<Vec<Task>, Failure> {
    let found = app.store.tasks(page).await?;
    app.store.disclose(crowd, Vec::<Guarded<()>>::new()).await?;
    Ok(found)
}

/// What an answer made of a task.
#[derive(Debug)]
pub enum Answered {
    /// The question has it.
    Question(Done<Question>),
    /// The task is done.
    Task(Task),
}

/// Answers a question; closes another task that asks for nothing but a look.
///
/// # Errors
/// `invalid-transition` when it is done, or when an operation of its own decides it.
pub async fn answer(
    app: &App,
    crowd: &Crowd,
    id: TaskId,
    answer: &Answer,
    once: Option<Once<'_, Question>>,
) -> Result<Answered, Failure> {
    let task = app.store.task(id).await?.ok_or(Failure::NotFound)?;
    match (task.kind, task.customer) {
        (TaskKind::QuestionedReading, Some(customer)) => {
            let scope = crowd.member(customer);
            let ask = super::Ask { scope: &scope, check: &|_: &Question| Ok(()), once };
            return Ok(Answered::Question(change(app, ask, id, answer).await?));
        }
        (TaskKind::Enrollment, _) => return Err(Failure::refused("invalid-transition", &["approve", "reject"])),
        _ => {}
    }
    if answer.answer.is_some() {
        return Err(wrong("/answer", "must-be-null", "Only a question has an answer."));
    }
    let mut batch = app.store.batch(crowd).await?;
    if !tasks::look_at(&mut batch, &task).await? {
        return Err(Failure::refused("invalid-transition", &[]));
    }
    batch.commit(format!("task={id}")).await?;
    Ok(Answered::Task(Task { status: TaskStatus::Done, ..task }))
}
