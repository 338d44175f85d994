//! The route table: one row an operation. The router, the API description, the authorization rules and the
//! coverage tests are all made from it, so that a route which is missing here does not exist.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::response::Response;
use domain::{
    input::FromInput,
    policy::{Categories, Roles, Rule},
};
use http::{Method, StatusCode};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use super::{
    call::{Applicant, Call, Document, FromBody, Given, JSON, MERGE_PATCH, Reply, Standing, Unparsed},
    dispatch::Authorized,
    params::{FromPath, FromQuery, Leads, Parameter},
    problem::{self, Problem, ProblemKind},
    wire::{Editable, Represents},
};
use crate::app::{Operation, Thing};

/// The largest body unless a route says otherwise.
pub const BODY_LIMIT: usize = 64 * 1024;
/// The longest time unless a route says otherwise.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

type Answer = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;
type Handler = dyn Fn(Authorized) -> Answer + Send + Sync;
type Schema = fn(&mut SchemaGenerator) -> Value;

/// One operation.
#[derive(Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The template of the path.
    pub path: &'static str,
    /// The operation's name, in the API description and the audit log.
    pub action: &'static str,
    /// Who may call it, whose data it reaches, and what it reveals: one row for each set of roles.
    pub rules: Vec<Rule>,
    /// One line about it.
    pub about: &'static str,
    /// The heading under which the description shows it.
    pub tag: &'static str,
    /// The status of its answer.
    pub status: StatusCode,
    /// The media types of its answer, the preferred one first.
    pub produces: &'static [&'static str],
    /// The largest body.
    pub body_limit: usize,
    /// The longest time.
    pub time_limit: Duration,
    /// The path's parameters.
    pub path_parameters: Vec<Parameter>,
    /// The query's parameters.
    pub query_parameters: Vec<Parameter>,
    /// The media type of the body.
    pub consumes: Option<&'static str>,
    /// The other media types of the body, which are read to the same end.
    pub also_consumes: &'static [&'static str],
    /// The JSON Schema of an operation's input.
    pub input: Option<Schema>,
    /// The JSON Schema of the answer.
    pub answer: Schema,
    /// The members of the body that may be edited; all of them make PUT's required ones.
    pub editable: &'static [&'static str],
    /// An example of the answer.
    pub example: &'static str,
    /// An example of an operation's input.
    pub input_example: &'static str,
    /// The refusals beyond those that every operation has.
    pub refusals: Vec<&'static ProblemKind>,
    pub(super) handler: Arc<Handler>,
}

/// An example's text, from its file: a test compares it with the demonstration's answer.
macro_rules! example {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/examples/", $name, ".json"))
    };
}
pub(super) use example;

impl Route {
    fn new<P, Q, B, S, F, R>(
        (method, path, action, about): (Method, &'static str, &'static str, &'static str),
        handler: impl Fn(Call<P, Q, B, S>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        P: FromPath,
        Q: FromQuery,
        B: FromBody,
        S: Standing,
        F: Future<Output = Result<Reply<R>, Problem>> + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
    {
        let consumes = B::media_type(&method);
        let rule = Rule {
            action,
            roles: Roles::CUSTOMER,
            reach: S::REACH,
            reason: false,
            categories: Categories::NONE,
            while_inactive: method == Method::GET,
        };
        let run = move |authorized: Authorized| -> Answer {
            let handler = handler.clone();
            Box::pin(async move {
                let call = authorized.read::<P, Q, B, S>().await?;
                let respond = call.responder();
                respond.answer(handler(call).await?)
            })
        };
        let path_parameters = P::parameters();
        let refusals = if path_parameters.is_empty() { Vec::new() } else { vec![problem::NOT_FOUND] };
        Self {
            method,
            path,
            action,
            rules: vec![rule],
            about,
            tag: "",
            status: StatusCode::OK,
            produces: &[JSON],
            body_limit: BODY_LIMIT,
            time_limit: TIME_LIMIT,
            path_parameters,
            query_parameters: Q::parameters(),
            consumes,
            also_consumes: &[],
            input: None,
            answer: |generator| generator.subschema_for::<R>().to_value(),
            editable: &[],
            example: "",
            input_example: "",
            refusals,
            handler: Arc::new(run),
        }
    }

    /// A reading operation with a handler of its own.
    pub fn get<P, Q, S, F, R>(
        path: &'static str,
        action: &'static str,
        about: &'static str,
        handler: fn(Call<P, Q, (), S>) -> F,
    ) -> Self
    where
        P: FromPath,
        Q: FromQuery,
        S: Standing,
        F: Future<Output = Result<R, Problem>> + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
    {
        let handler = move |call| {
            let answer = handler(call);
            async move { answer.await.map(Reply::Now) }
        };
        Self::new((Method::GET, path, action, about), handler)
    }

    /// A reading operation that may answer in pieces.
    pub fn stream<P, Q, F, R>(
        path: &'static str,
        action: &'static str,
        about: &'static str,
        handler: fn(Call<P, Q>) -> F,
    ) -> Self
    where
        P: FromPath,
        Q: FromQuery,
        F: Future<Output = Result<Reply<R>, Problem>> + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
    {
        Self::new((Method::GET, path, action, about), handler)
    }

    /// GET of a representation.
    pub fn show<R: Represents>(path: &'static str, action: &'static str, about: &'static str) -> Self {
        Self::get(path, action, about, |call: Call<R::At>| async move { call.show::<R>().await })
    }

    /// PUT and PATCH of one representation.
    pub fn edit<R: Editable>(path: &'static str, actions: [&'static str; 2], about: &'static str) -> [Self; 2] {
        let [put, patch] = actions;
        [(Method::PUT, put), (Method::PATCH, patch)].map(|(method, action)| {
            let handler = |call: Call<R::At, (), Document>| async move { call.edit::<R>().await.map(Reply::Now) };
            let route = Self::new((method, path, action, about), handler);
            let refusals = [problem::PRECONDITION_FAILED, problem::VALIDATION_FAILED, problem::INACTIVE];
            Self { editable: R::EDITABLE, ..route.refuses(&refusals) }
        })
    }

    /// GET, PUT and PATCH of one representation, with an example of it.
    pub fn resource<R: Editable>(
        path: &'static str,
        actions: [&'static str; 3],
        abouts: [&'static str; 2],
        example: &'static str,
    ) -> [Self; 3] {
        let [get, put, patch] = actions;
        let [put, patch] = Self::edit::<R>(path, [put, patch], abouts[1]);
        [Self::show::<R>(path, get, abouts[0]), put, patch].map(|route| route.example(example))
    }

    /// POST of an operation on a thing, whose answer represents the thing afterwards. Without input it takes no body,
    /// or `{}`.
    pub fn operation<R: Represents, O: Operation<R::Of> + FromInput + JsonSchema + 'static>(
        path: &'static str,
        action: &'static str,
        about: &'static str,
    ) -> Self {
        let handler = |call: Call<R::At, (), Given>| async move { call.operate::<R, O>().await };
        Self::new((Method::POST, path, action, about), handler).changes::<O>().refuses(&[problem::PRECONDITION_FAILED])
    }

    /// POST of an operation on the thing `T` at a path, which makes another one: the answer is 201, represents that
    /// one, and says where it can be read.
    pub fn creation<P, T, R, O>(path: &'static str, action: &'static str, about: &'static str) -> Self
    where
        P: Leads<T::Id>,
        T: Thing,
        R: Represents,
        O: Operation<T, R::Of> + FromInput + JsonSchema + 'static,
    {
        let handler = |call: Call<P, (), Given>| async move { call.create::<T, R, O>().await };
        let route = Self::new((Method::POST, path, action, about), handler).changes::<O>();
        Self { status: StatusCode::CREATED, ..route }
    }

    /// POST that makes a customer, or something for who is one already, by a handler of its own.
    pub fn founding<O, F, R>(
        path: &'static str,
        action: &'static str,
        about: &'static str,
        handler: fn(Call<(), (), Given, Applicant>) -> F,
    ) -> Self
    where
        O: JsonSchema,
        F: Future<Output = Result<Reply<R>, Problem>> + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
    {
        let route = Self::new((Method::POST, path, action, about), handler).changes::<O>();
        Self { status: StatusCode::CREATED, ..route }
    }

    /// POST of an operation on what may be nobody's, by a handler of its own.
    pub fn answering<O, P, F, R>(
        path: &'static str,
        action: &'static str,
        about: &'static str,
        handler: fn(Call<P, (), Given, store::Crowd>) -> F,
    ) -> Self
    where
        P: FromPath,
        O: JsonSchema,
        F: Future<Output = Result<Reply<R>, Problem>> + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
    {
        Self::new((Method::POST, path, action, about), handler).changes::<O>()
    }

    /// POST that makes something of nobody's, by a handler of its own.
    pub fn making<O, F, R>(
        path: &'static str,
        action: &'static str,
        about: &'static str,
        handler: fn(Call<(), (), Given, store::Crowd>) -> F,
    ) -> Self
    where
        O: JsonSchema,
        F: Future<Output = Result<Reply<R>, Problem>> + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
    {
        let route = Self::new((Method::POST, path, action, about), handler);
        let input: Option<Schema> = Some(|generator| generator.subschema_for::<O>().to_value());
        Self { input, status: StatusCode::CREATED, ..route }.refuses(&[problem::VALIDATION_FAILED])
    }

    /// With an input, and what every change may be refused for.
    fn changes<O: JsonSchema>(self) -> Self {
        let input: Option<Schema> = Some(|generator| generator.subschema_for::<O>().to_value());
        let refusals = [problem::VALIDATION_FAILED, problem::INACTIVE, problem::KEY_BUSY, problem::KEY_REUSED];
        Self { input, ..self.refuses(&refusals) }
    }

    /// By DELETE instead of POST: without a body.
    #[must_use]
    pub fn by_delete(mut self) -> Self {
        (self.method, self.consumes, self.input) = (Method::DELETE, None, None);
        self.refusals.retain(|kind| ![problem::KEY_BUSY.code, problem::KEY_REUSED.code].contains(&kind.code));
        self
    }

    /// By PATCH instead of POST: members that are absent keep what is stored.
    #[must_use]
    pub fn by_patch(mut self) -> Self {
        (self.method, self.consumes) = (Method::PATCH, Some(MERGE_PATCH));
        self.refusals.retain(|kind| ![problem::KEY_BUSY.code, problem::KEY_REUSED.code].contains(&kind.code));
        self
    }

    /// POST of a batch.
    pub fn batch<B, F, R>(
        path: &'static str,
        action: &'static str,
        about: &'static str,
        handler: fn(Call<(), (), Given, store::Crowd>) -> F,
    ) -> Self
    where
        B: JsonSchema,
        F: Future<Output = Result<R, Problem>> + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
    {
        Self::of_many::<B, _, _, _>((Method::POST, path, action, about), handler)
    }

    /// POST of a batch that its handler reads line by line.
    pub fn bulk<B, F, R>(
        path: &'static str,
        action: &'static str,
        about: &'static str,
        handler: fn(Call<(), (), Unparsed, store::Crowd>) -> F,
    ) -> Self
    where
        B: JsonSchema,
        F: Future<Output = Result<R, Problem>> + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
    {
        Self::of_many::<B, _, _, _>((Method::POST, path, action, about), handler)
    }

    fn of_many<B, T, F, R>(
        names: (Method, &'static str, &'static str, &'static str),
        handler: fn(Call<(), (), T, store::Crowd>) -> F,
    ) -> Self
    where
        B: JsonSchema,
        T: FromBody,
        F: Future<Output = Result<R, Problem>> + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
    {
        let handler = move |call| {
            let answer = handler(call);
            async move { answer.await.map(Reply::Now) }
        };
        let route = Self::new(names, handler);
        let input: Option<Schema> = Some(|generator| generator.subschema_for::<B>().to_value());
        Self { input, body_limit: 8 * 1024 * 1024, time_limit: Duration::from_secs(60), ..route }
            .refuses(&[problem::VALIDATION_FAILED])
    }
}

/// Routes under one heading that reveal the same, unless one says otherwise.
pub(super) fn group(tag: &'static str, categories: Categories, routes: impl IntoIterator<Item = Route>) -> Vec<Route> {
    let own = |route: Route| {
        let said = route.rules.iter().any(|rule| rule.categories != Categories::NONE);
        Route { tag, ..if said { route } else { route.reveals(categories) } }
    };
    routes.into_iter().map(own).collect()
}
