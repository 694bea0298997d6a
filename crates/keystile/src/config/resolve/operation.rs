//! What an API says of single operations.

use keystile_core::policy::operation::{BodyKind, BodyRule, CountRule, OperationRule, Treatment};

use super::Resolver;
use super::overlap::overlap;
use super::setting::flag;
use crate::config::raw;
use crate::config::suggest::closest;
use crate::config::value::{NumberOrText, Spanned};

impl Resolver<'_> {
    pub(super) fn operations(
        &mut self,
        operations: &[Spanned<raw::Operation>],
        prefix: &str,
    ) -> Vec<OperationRule> {
        let mut rules = Vec::new();
        for operation in operations {
            if let Some(rule) = self.operation(operation, prefix) {
                rules.push((&operation.value, rule));
            }
        }
        self.warn_of_shadowed_reads(&rules);
        self.warn_of_shadowed_queries(&rules);
        rules.into_iter().map(|(_, rule)| rule).collect()
    }

    fn operation(
        &mut self,
        setting: &Spanned<raw::Operation>,
        prefix: &str,
    ) -> Option<OperationRule> {
        let operation = &setting.value;
        if operation.r#match.is_none() {
            self.missing(
                &setting.place,
                "match",
                "this operation needs `match`",
                "match = \"POST /bookmarks/import\"",
            );
        }
        let pattern = operation.r#match.as_ref().and_then(|text| self.pattern(text, 0, prefix));
        let cost = self.cost(operation.cost.as_ref());
        let body = self.body(operation);
        let rule = OperationRule {
            treat_as: operation.treat_as.as_ref().map(|setting| match setting.value {
                raw::Treatment::Read => Treatment::Read,
                raw::Treatment::Write => Treatment::Write,
            }),
            cost,
            body,
            websocket: flag(operation.websocket.as_ref()),
            count: operation.count.as_ref().map(|setting| match setting.value {
                raw::Count::Sent => CountRule::Sent,
                raw::Count::Applied => CountRule::Applied,
            }),
            ..OperationRule::new(pattern?)
        };
        self.check_read(operation, &rule);
        Some(rule)
    }

    /// The stated cost; `None` where the body tells it, or nothing does.
    fn cost(&mut self, setting: Option<&Spanned<NumberOrText>>) -> Option<u32> {
        let setting = setting?;
        match &setting.value {
            NumberOrText::Number(0) => {
                self.error(&setting.place, "a write is never free, so it cannot cost 0").help(
                    "where the call changes nothing, write treat_as = \"read\" instead of `cost`",
                );
                None
            }
            NumberOrText::Number(number) => {
                let cost = u32::try_from(*number).ok();
                if cost.is_none() {
                    self.error(
                        &setting.place,
                        format!("a cost is a number from 1 to {}", u32::MAX),
                    );
                }
                cost
            }
            NumberOrText::Text(text) if text == "items" => None,
            NumberOrText::Text(text) => {
                let meant =
                    closest(text, ["items"]).map(|meant| format!("did you mean {meant:?}?"));
                let number =
                    text.parse::<u32>().ok().map(|number| format!("write {number} without quotes"));
                self.error(&setting.place, "a cost is a number, or \"items\"")
                    .help_if(number.or(meant));
                None
            }
        }
    }

    fn body(&mut self, operation: &raw::Operation) -> Option<BodyRule> {
        let is_items = |setting: &&Spanned<NumberOrText>| matches!(&setting.value, NumberOrText::Text(text) if text == "items");
        let items = operation.cost.as_ref().filter(is_items);
        if let (Some(items), Some(_)) = (items, &operation.r#type) {
            self.error(
                &items.place,
                "the body of an operation with a `type` is counted by that type",
            )
            .help("leave out either `type` or `cost = \"items\"`");
        }
        if let (None, Some(at)) = (items, &operation.items_at) {
            let help = "add `cost = \"items\"`, or leave out `items_at`";
            self.error(
                &at.place,
                "`items_at` says where the items are, but the cost is not by items",
            )
            .help(help);
        }
        if let Some(at) = operation.items_at.as_ref().filter(|at| at.value.is_empty()) {
            self.error(&at.place, "`items_at` is empty")
                .help("leave it out where the body itself is the array");
        }
        let cost_max = self.cost_max(operation, items.is_some() || operation.r#type.is_some());
        let kind = match operation.r#type.as_ref().map(|setting| setting.value) {
            Some(raw::BodyType::GraphQl) => BodyKind::GraphQl,
            Some(raw::BodyType::JsonRpc) => BodyKind::JsonRpc,
            None => {
                items?;
                BodyKind::Items { at: operation.items_at.as_ref().map(|at| at.value.clone()) }
            }
        };
        Some(BodyRule { kind, cost_max })
    }

    fn cost_max(&mut self, operation: &raw::Operation, is_counted: bool) -> Option<u32> {
        let setting = operation.cost_max.as_ref()?;
        if !is_counted {
            self.error(
                &setting.place,
                "`cost_max` is for bodies that are counted, and nothing is counted here",
            )
            .help("add `cost = \"items\"` or a `type`, or leave out `cost_max`");
        }
        Some(self.number("cost_max", Some(setting), 1..=i64::from(u32::MAX), 1))
    }

    /// A read that is given what only a write has.
    fn check_read(&mut self, operation: &raw::Operation, rule: &OperationRule) {
        let read = operation.treat_as.as_ref().filter(|_| rule.treat_as == Some(Treatment::Read));
        let Some(read) = read else { return };
        if rule.body.is_some() {
            self.error(
                &read.place,
                "the body of this operation tells whether it writes, and how much",
            )
            .help("leave out either `treat_as` or what counts the body");
        } else if let Some(cost) = &operation.cost {
            self.warning(&cost.place, "a read costs nothing, whatever stands here")
                .help("leave out `cost`");
        } else if let Some(count) = &operation.count {
            self.warning(&count.place, "a read is not counted").help("leave out `count`");
        }
    }

    /// Of several rules the strictest holds, so a read that another rule calls a write stays a
    /// write.
    fn warn_of_shadowed_reads(&mut self, rules: &[(&raw::Operation, OperationRule)]) {
        for (operation, rule) in rules {
            let Some(read) =
                operation.treat_as.as_ref().filter(|_| rule.treat_as == Some(Treatment::Read))
            else {
                continue;
            };
            let is_stricter = |other: &OperationRule| {
                other.treat_as == Some(Treatment::Write) || other.body.is_some()
            };
            let stricter = rules.iter().find(|(_, other)| {
                is_stricter(other) && rule.body.is_none() && overlap(&rule.pattern, &other.pattern)
            });
            let Some((_, other)) = stricter else { continue };
            self.warning(
                &read.place,
                format!(
                    "calls that match \"{}\" too stay writes: the stricter rule holds",
                    other.pattern
                ),
            )
            .help("narrow one of the two so that they do not overlap");
        }
    }
    /// So do the queries of a GraphQL operation.
    fn warn_of_shadowed_queries(&mut self, rules: &[(&raw::Operation, OperationRule)]) {
        for (operation, rule) in rules {
            let Some(kind) = &operation.r#type else { continue };
            let is_graphql = rule.body.as_ref().is_some_and(|body| body.kind == BodyKind::GraphQl);
            let stricter = rules.iter().find(|(_, other)| {
                other.treat_as == Some(Treatment::Write) && overlap(&rule.pattern, &other.pattern)
            });
            if let (true, Some((_, other))) = (is_graphql, stricter) {
                self.warning(
                    &kind.place,
                    format!(
                        "queries that match \"{}\" too are writes: the stricter rule holds",
                        other.pattern
                    ),
                )
                .help("narrow one of the two so that they do not overlap");
            }
        }
    }
}
