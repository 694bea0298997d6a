//! Where an account comes from: a portal that the configuration names, or a file.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use keystile_core::text::printable;
use keystile_threescale::drive::settings::DriveSettings;
use keystile_threescale::import::read::{self, Progress};
use keystile_threescale::import::snapshot::{FILE_BYTES_MAX, Snapshot};
use keystile_threescale::portal::PortalClient;
use keystile_threescale::portal::records::ServiceId;

use super::super::arguments::{CommonArguments, PortalArguments};
use super::super::session::{Medium, Screen, Stop};
use crate::config::{self, Colors};

/// What stands for the only account, whatever the configuration calls it.
const ONLY: &str = "portal";

/// Reads an account from its portal.
pub(super) fn from_portal(
    arguments: &PortalArguments,
    common: &CommonArguments,
    screen: Screen,
) -> Result<Snapshot, Stop> {
    let name = arguments.from.as_deref().unwrap_or(ONLY);
    let settings = account(name, common)?;
    let client = PortalClient::new(settings.portal.clone())
        .map_err(|error| Stop::failed(error.to_string(), "mend the file that `ca_file` names"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let services: Vec<_> = arguments.service.iter().map(|id| ServiceId::new(*id)).collect();
    let bar = bar(screen, "{bar:9} {human_pos} of {human_len} read, {eta} to go");
    let shown = |progress: Progress| {
        bar.set_length(progress.known);
        bar.set_position(progress.done);
    };
    let portal = settings.portal.address.to_string();
    let waiting = bar.clone();
    let client = client.waiting(move |pause| {
        let seconds = pause.as_secs();
        let said = format!("The portal takes no more calls for now; it goes on in {seconds} s.");
        // Nobody to tell it to is no reason to end.
        let _ = waiting.suspend(|| writeln!(io::stderr(), "{said}"));
    });
    let read = runtime.block_on(read::read(&client, (&portal, &services), shown));
    bar.finish_and_clear();
    let read = read.map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        let said = format!("{error}{}", source.unwrap_or_default());
        Stop::failed(said, "see what is wrong with the account: keystile threescale check")
    })?;
    let help = "mend it in 3scale; nothing was changed";
    read.check().map_err(|fault| Stop::failed(format!("what the portal says: {fault}"), help))?;
    Ok(read)
}

/// What the configuration says of an account.
fn account(name: &str, common: &CommonArguments) -> Result<DriveSettings, Stop> {
    let Some(file) = common.target.resolve().config else {
        let message = "an account is read as the configuration sets it up, and there is none here";
        return Err(Stop::failed(message, "name it with --config FILE"));
    };
    let configuration = config::load(&file).map_err(|report| {
        let message =
            format!("the configuration has mistakes\n\n{}", report.render(100, Colors::Off));
        Stop::failed(message, "mend them first")
    })?;
    let mut accounts = configuration.threescale;
    let found = accounts.iter().position(|account| account.name == name);
    match (found, accounts.len()) {
        (Some(at), _) => Ok(accounts.swap_remove(at)),
        (None, 1) if name == ONLY => Ok(accounts.swap_remove(0)),
        (None, 0) => {
            let message = format!("{} sets up no account of 3scale", file.display());
            Err(Stop::failed(message, "write one into it: [threescale.main]"))
        }
        (None, _) => {
            let names: Vec<_> = accounts.iter().map(|account| account.name.as_str()).collect();
            let message = format!("there is no [threescale.{}]", printable(name));
            Err(Stop::failed(message, format!("the accounts are: {}", names.join(", "))))
        }
    }
}

/// Reads an account from a file.
pub(super) fn from_file(path: &Path, services: &[u64]) -> Result<Snapshot, Stop> {
    let shown = printable(&path.to_string_lossy()).into_owned();
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(|error| {
        let help = "check the path and its permissions";
        Stop::failed(format!("{shown} cannot be read: {error}"), help)
    })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        let help = "export fewer services: keystile threescale export --service ID";
        return Err(Stop::failed(format!("{shown} is larger than {FILE_BYTES_MAX} bytes"), help));
    }
    let wanted: Vec<_> = services.iter().map(|id| ServiceId::new(*id)).collect();
    let read = Snapshot::parse(&bytes).and_then(|snapshot| snapshot.only(&wanted));
    read.map_err(|fault| {
        let help = "nothing was changed; write it anew with keystile threescale export";
        Stop::failed(format!("{shown} cannot be imported: {fault}"), help)
    })
}

/// A bar, where a person watches.
pub(super) fn bar(screen: Screen, template: &str) -> ProgressBar {
    if screen.stderr == Medium::Other {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template(template).expect("the template is a constant that parses");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}
