//! Accounts of 3scale: where usage is reported, and as what.

use keystile_threescale::drive::settings::UsageSettings;
use keystile_threescale::drive::usage::mapping::UsageMap;

use super::Resolver;
use crate::config::raw::Threescale;
use crate::config::suggest::closest;
use crate::config::value::Spanned;

/// The longest name of a metric.
const METRIC_CHARS_MAX: usize = 255;

const READS: &str = "reads";
const WRITES: &str = "writes";
/// What can stand for a metric.
const CALLS: [&str; 10] =
    [READS, WRITES, "GET", "HEAD", "OPTIONS", "QUERY", "POST", "PUT", "PATCH", "DELETE"];

impl Resolver<'_> {
    /// How usage is reported; nothing where it is not.
    pub(super) fn usage(
        &mut self,
        name: &Spanned<String>,
        account: &Threescale,
    ) -> Option<UsageSettings> {
        let (file, variable) = (&account.service_token_file, &account.service_token_env);
        let map = self.usage_map(account);
        let Some(setting) = &account.backend else {
            let token = file.as_ref().or(variable.as_ref()).map(|token| &token.place);
            let usage = account.usage.keys().next().map(|calls| &calls.place);
            if let Some(place) = usage.or(token)
                && !self.is_lost(&["threescale", &name.value, "backend"])
            {
                self.error(place, "usage is reported to a `backend`, and there is none")
                    .help("write it as in backend = \"https://su1.3scale.net\"");
            }
            return None;
        };
        let backend = self.address_in_3scale(setting, "a backend");
        let service_token = self.secret(file.as_ref(), variable.as_ref());
        if service_token.is_none() {
            let example = "service_token_file = \"/run/secrets/3scale-service\", or service_token_env = \"NAME\"";
            self.account_lacks(name, "service_token_file", example);
        }
        if account.usage.is_empty() {
            let example = "usage = { reads = \"hits\", writes = \"hits\" }";
            self.account_lacks(name, "usage", example);
        }
        Some(UsageSettings { backend: backend?, service_token: service_token?, map })
            .filter(|usage| !usage.map.is_empty())
    }

    fn usage_map(&mut self, account: &Threescale) -> UsageMap {
        let mut map = UsageMap::default();
        for (calls, metric) in &account.usage {
            let is_name = |text: &str| {
                !text.is_empty()
                    && text.chars().count() <= METRIC_CHARS_MAX
                    && !text.contains(['[', ']'])
                    && !text.contains(char::is_whitespace)
                    && !text.contains(char::is_control)
            };
            if !is_name(&metric.value) {
                self.error(&metric.place, format!("{:?} is no name of a metric", metric.value))
                    .help("the portal shows the system names of metrics and methods");
                continue;
            }
            let metric = metric.value.clone();
            match calls.value.as_str() {
                READS => map.reads = Some(metric),
                WRITES => map.writes = Some(metric),
                method => match method.parse() {
                    Ok(method) => {
                        map.methods.insert(method, metric);
                    }
                    Err(_) => self.no_such_calls(calls),
                },
            }
        }
        map
    }

    fn no_such_calls(&mut self, calls: &Spanned<String>) {
        let help = closest(&calls.value, CALLS.iter().copied()).map_or_else(
            || format!("calls are: {}", CALLS.join(", ")),
            |meant| format!("did you mean {meant:?}?"),
        );
        self.error(&calls.place, format!("usage is of no calls {:?}", calls.value)).help(help);
    }
}
