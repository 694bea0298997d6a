//! Whether upstreams can be reached, for those who look: at the start and in `keystile doctor`.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use http::Uri;
use keystile_core::policy::Policy;
use keystile_engine::checks::{Checks, UnreachableUpstream};
use keystile_notify::channel;

use crate::config::{Configuration, Diagnostic};

/// How long all upstreams together may take to answer.
const WAIT: Duration = Duration::from_secs(2);

/// How the engine looks at what is outside of the store.
pub const CHECKS: Checks = Checks { channel: channel::fault, upstreams: unreachable };

/// The warnings of a configuration, with those about channels that could not send. Reads their secrets, and
/// connects to nothing.
pub fn warnings(file: &Path, configuration: Configuration) -> Vec<Diagnostic> {
    let file = file.display().to_string();
    let faults = configuration.watching.channels().iter().filter_map(|channel| {
        let fault = channel::fault(channel)?;
        Some(Diagnostic::beside(
            &file,
            format!("the channel {} cannot send: {fault}", channel.name),
            format!("mend it, start Keystile, and try it: keystile notify test {}", channel.name),
        ))
    });
    let faults: Vec<Diagnostic> = faults.collect();
    configuration.warnings.into_iter().chain(faults).collect()
}

/// The upstreams of a policy to which no connection can be made. Nothing is sent on those that are made.
pub fn unreachable(policy: &Policy) -> Vec<UnreachableUpstream> {
    let end = Instant::now() + WAIT;
    let dials: Vec<_> = policy
        .apis()
        .iter()
        .flat_map(|api| {
            let origins = api.spec().upstream.origins.iter();
            origins.map(|origin| (api.name().to_owned(), origin.clone()))
        })
        .map(|(api, origin)| (api, origin.to_string(), dial(origin)))
        .collect();
    let found = dials.into_iter().filter_map(|(api, origin, answer)| {
        let wait = end.saturating_duration_since(Instant::now());
        let fault = match answer.recv_timeout(wait) {
            Ok(fault) => fault?,
            Err(_) => "it did not accept in time".to_owned(),
        };
        Some(UnreachableUpstream { api, origin, fault })
    });
    found.collect()
}

/// On a thread of its own, because a name may take longer to look up than anybody waits.
fn dial(origin: Uri) -> mpsc::Receiver<Option<String>> {
    let (answer, answered) = mpsc::channel();
    let dialed = std::thread::Builder::new().name("dial".to_owned()).spawn({
        let answer = answer.clone();
        move || {
            // Nobody waits for an answer that comes late.
            let _ = answer.send(connect(&origin).err().map(|error| error.to_string()));
        }
    });
    if let Err(error) = dialed {
        // Its other side is here.
        let _ = answer.send(Some(error.to_string()));
    }
    answered
}

fn connect(origin: &Uri) -> std::io::Result<()> {
    let host = origin.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let default = if origin.scheme_str() == Some("https") { 443 } else { 80 };
    let mut fault = std::io::Error::new(std::io::ErrorKind::NotFound, "its name has no address");
    for address in (host, origin.port_u16().unwrap_or(default)).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, WAIT) {
            Ok(_) => return Ok(()),
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::config;

    #[test]
    fn an_upstream_where_nobody_listens_is_found_and_one_that_listens_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let policy = |address: std::net::SocketAddr| {
            let data = std::path::PathBuf::from("unused");
            let mode = keystile_core::policy::api::Mode::Enforce;
            config::for_upstream(
                &format!("http://{address}"),
                &config::Addresses::default(),
                mode,
                data,
            )
            .unwrap()
            .policy
        };
        assert_eq!(unreachable(&policy(address)), []);
        drop(listener);
        let found = unreachable(&policy(address));
        assert_eq!(found.len(), 1);
        assert!(found[0].origin.contains(&address.to_string()), "{found:?}");
        assert!(found[0].fault.contains("refused"), "{found:?}");
    }

    /// What is wrong with the channels of a configuration, a line each.
    fn faults(folder: &Path, channels: &str) -> String {
        let file = folder.join("keystile.toml");
        let text = format!(
            "[api.bookmarks]\nupstream = \"http://127.0.0.1:9\"\n\
             [plan.open]\nallow = \"*: *\"\nwrite_budget = \"1 per day\"\n{channels}"
        );
        std::fs::write(&file, text).unwrap();
        let configuration = config::load(&file).unwrap();
        let warnings = warnings(&file, configuration);
        let messages = warnings.iter().map(|warning| warning.message().to_owned() + "\n");
        messages.collect::<String>().replace(&folder.display().to_string(), "DIR")
    }

    #[test]
    fn a_channel_that_could_not_send_is_found_before_anything_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::write(path.join("short"), "whsec_c2hvcnQ=\n").unwrap();
        std::fs::write(path.join("slack"), "http://10.1.2.3/hook\n").unwrap();
        let channels = format!(
            "[channel.mail]\nkind = \"email\"\nto = [\"me@example.org\"]\nfrom = \"k@example.org\"\n\
             smtp = {{ url = \"smtps://me@mail.example.org\", password_file = \"{path}/none\" }}\n\
             [channel.malformed]\nkind = \"webhook\"\nurl = \"https://hooks.example.org/\"\nsecret_file = \"{path}/short\"\n\
             [channel.unset]\nkind = \"webhook\"\nurl = \"https://hooks.example.org/\"\nsecret_env = \"KEYSTILE_TEST_UNSET\"\n\
             [channel.inside]\nkind = \"slack\"\nurl_file = \"{path}/slack\"\n",
            path = path.display()
        );
        insta::assert_snapshot!(faults(path, &channels));
    }

    #[test]
    fn a_channel_on_this_machine_needs_no_more_than_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, format!("whsec_{}\n", "A".repeat(32))).unwrap();
        let channel = |name: &str, url: &str| {
            format!(
                "[channel.{name}]\nkind = \"webhook\"\nurl = \"{url}\"\nsecret_file = \"{}\"\n",
                secret.display()
            )
        };
        let near = [
            channel("four", "http://127.0.0.1:9/"),
            channel("six", "http://[::1]:9/"),
            channel("name", "http://localhost:9/"),
        ];
        assert_eq!(faults(folder.path(), &near.concat()), "");
        // What was not written as this machine's is still not talked to.
        let far = channel("metadata", "https://169.254.169.254/latest");
        assert!(faults(folder.path(), &far).contains("on the local link"));
    }
}
