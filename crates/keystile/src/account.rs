//! Who is at the command line: the account that the kernel says it is. The environment is no witness, since
//! anybody sets it to what they like.

use keystile_core::owners::principal::Principal;

/// Where accounts have their names. Only there: other directories of accounts may be slow, or away.
const ACCOUNTS: &str = "/etc/passwd";

/// Whoever runs this process.
pub(crate) fn of_process() -> Principal {
    of(rustix::process::getuid().as_raw())
}

/// Whoever has this user id.
pub(crate) fn of(uid: u32) -> Principal {
    // A machine may be without that file, or have it in another encoding; the number is the account.
    let accounts = std::fs::read(ACCOUNTS).unwrap_or_default();
    Principal::CommandLine { account: named(uid, &String::from_utf8_lossy(&accounts)) }
}

/// Whether an account may give orders to this process: its own, and root.
pub(crate) fn may_command(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// An account as the audit shows it: its name, where it has one, and the number that tells it from others.
fn named(uid: u32, accounts: &str) -> String {
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, its_uid) = (fields.next()?, fields.nth(1)?);
        (its_uid.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    });
    name.map_or_else(|| format!("uid {uid}"), |name| format!("{name}, uid {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_name_only_by_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\n\n# a comment\nbroken\n:x:7:7::/:\n\
                        ada:x:1000:1000:Ada:/home/ada:/bin/sh\n1000:x:1001:1000::/:\nlater:x:1000:1::/:\n";
        for (uid, text) in [
            (0, "root, uid 0"),
            (1000, "ada, uid 1000"),
            (1001, "1000, uid 1001"),
            (7, "uid 7"),
            (4_294_967_294, "uid 4294967294"),
        ] {
            assert_eq!(named(uid, accounts), text);
        }
        assert_eq!(named(0, ""), "uid 0");
    }
}
