//! Whether usage can be reported as it is set up.

use keystile_core::request::call_method::CallMethod;
use keystile_engine::findings::{Finding, FindingLevel};

use super::mapping::{CallClass, UsageMap};
use super::reports::UsageReports;
use crate::drive::account::{DrivenAccount, words};

impl DrivenAccount {
    /// What was looked at of reports, and how it is. A report that holds nothing is sent; nothing counts by it.
    pub(crate) async fn usage_findings(&self) -> Vec<Finding> {
        let Some(usage) = &self.usage else {
            return Vec::new();
        };
        let mut findings = vec![match usage.client.probe().await {
            Ok(()) => self.good("the backend takes reports of this service".to_owned()),
            Err(error) => self.finding(FindingLevel::Problem, error.to_string(), None),
        }];
        findings.push(self.metrics_finding(usage).await);
        findings.push(self.good(in_words(&usage.map)));
        findings
    }

    async fn metrics_finding(&self, usage: &UsageReports) -> Finding {
        let metrics = match self.client.metrics(self.settings.service).await {
            Ok(metrics) => metrics,
            Err(error) => return self.finding(FindingLevel::Problem, words(&error), None),
        };
        let there: Vec<_> = metrics.iter().map(|metric| metric.system_name.as_str()).collect();
        let named = usage.map.names();
        let lost: Vec<_> = named.into_iter().filter(|name| !there.contains(name)).collect();
        if lost.is_empty() {
            return self.good("the service has every metric that `usage` names".to_owned());
        }
        let message = format!("the service has no metric or method {}", lost.join(", "));
        let help = format!("those that it has are: {}", there.join(", "));
        self.finding(FindingLevel::Problem, message, Some(help))
    }
}

/// What is reported, in words.
fn in_words(map: &UsageMap) -> String {
    let of_class = |name: &Option<String>| match name {
        Some(name) => format!("as {name}"),
        None => "not".to_owned(),
    };
    let mut said =
        format!("reads are reported {}, writes {}", of_class(&map.reads), of_class(&map.writes));
    for method in CallMethod::ALL {
        if map.methods.contains_key(&method)
            && let Some(name) = map.metric(method, CallClass::Read)
        {
            said.push_str(&format!(", {method} as {name}"));
        }
    }
    said
}
