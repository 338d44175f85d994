//! Tasks: opened within the change or batch that finds something to decide, closed by the operation that decides it.

use domain::{
    ids::{CustomerId, TaskId},
    input::Named,
    tasks::{About, Task, TaskKind, TaskStatus, Topic},
    time::Instant,
};

use crate::{
    Batch, Change, Store, StoreError,
    db::{Columns, DbError, Row, Tx, columns, named_columns, params, sql, statements},
    ids,
    readings::parked,
};

named_columns! { TaskKind, TaskStatus, Topic }

columns! {
    /// A task's columns.
    TaskRow of "t" {
        task_id: TaskId, kind: TaskKind, customer_id: Option<CustomerId>, subject_kind: Topic, subject_id: i64,
        status: TaskStatus, opened_at: Instant, closed_at: Option<Instant>,
    }
}

statements! {
    LIST = {sql!("SELECT " [TaskRow] " FROM task t WHERE t.status = $1 AND (t.kind = $2 OR $2 = '')
        AND (t.opened_at, t.task_id) > ($3, $4) ORDER BY t.opened_at, t.task_id LIMIT $5")};
    FIND = {sql!("SELECT " [TaskRow] " FROM task t WHERE t.task_id = $1")};
    WAITING = {"SELECT task_id FROM task WHERE subject_kind = $1 AND subject_id = $2 AND kind = $3 AND status = 'open'
        ORDER BY task_id LIMIT 1"};
    OPEN = {"INSERT INTO task (task_id, kind, customer_id, subject_kind, subject_id, status, opened_at)
        VALUES ($1, $2, $3, $4, $5, 'open', $6)"};
    CLOSE_ALL = {"UPDATE task SET status = 'done', closed_at = $4
        WHERE subject_kind = $1 AND subject_id = $2 AND kind = $3 AND status = 'open'"};
    CLOSE = {"UPDATE task SET status = 'done', closed_at = $2 WHERE task_id = $1 AND status = 'open'"};
}

/// Which page of tasks.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Those that wait, or those that are done.
    pub status: TaskStatus,
    /// Of one kind only.
    pub kind: Option<TaskKind>,
    /// Behind this one: when it was opened, and its id.
    pub after: Option<(Instant, i64)>,
    /// How many at most.
    pub limit: i64,
}

fn decode(row: Row) -> Result<Task, DbError> {
    let TaskRow {
        task_id: id,
        kind,
        customer_id: customer,
        subject_kind: topic,
        subject_id,
        status,
        opened_at,
        closed_at,
    } = TaskRow::read(&mut row.read())?;
    Ok(Task { id, kind, customer, about: About { topic, id: subject_id }, status, opened_at, closed_at })
}

impl Store {
    /// A page of tasks, oldest first. They hold nothing personal: ids and listed codes.
    pub async fn tasks(&self, page: Page) -> Result<Vec<Task>, StoreError> {
        let Page { status, kind, after, limit } = page;
        let (at, id) = after.unwrap_or((Instant::EARLIEST, 0));
        let rows = params![status, kind.map_or("", TaskKind::name), at, id, limit];
        Ok(self.db.read(&LIST, rows).await?.into_iter().map(decode).collect::<Result<_, _>>()?)
    }

    /// A task.
    pub async fn task(&self, task: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(self.db.read(&FIND, params![task]).await?.into_iter().next().map(decode).transpose()?)
    }
}

/// Closes a task that somebody has looked at, with what waits for it; whether it was still open.
pub async fn look_at(batch: &mut Batch<'_>, task: &Task) -> Result<bool, StoreError> {
    let (now, id) = (batch.now(), task.id);
    if let Some(customer) = task.customer {
        batch.compared(customer);
    }
    if !close(batch.tx(), now, id).await? {
        return Ok(false);
    }
    if task.kind == TaskKind::UnmatchedReading {
        parked::drop_parked(batch.tx(), id).await?;
    }
    Ok(true)
}

impl Change<'_> {
    /// Opens a task about something of the customer's, unless one of its kind waits for the same thing: its id, or
    /// that of the one that waits. It commits with the change, under the lock of the customer's row.
    pub async fn open_task(&mut self, kind: TaskKind, about: impl Into<About>) -> Result<TaskId, StoreError> {
        let (customer, now) = (self.customer(), self.now());
        open_once(self.tx()?, now, kind, Some(customer), about.into()).await
    }

    /// Closes what waits of this kind about a thing, because the operation at hand answers it; how many there were.
    pub async fn close_tasks(&mut self, kind: TaskKind, about: impl Into<About>) -> Result<u64, StoreError> {
        let now = self.now();
        close_all(self.tx()?, now, kind, about.into()).await
    }

    /// Closes one task; whether it was still open.
    pub async fn close_task(&mut self, task: TaskId) -> Result<bool, StoreError> {
        let now = self.now();
        close(self.tx()?, now, task).await
    }
}

impl Batch<'_> {
    /// Opens a task, unless one of its kind waits for the same thing: as [`Change::open_task`]. The caller holds a lock
    /// on what it is about.
    pub async fn open_task(
        &mut self,
        kind: TaskKind,
        customer: Option<CustomerId>,
        about: impl Into<About>,
    ) -> Result<TaskId, StoreError> {
        let now = self.now();
        open_once(self.tx(), now, kind, customer, about.into()).await
    }

    /// Closes what waits of this kind about a thing: as [`Change::close_tasks`].
    pub async fn close_tasks(&mut self, kind: TaskKind, about: impl Into<About>) -> Result<u64, StoreError> {
        let now = self.now();
        close_all(self.tx(), now, kind, about.into()).await
    }
}

pub(crate) async fn open_once(
    tx: &mut Tx,
    now: Instant,
    kind: TaskKind,
    customer: Option<CustomerId>,
    about: About,
) -> Result<TaskId, StoreError> {
    let waiting = tx.rows(&WAITING, params![about.topic.name(), about.id, kind.name()]).await?;
    match waiting.into_iter().next() {
        Some(row) => Ok(row.read().id()?),
        None => open(tx, now, kind, customer, about).await,
    }
}

/// Opens a task beside whatever else waits about the same thing.
pub(crate) async fn open(
    tx: &mut Tx,
    now: Instant,
    kind: TaskKind,
    customer: Option<CustomerId>,
    about: About,
) -> Result<TaskId, StoreError> {
    let id: TaskId = ids::next(tx).await?;
    let row = params![id, kind.name(), customer, about.topic.name(), about.id, now];
    tx.execute_one(&OPEN, row).await?;
    Ok(id)
}

pub(crate) async fn close_all(tx: &mut Tx, now: Instant, kind: TaskKind, about: About) -> Result<u64, StoreError> {
    Ok(tx.execute(&CLOSE_ALL, params![about.topic.name(), about.id, kind.name(), now]).await?)
}

pub(crate) async fn close(tx: &mut Tx, now: Instant, task: TaskId) -> Result<bool, StoreError> {
    Ok(tx.execute(&CLOSE, params![task, now]).await? == 1)
}

#[cfg(test)]
mod tests;
