//! Accounts of 3scale: where their portals are, and what their plans stand for.

use std::collections::BTreeMap;
use std::time::Duration;

use keystile_core::policy::PlanSpec;
use keystile_core::time::Span;
use keystile_engine::keys::look_up::look_ups::LookUpLimits;
use keystile_threescale::drive::settings::{DriveSettings, OnLock};
use keystile_threescale::portal::address::{AddressFault, PortalAddress};
use keystile_threescale::portal::records::ServiceId;
use keystile_threescale::portal::settings::PortalSettings;

use super::Resolver;
use super::gate::DAY;
use crate::config::raw::Threescale;
use crate::config::suggest::closest;
use crate::config::value::{NumberOrText, Spanned};

const PORTAL: &str = "a portal";
const REFRESH: Span = Span::from_secs(5 * 60);
const REFRESH_MIN: Span = Span::from_secs(10);
const LOOK_UPS: u32 = 10;
/// More would be a flood that the owner asked for.
const LOOK_UPS_MAX: i64 = 1_000;
const YEAR: Span = Span::from_secs(366 * 86_400);
const UNKNOWN_FOR: Span = Span::from_secs(60);

impl Resolver<'_> {
    /// The accounts in the order of the file. One with a mistake is not among them.
    pub(super) fn threescale(
        &mut self,
        accounts: &BTreeMap<Spanned<String>, Threescale>,
        plans: &[PlanSpec],
    ) -> Vec<DriveSettings> {
        let mut accounts: Vec<_> = accounts.iter().collect();
        accounts.sort_by_key(|(name, _)| name.place.start);
        accounts
            .into_iter()
            .filter_map(|(name, account)| self.account(name, account, plans))
            .collect()
    }

    fn account(
        &mut self,
        name: &Spanned<String>,
        account: &Threescale,
        plans: &[PlanSpec],
    ) -> Option<DriveSettings> {
        self.name("threescale", name);
        let address = self.portal(name, account);
        let token =
            self.secret(account.access_token_file.as_ref(), account.access_token_env.as_ref());
        if token.is_none() {
            let example =
                "access_token_file = \"/run/secrets/3scale\", or access_token_env = \"NAME\"";
            self.account_lacks(name, "access_token_file", example);
        }
        let service = self.service(name, account);
        let mapped = account.plans.iter().map(|(there, here)| {
            self.check_key_plan(here, plans);
            (there.value.clone(), here.value.clone())
        });
        let mapped = mapped.collect();
        if let Some(plan) = &account.default_plan {
            self.check_key_plan(plan, plans);
        }
        let usage = self.usage(name, account);
        let webhook_secret =
            self.secret(account.webhook_secret_file.as_ref(), account.webhook_secret_env.as_ref());
        let ca_file = account.ca_file.as_ref().map(|file| self.pem(file, "certificate"));
        let refresh = self.span(account.refresh.as_ref(), REFRESH, DAY);
        if let Some(setting) = &account.refresh
            && refresh < REFRESH_MIN
        {
            self.error(&setting.place, "`refresh` is at least \"10 s\"")
                .help("each time the whole list of applications is read");
        }
        let on_lock = self.on_lock(account.on_lock.as_ref());
        let look_ups = self.look_ups(account);
        let keep_known = self.span(account.keep_known.as_ref(), DAY, YEAR);
        let mut portal = PortalSettings::new(address?, token?);
        portal.ca_file = ca_file;
        Some(DriveSettings {
            name: name.value.clone(),
            portal,
            service: service?,
            plans: mapped,
            default_plan: account.default_plan.as_ref().map(|plan| plan.value.clone()),
            on_lock,
            refresh: Duration::from_millis(refresh.millis().unsigned_abs()),
            keep_known,
            look_ups,
            usage,
            webhook_secret,
        })
    }

    fn look_ups(&mut self, account: &Threescale) -> LookUpLimits {
        let asked = account.look_ups.as_ref();
        let per_second = self.number("look_ups", asked, 0..=LOOK_UPS_MAX, LOOK_UPS);
        let unknown_for = self.span(account.unknown_for.as_ref(), UNKNOWN_FOR, DAY);
        LookUpLimits { per_second, unknown_for }
    }

    fn portal(&mut self, name: &Spanned<String>, account: &Threescale) -> Option<PortalAddress> {
        let Some(setting) = &account.portal else {
            self.account_lacks(name, "portal", "portal = \"https://acme-admin.3scale.net\"");
            return None;
        };
        self.address_in_3scale(setting, PORTAL)
    }

    /// The address of a part of 3scale.
    pub(super) fn address_in_3scale(
        &mut self,
        setting: &Spanned<String>,
        part: &str,
    ) -> Option<PortalAddress> {
        match setting.value.parse::<PortalAddress>() {
            Ok(address) => Some(address),
            Err(fault) => {
                let shown = match fault {
                    // What stands there may be the token.
                    AddressFault::Credentials => "this".to_owned(),
                    AddressFault::NotUrl | AddressFault::Plain(_) | AddressFault::Path(_) => {
                        format!("{:?}", setting.value)
                    }
                };
                let help = match fault {
                    AddressFault::NotUrl | AddressFault::Path(_) if part != PORTAL => {
                        "write scheme and host only, as in https://su1.3scale.net".to_owned()
                    }
                    fault => fault.to_string(),
                };
                self.error(&setting.place, format!("{shown} is no address of {part}")).help(help);
                None
            }
        }
    }

    fn on_lock(&mut self, setting: Option<&Spanned<String>>) -> OnLock {
        let Some(setting) = setting else {
            return OnLock::default();
        };
        let plan = setting.value.strip_prefix("change_plan:").map(str::trim);
        match (setting.value.as_str(), plan) {
            ("suspend", _) => OnLock::Suspend,
            ("none", _) => OnLock::Nothing,
            (_, Some(plan)) if !plan.is_empty() => OnLock::ChangePlan(plan.to_owned()),
            (written, _) => {
                self.error(
                    &setting.place,
                    format!("{written:?} is nothing that a lock can ask for"),
                )
                .help(
                    "write \"suspend\", \"none\", or \"change_plan:\" and the name of a plan there",
                );
                OnLock::default()
            }
        }
    }

    fn service(&mut self, name: &Spanned<String>, account: &Threescale) -> Option<ServiceId> {
        let Some(setting) = &account.service else {
            self.account_lacks(name, "service", "service = 2555417");
            return None;
        };
        let number = match &setting.value {
            NumberOrText::Number(number) => u64::try_from(*number).ok(),
            NumberOrText::Text(text) => text.parse().ok(),
        };
        if number.is_none() {
            self.error(&setting.place, "`service` is the number of a service, not its name")
                .help("the portal shows it in the address of the product's page");
        }
        number.map(ServiceId::new)
    }

    /// Whether keys can be on a plan that is named.
    pub(super) fn check_key_plan(&mut self, named: &Spanned<String>, plans: &[PlanSpec]) {
        let keyed = plans.iter().filter(|plan| !plan.is_keyless).map(|plan| plan.name.as_str());
        let keyed: Vec<_> = keyed.collect();
        if keyed.contains(&named.value.as_str()) || self.is_lost(&["plan", &named.value]) {
            return;
        }
        let help = closest(&named.value, keyed.iter().copied()).map_or_else(
            || format!("the plans for keys are: {}", keyed.join(", ")),
            |meant| format!("did you mean {meant:?}?"),
        );
        self.error(&named.place, format!("there is no plan {:?} for keys", named.value)).help(help);
    }

    pub(super) fn account_lacks(&mut self, name: &Spanned<String>, key: &str, example: &str) {
        if !self.is_lost(&["threescale", &name.value, key]) {
            self.error(&name.place, format!("[threescale.{}] needs `{key}`", name.value))
                .help(format!("write it as in {example}"));
        }
    }
}
