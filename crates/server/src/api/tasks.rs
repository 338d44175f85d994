//! Tasks for staff, and the questions of customers.

use domain::{
    ids::{CustomerId, Id, MeterId, ReadingId, TaskId},
    input::Named,
    meters::Meter,
    policy::{Categories, Roles},
    premises::Premise,
    questions::{Answer, Ask, Question, QuestionStatus},
    tasks::{Task, TaskKind, TaskStatus},
    time::Instant,
    values::Message,
};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Crowd, tasks::Page};

use super::{
    call::{Call, Given, Reply},
    params::{FromQuery, MOST, PAGE, PageQuery, Parameter, Query, cursor_parameter, limit_parameter},
    problem::{self, Problem},
    route::{Route, example, group},
    wire::{Listed, Listing, Represents, Shown, View},
};
use crate::app::tasks::{self, Answered};

/// A question about a reading, and its answer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Question")]
struct QuestionDetail {
    question_id: TaskId,
    meter_id: MeterId,
    reading_id: ReadingId,
    text: Shown<Message>,
    status: QuestionStatus,
    asked_at: Instant,
    answer: Option<Shown<Message>>,
    answered_at: Option<Instant>,
}

impl QuestionDetail {
    fn new(question: Question) -> Self {
        let Question { id, meter, reading, text, status, asked_at, answer, answered_at } = question;
        Self {
            question_id: id,
            meter_id: meter,
            reading_id: reading,
            text: Shown(text),
            status,
            asked_at,
            answer: answer.map(Shown),
            answered_at,
        }
    }
}

impl Represents for QuestionDetail {
    type Of = Question;
    type At = TaskId;
    fn of(question: Question, _: View<'_>) -> Self {
        Self::new(question)
    }
    fn location(&self) -> Option<String> {
        Some(format!("/api/meters/{}/questions", self.meter_id))
    }
}

impl Listed for QuestionDetail {
    const PLURAL: &'static str = "questions";
    const ENVELOPE: &'static str = "Questions";
}

async fn list_questions(call: Call<MeterId, PageQuery>) -> Result<Listing<QuestionDetail>, Problem> {
    let found = tasks::about_meter(&call.app, &call.scope, call.path, call.after()?, call.limit()).await?;
    call.page(found, |question| question.id, QuestionDetail::new).await
}

/// What staff have to decide or look at.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Task")]
struct TaskDetail {
    task_id: TaskId,
    kind: TaskKind,
    opened_at: Instant,
    /// Whom it concerns; null where no customer is known.
    customer_id: Option<CustomerId>,
    /// What it is about, such as `meter/3001`.
    resource: String,
    status: TaskStatus,
}

impl TaskDetail {
    fn new(task: Task) -> Self {
        let Task { id, kind, customer, about, status, opened_at, closed_at: _ } = task;
        let resource = format!("{}/{}", about.topic.name(), about.id);
        Self { task_id: id, kind, opened_at, customer_id: customer, resource, status }
    }
}

impl Listed for TaskDetail {
    const PLURAL: &'static str = "tasks";
    const ENVELOPE: &'static str = "Tasks";
}

/// Which tasks.
#[derive(Debug, Clone)]
struct TaskQuery {
    status: TaskStatus,
    kind: Option<TaskKind>,
    page: PageQuery,
}

const KINDS: &str = "Write one of the kinds of tasks.";

impl FromQuery for TaskQuery {
    fn parameters() -> Vec<Parameter> {
        let named = |name, about, values: Vec<&str>| {
            let schema = serde_json::json!({"type": "string", "enum": values});
            Parameter { name, about, schema }
        };
        let kinds = TaskKind::ALL.iter().map(|(_, name)| *name).collect();
        vec![
            named("status", "Open ones, unless it says otherwise.", vec!["open", "done"]),
            named("kind", "Of one kind only.", kinds),
            limit_parameter(PAGE, MOST),
            cursor_parameter(),
        ]
    }
    fn read(query: &mut Query<'_>) -> Option<Self> {
        let (status, kind) =
            (query.named("status", TaskStatus::Open), query.optional("kind", "invalid-value", KINDS, TaskKind::named));
        let page = PageQuery::read(query);
        Some(Self { status: status?, kind: kind?, page: page? })
    }
}

async fn list_tasks(call: Call<(), TaskQuery, (), Crowd>) -> Result<Listing<TaskDetail>, Problem> {
    let TaskQuery { status, kind, page } = &call.query;
    let after = call.position::<2>(page.cursor.as_deref())?;
    let after = after.map(|[at, id]| (Instant::from_micros(at), id));
    let asked = Page { status: *status, kind: *kind, after, limit: page.limit.saturating_add(1) };
    let mut found = tasks::list(&call.app, &call.scope, asked).await?;
    let next_cursor = call.next(&mut found, page.limit, |task| [task.opened_at.micros(), task.id.get()]);
    Ok(Listing { items: found.into_iter().map(TaskDetail::new).collect(), next_cursor })
}

/// A task that was answered.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum AnsweredTask {
    /// The question, with its answer.
    Question(QuestionDetail),
    /// Another task.
    Task(TaskDetail),
}

async fn answer_task(call: Call<TaskId, (), Given, Crowd>) -> Result<Reply<AnsweredTask>, Problem> {
    let answer: Answer = call.body.read_as()?;
    let write = |question: &Question| call.kept::<QuestionDetail>(question);
    let done = tasks::answer(&call.app, &call.scope, call.path, &answer, call.once(&write)).await?;
    Ok(match done {
        Answered::Question(crate::app::Done::Before(kept)) => Reply::Before(kept),
        Answered::Question(crate::app::Done::Now(question)) => {
            Reply::Now(AnsweredTask::Question(QuestionDetail::new(question)))
        }
        Answered::Task(task) => Reply::Now(AnsweredTask::Task(TaskDetail::new(task))),
    })
}

/// The operations on tasks and questions.
pub fn routes() -> Vec<Route> {
    const QUESTIONS: Categories = Categories::METER.union(Categories::USAGE);
    let path = "/api/meters/{meterId}/questions";
    let questions = [
        Route::get(path, "listQuestions", "List questions about a meter's readings", list_questions)
            .example(example!("listQuestions")),
        Route::creation::<MeterId, (Meter, Premise), QuestionDetail, Ask>(path, "askQuestion", "Ask about a reading")
            .input_example(example!("askQuestion.input"))
            .example(example!("askQuestion")),
    ];
    let mut routes = group("Meters", QUESTIONS, questions);
    let writes = Roles::CSR | Roles::SUPERVISOR | Roles::ADMIN;
    let staff = [
        Route::get(
            "/api/admin/meters/{meterId}/questions",
            "listQuestionsForStaff",
            "List questions about a meter's readings",
            list_questions,
        )
        .staff(writes)
        .example(example!("listQuestionsForStaff")),
        Route::get("/api/admin/tasks", "listTasks", "List what staff have to decide or look at", list_tasks)
            .staff(Roles::STAFF)
            .example(example!("listTasks")),
        Route::answering::<Answer, _, _, _>(
            "/api/admin/tasks/{taskId}/answer",
            "answerTask",
            "Answer a question, or close a task that was looked at",
            answer_task,
        )
        .staff(writes)
        .refuses(&[problem::INVALID_TRANSITION])
        .input_example(example!("answerTask.input"))
        .example(example!("answerTask")),
    ];
    routes.extend(group("Staff", QUESTIONS, staff));
    routes
}
