//! What a row of the route table says beside its handler: who may call it, what it reveals, what it takes and refuses.

use domain::policy::{Categories, Reach, Roles, Rule};
use http::Method;

use super::{
    problem::{self, ProblemKind},
    route::Route,
};

impl Route {
    /// With other media types of the body beside JSON.
    #[must_use]
    pub fn also_consumes(self, also_consumes: &'static [&'static str]) -> Self {
        Self { also_consumes, ..self }
    }

    /// For these roles instead of customers.
    #[must_use]
    pub fn roles(mut self, roles: Roles) -> Self {
        self.rules.iter_mut().for_each(|rule| rule.roles = roles);
        self
    }

    /// For these roles instead of customers, each with what its answer reveals to them: a rule a row.
    #[must_use]
    pub fn by_role(self, rows: &[(Roles, Categories)]) -> Self {
        let rules = self.rules.iter().flat_map(|rule| {
            rows.iter().map(move |(roles, categories)| Rule { roles: *roles, categories: *categories, ..*rule })
        });
        Self { rules: rules.collect(), ..self }
    }

    /// For staff, on one customer's data, with a reason: also while the customer is inactive.
    #[must_use]
    pub fn staff(self, roles: Roles) -> Self {
        let mut route = self.roles(roles).while_inactive().refuses(&[problem::ACCESS_REASON_REQUIRED]);
        for rule in &mut route.rules {
            // Where many are reached, or one is made, staff say why as well; whom they reach stays.
            rule.reach = if rule.reach == Reach::Own { Reach::Named } else { rule.reach };
            rule.reason = true;
        }
        route.refusals.retain(|kind| kind.code != problem::INACTIVE.code);
        route
    }

    /// For services, on one customer's data: also while the customer is inactive.
    #[must_use]
    pub fn service(self, roles: Roles) -> Self {
        let mut route = self.roles(roles).while_inactive();
        route.rules.iter_mut().for_each(|rule| rule.reach = Reach::Named);
        route.refusals.retain(|kind| kind.code != problem::INACTIVE.code);
        route
    }

    /// With what its answer reveals.
    #[must_use]
    pub fn reveals(mut self, categories: Categories) -> Self {
        self.rules.iter_mut().for_each(|rule| rule.categories = categories);
        self
    }

    /// With an example of its answer.
    #[must_use]
    pub fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// With an example of its input.
    #[must_use]
    pub fn input_example(self, input_example: &'static str) -> Self {
        Self { input_example, ..self }
    }

    /// Also while the customer is inactive: contact data, mailing address, privacy requests.
    #[must_use]
    pub fn while_inactive(mut self) -> Self {
        self.rules.iter_mut().for_each(|rule| rule.while_inactive = true);
        self
    }

    /// With the media types of its answer, the preferred one first.
    #[must_use]
    pub fn produces(self, produces: &'static [&'static str]) -> Self {
        Self { produces, ..self }
    }

    /// With more refusals.
    #[must_use]
    pub fn refuses(mut self, refusals: &[&'static ProblemKind]) -> Self {
        self.refusals.extend_from_slice(refusals);
        self
    }

    /// Whether it only reads.
    pub fn reads(&self) -> bool {
        self.method == Method::GET
    }

    /// Everybody who may call it.
    pub fn all_roles(&self) -> Roles {
        self.rules.iter().map(|rule| rule.roles).collect()
    }
}
