//! The route table: one row an operation. The router, the API description, the authorization rule and the
//! coverage tests are all made from it, so that a route which is missing here does not exist.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::response::Response;
use domain::policy::{Categories, Role, Roles, Rule};
use http::Method;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::{
    call::{Call, Editable, FromBody, JSON},
    dispatch::Authorized,
    params::{FromPath, FromQuery, Parameter},
    problem::{self, Kind, Problem},
};

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
    /// Who may call it, and what it reveals.
    pub rule: Rule,
    /// One line about it.
    pub about: &'static str,
    /// The heading under which the description shows it.
    pub tag: &'static str,
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
    /// The JSON Schema of the answer.
    pub answer: Schema,
    /// The members of the body that may be edited; all of them make PUT's required ones.
    pub editable: &'static [&'static str],
    /// Examples of the answer.
    pub example: &'static str,
    /// The refusals beyond those that every operation has.
    pub refusals: Vec<&'static Kind>,
    pub(super) handler: Arc<Handler>,
}

impl Route {
    /// An operation named `action`, answering with `R`.
    fn new<P, Q, B, F, R>(
        method: Method,
        path: &'static str,
        action: &'static str,
        handler: fn(Call<P, Q, B>) -> F,
    ) -> Self
    where
        P: FromPath,
        Q: FromQuery,
        B: FromBody,
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
        R: JsonSchema,
    {
        let consumes = B::media_type(&method);
        let rule = Rule {
            action,
            roles: Roles::of(&[Role::Customer]),
            categories: Categories::NONE,
            while_inactive: method == Method::GET,
        };
        let run = move |authorized: Authorized| -> Answer {
            Box::pin(async move {
                let call = authorized.read::<P, Q, B>()?;
                handler(call).await
            })
        };
        let path_parameters = P::parameters();
        let refusals = if path_parameters.is_empty() { Vec::new() } else { vec![problem::NOT_FOUND] };
        Self {
            method,
            path,
            rule,
            about: "",
            tag: "",
            produces: &[JSON],
            body_limit: BODY_LIMIT,
            time_limit: TIME_LIMIT,
            path_parameters,
            query_parameters: Q::parameters(),
            consumes,
            answer: |generator| generator.subschema_for::<R>().to_value(),
            editable: &[],
            example: "",
            refusals,
            handler: Arc::new(run),
        }
    }

    /// A reading operation.
    pub fn get<R: JsonSchema, P: FromPath, Q: FromQuery, F>(
        path: &'static str,
        action: &'static str,
        handler: fn(Call<P, Q, ()>) -> F,
    ) -> Self
    where
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        Self::new::<P, Q, (), F, R>(Method::GET, path, action, handler)
    }

    /// A changing operation without a body.
    pub fn post<R: JsonSchema, P: FromPath, F>(
        path: &'static str,
        action: &'static str,
        handler: fn(Call<P>) -> F,
    ) -> Self
    where
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let route = Self::new::<P, (), (), F, R>(Method::POST, path, action, handler);
        route.refuses(&[problem::PRECONDITION_FAILED, problem::INACTIVE])
    }

    /// PUT and PATCH of one representation: two rows with one handler.
    pub fn edit<R: JsonSchema + Editable, P: FromPath, F>(
        path: &'static str,
        actions: [&'static str; 2],
        handler: fn(Call<P, (), super::call::Change>) -> F,
    ) -> [Self; 2]
    where
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let [put, patch] = actions;
        [(Method::PUT, put), (Method::PATCH, patch)].map(|(method, action)| {
            let route = Self::new::<P, (), super::call::Change, F, R>(method, path, action, handler);
            let refusals = [problem::PRECONDITION_FAILED, problem::VALIDATION_FAILED, problem::INACTIVE];
            Self { editable: R::EDITABLE, ..route.refuses(&refusals) }
        })
    }

    /// With its heading and one line about it.
    #[must_use]
    pub fn about(self, tag: &'static str, about: &'static str) -> Self {
        Self { tag, about, ..self }
    }

    /// With what its answer reveals.
    #[must_use]
    pub fn reveals(mut self, categories: Categories) -> Self {
        self.rule.categories = categories;
        self
    }

    /// With an example of its answer.
    #[must_use]
    pub fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// Also while the customer is inactive: contact data, mailing address, privacy requests.
    #[must_use]
    pub fn while_inactive(mut self) -> Self {
        self.rule.while_inactive = true;
        self
    }

    /// With the media types of its answer, the preferred one first.
    #[must_use]
    pub fn produces(self, produces: &'static [&'static str]) -> Self {
        Self { produces, ..self }
    }

    /// With more refusals.
    #[must_use]
    pub fn refuses(mut self, refusals: &[&'static Kind]) -> Self {
        self.refusals.extend_from_slice(refusals);
        self
    }
}
