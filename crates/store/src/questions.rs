//! Questions about readings; question and answer are sealed under the customer's key.

use crypto::DataKey;
use domain::{
    ids::{CustomerId, Id, MeterId, ReadingId, TaskId},
    meters::Meter,
    personal::Personal,
    policy::Categories,
    questions::{Question, QuestionStatus},
    tasks::{About, TaskKind},
    time::Instant,
    values::Message,
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Guarded, Session, StoreError,
    db::{Columns, Row, columns, named_columns, params, sql, statements},
    sealed::{self, SealedRow, reveal},
    tasks,
};

named_columns! { QuestionStatus }

columns! {
    /// A question's own columns.
    QuestionRow of "q" {
        question_id: TaskId, meter_id: MeterId, reading_id: ReadingId, status: QuestionStatus, asked_at: Instant,
        answered_at: Option<Instant>, sealed: Vec<u8>,
    }
}

statements! {
    FIND = {sql!("SELECT k.wrapped, " [QuestionRow] " FROM question q
        JOIN customer_key k ON k.customer_id = q.customer_id WHERE q.customer_id = $1 AND q.question_id = $2")};
    OF_METER = {sql!("SELECT k.wrapped, " [QuestionRow] " FROM question q
        JOIN customer_key k ON k.customer_id = q.customer_id
        WHERE q.customer_id = $1 AND q.meter_id = $2 AND q.question_id > $3 ORDER BY q.question_id LIMIT $4")};
    READING = {"SELECT count(*) FROM reading WHERE reading_id = $1 AND meter_id = $2 AND read_at >= $3
        AND (read_at <= $4 OR CAST($4 AS text) IS NULL)"};
    INSERT = {"INSERT INTO question (customer_id, question_id, meter_id, reading_id, status, asked_at, sealed)
        VALUES ($1, $2, $3, $4, 'open', $5, $6)"};
    ANSWER = {"UPDATE question SET status = 'answered', answered_at = $3, sealed = $4
        WHERE customer_id = $1 AND question_id = $2 AND status = 'open'"};
}

#[derive(Serialize, Deserialize)]
pub(crate) struct QuestionSealedV1 {
    text: String,
    answer: Option<String>,
}

impl SealedRow for QuestionSealedV1 {
    const TABLE: &'static str = "question";
    const VERSION: u8 = 1;
}

fn seal(
    key: &DataKey,
    customer: CustomerId,
    id: TaskId,
    text: &Message,
    answer: Option<&Message>,
) -> Result<Vec<u8>, StoreError> {
    let row = QuestionSealedV1 { text: reveal!(text), answer: answer.map(|answer| reveal!(answer)) };
    sealed::seal(key, customer, id.get(), &row)
}

fn decode(session: &Session<'_>, row: Row) -> Result<Question, StoreError> {
    let mut row = row.read();
    let wrapped: Vec<u8> = row.get()?;
    let QuestionRow { question_id: id, meter_id: meter, reading_id: reading, status, asked_at, answered_at, sealed } =
        QuestionRow::read(&mut row)?;
    let key = session.key(&wrapped)?;
    let QuestionSealedV1 { text, answer } = sealed::open(&key, session.customer(), id.get(), &sealed)?;
    let (text, answer) = (Message::from_record(text), answer.map(Message::from_record));
    Ok(Question { id, meter, reading, text, status, asked_at, answer, answered_at })
}

const CATEGORIES: Categories = Categories::METER.union(Categories::USAGE);

/// A question.
pub async fn find(session: &mut Session<'_>, id: TaskId) -> Result<Option<Guarded<Question>>, StoreError> {
    let rows = session.own(&FIND, params![id]).await?;
    let question = rows.into_iter().next().map(|row| decode(session, row)).transpose()?;
    Ok(question.map(|question| session.guard(question, CATEGORIES)))
}

/// A page of the questions about a meter, after one.
pub async fn of_meter(
    session: &mut Session<'_>,
    meter: MeterId,
    after: Option<TaskId>,
    limit: i64,
) -> Result<Guarded<Vec<Question>>, StoreError> {
    let rows = session.own(&OF_METER, params![meter, after.map_or(0, Id::get), limit]).await?;
    let questions = rows.into_iter().map(|row| decode(session, row)).collect::<Result<Vec<_>, _>>()?;
    Ok(session.guard(questions, CATEGORIES))
}

/// Asks about a reading, with a task for staff: `None` when the reading is not one that the customer sees.
pub async fn ask(
    change: &mut Change<'_>,
    meter: &Meter,
    reading: ReadingId,
    text: &Message,
) -> Result<Option<TaskId>, StoreError> {
    let (from, to) = meter.visible;
    let rows = change.tx()?.rows(&READING, params![reading, meter.id, from, to]).await?;
    let found: Option<i64> = rows.into_iter().next().map(|row| row.read().get()).transpose()?;
    if found.unwrap_or_default() == 0 {
        return Ok(None);
    }
    let (customer, now) = (change.customer(), change.now());
    let about = About::from(meter.id);
    let id = tasks::open(change.tx()?, now, TaskKind::QuestionedReading, Some(customer), about).await?;
    let sealed = seal(&*change.own_key().await?, customer, id, text, None)?;
    change.change_one(&INSERT, params![id, meter.id, reading, now, sealed]).await?;
    Ok(Some(id))
}

/// Answers a question, and closes its task.
pub async fn answer(change: &mut Change<'_>, question: &Question, answer: &Message) -> Result<(), StoreError> {
    let (customer, now, id) = (change.customer(), change.now(), question.id);
    let sealed = seal(&*change.own_key().await?, customer, id, &question.text, Some(answer))?;
    change.change_one(&ANSWER, params![id, now, sealed]).await?;
    change.close_task(id).await?;
    Ok(())
}
