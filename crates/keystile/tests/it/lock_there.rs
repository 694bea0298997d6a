//! The way of a lock through the system that its key comes from, whole: a burst of writes, the lock at the budget,
//! the suspension there, the mail to the owner, the link in it, and the resumption there.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use keystile_threescale_standin::Portal;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{BackendVersion, State, Tenant};
use tokio::runtime::Runtime;

use crate::harness::{Caller, MailServer, Owner, TestServer, pause, wait_until};

const TOKEN: &str = "b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01";
const USER_KEY: &str = "8c2f01de77b0a4419ee177b0a4419ee1";
const BUDGET: usize = 10;
/// Writes that are sent at once.
const BURST: usize = 64;

/// A server that drives an account over TLS, and tells its owner by mail.
struct Site {
    server: TestServer,
    portal: Portal,
    mail_server: MailServer,
    application: u64,
    _runtime: Runtime,
}

impl Site {
    fn start() -> Self {
        let mut tenant = Tenant::with_token(TOKEN);
        let service = tenant.add_service("Bookmarks", BackendVersion::UserKey);
        let plan = tenant.add_plan(service, "Basic");
        let account = tenant.add_account("Acme Ltd");
        let application = tenant.add_application(account, plan, "Importer");
        USER_KEY.clone_into(&mut tenant.application_mut(application).user_key);
        let runtime = Runtime::new().unwrap();
        let portal = runtime.block_on(Portal::start(tenant));
        let mail_server = MailServer::start();
        let (portal_address, smtp) = (portal.address(), mail_server.address);
        let mut server = TestServer::new(&format!(
            "key_header = \"X-API-Key\"\n[plan.open]\nallow = \"bookmarks: *\"\n\
             write_budget = \"{BUDGET} per day\"\n[threescale.main]\nportal = {portal_address:?}\n\
             access_token_file = \"token\"\nca_file = \"ca.pem\"\nservice = {service}\n\
             plans = {{ Basic = \"open\" }}\nrefresh = \"10 s\"\n[channel.mail]\nkind = \"email\"\n\
             to = \"ada@example.org\"\nfrom = \"keystile@example.org\"\nsmtp = \"smtp://{smtp}\"\n"
        ));
        std::fs::write(server.path("token"), TOKEN).unwrap();
        std::fs::write(server.path("ca.pem"), portal.certificate_pem().unwrap()).unwrap();
        server.start();
        let site = Self { server, portal, mail_server, application, _runtime: runtime };
        wait_until("the key came over", || site.caller().get("/a").status == 200);
        site
    }

    fn caller(&self) -> Caller {
        Caller::new(self.server.gate, Some(USER_KEY))
    }

    /// Sends many writes at once; how many went through.
    fn burst(&self) -> usize {
        let (caller, begin) = (self.caller(), Barrier::new(BURST));
        std::thread::scope(|scope| {
            let send = |number| {
                let (caller, begin) = (&caller, &begin);
                move || {
                    begin.wait();
                    caller.post(&format!("/{number}")).status
                }
            };
            let under_way: Vec<_> = (0..BURST).map(|number| scope.spawn(send(number))).collect();
            let answers = under_way.into_iter().map(|one| one.join().unwrap());
            answers.filter(|status| *status == 200).count()
        })
    }

    fn state_there(&self) -> State {
        self.portal.tenant().application(self.application).state
    }

    /// How far the portal is with the lock, in the words that an owner reads.
    fn lock_there(&self) -> Option<String> {
        let status = self.server.json(&["threescale", "status"]);
        status[0]["locks"][0]["state"].as_str().map(str::to_owned)
    }

    fn key_state(&self) -> String {
        self.server.json(&["key", "list"])[0]["state"].as_str().unwrap().to_owned()
    }

    /// The first mail about a lock, once it is there.
    fn mail_of_lock(&self) -> String {
        let of_lock =
            || self.mail_server.mails().into_iter().find(|mail| mail.contains("LOCKED |"));
        wait_until("the owner is told", || of_lock().is_some());
        of_lock().unwrap()
    }

    /// Follows the link in the mail about the lock, and presses the button of the page.
    fn unlock_from_mail(&self, owner: &Owner) {
        let mail = self.mail_of_lock();
        let link = mail.split_whitespace().find(|word| word.ends_with("/unlock"));
        let path = owner.path_of(link.unwrap_or_else(|| panic!("no link: {mail}")));
        let page = owner.get(path);
        assert!(page.body.contains("will be able to write again"), "{page:?}");
        assert_eq!(self.key_state(), "locked", "who opens the link has changed nothing");
        assert_eq!(owner.post(path, "").status, 303);
        assert_eq!(self.key_state(), "active");
    }

    fn changes_there(&self) -> Vec<String> {
        let received = self.portal.take_received().into_iter();
        let changes = received.filter(|request| request.method == "PUT");
        let name = |target: &str| target.rsplit('/').next().unwrap_or_default().to_owned();
        changes.map(|request| name(&request.target)).collect()
    }

    fn assert_no_secret_was_told(&self) {
        let events = self.server.run(&["audit", "list", "--json"]).good().stdout;
        let said = [self.server.log(), self.mail_server.mails().concat(), events].concat();
        assert!(!said.contains(TOKEN) && !said.contains(USER_KEY), "{said}");
    }
}

#[test]
fn a_burst_is_stopped_at_the_budget_here_and_there_until_an_owner_unlocks_from_the_mail() {
    let site = Site::start();
    let owner = Owner::claim(&site.server);
    assert_eq!((site.burst(), site.server.upstream.writes()), (BUDGET, BUDGET));
    assert_eq!(site.key_state(), "locked");
    wait_until("it is suspended there", || site.lock_there().as_deref() == Some("suspended there"));
    assert_eq!(site.state_there(), State::Suspended);
    assert_eq!(site.caller().get("/a").status, 200, "its reads go on here");
    let mail = site.mail_of_lock();
    assert!(mail.contains("3scale's own gateways may go on for up to a minute"), "{mail}");
    site.unlock_from_mail(&owner);
    wait_until("it is resumed there", || site.state_there() == State::Live);
    wait_until("nothing is asked any more", || site.lock_there().is_none());
    assert_eq!(site.changes_there(), ["suspend.json", "resume.json"]);
    // What was written still counts: the next write too many goes the same way again.
    assert_eq!((site.burst(), site.server.upstream.writes()), (0, BUDGET));
    wait_until("it is suspended there again", || site.state_there() == State::Suspended);
    let id = site.server.json(&["key", "list"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(owner.post(&format!("/keys/{id}/more-room"), "").status, 303);
    wait_until("it is resumed there again", || site.state_there() == State::Live);
    assert_eq!(site.caller().post("/after").status, 200);
    site.server.run(&["audit", "verify"]).good();
    site.assert_no_secret_was_told();
}

/// What goes wrong before the server is killed, and what tells that it is so far.
enum KilledWhile {
    /// The portal answers nothing of use: it was not asked to suspend.
    NotAsked,
    /// The portal has the request, and works on it.
    Asking,
    /// The portal has suspended it, and nobody here knows.
    Unanswered,
}

impl KilledWhile {
    fn fault(&self) -> (&'static str, Fault) {
        match self {
            Self::NotAsked => ("find.json", Fault::rate_limited(Some("5"))),
            Self::Asking => ("/suspend.json", Fault::Slow(Duration::from_secs(3))),
            Self::Unanswered => ("/suspend.json", Fault::CutHead),
        }
    }

    fn is_reached(&self, site: &Site, changes: &mut Vec<String>) -> bool {
        changes.extend(site.changes_there());
        match self {
            Self::NotAsked => site.lock_there().is_some_and(|state| state.starts_with("failed: ")),
            Self::Asking => !changes.is_empty(),
            Self::Unanswered => site.state_there() == State::Suspended,
        }
    }
}

#[test]
fn a_lock_whose_server_is_killed_is_followed_there_once_and_undone_from_the_mail() {
    for killed in [KilledWhile::NotAsked, KilledWhile::Asking, KilledWhile::Unanswered] {
        let mut site = Site::start();
        let owner = Owner::claim(&site.server);
        let (part, fault) = killed.fault();
        site.portal.fail_on(part, fault);
        site.changes_there();
        assert_eq!(site.burst(), BUDGET);
        let mut changes = Vec::new();
        wait_until("it is so far", || killed.is_reached(&site, &mut changes));
        site.server.kill();
        site.server.start();
        assert_eq!(site.key_state(), "locked");
        wait_until("it is suspended there", || {
            site.lock_there().as_deref() == Some("suspended there")
        });
        assert_eq!(site.state_there(), State::Suspended);
        assert_eq!(site.caller().post("/x").status, 403);
        // Between the unlock and the resumption, too.
        site.portal.fail_on("/resume.json", Fault::json(503, "{}"));
        site.unlock_from_mail(&owner);
        pause(300);
        site.server.kill();
        site.server.start();
        wait_until("it is resumed there", || site.state_there() == State::Live);
        wait_until("nothing is asked any more", || site.lock_there().is_none());
        changes.extend(site.changes_there());
        let asked: BTreeSet<_> = changes.iter().map(String::as_str).collect();
        assert_eq!(asked, BTreeSet::from(["resume.json", "suspend.json"]), "{changes:?}");
        let mails = site.mail_server.mails();
        let ids: BTreeSet<_> = mails.iter().filter_map(|mail| message_id(mail)).collect();
        assert!(mails.iter().all(|mail| mail.contains("LOCKED |")), "{mails:?}");
        assert_eq!(ids.len(), 1, "one lock is one message, also where it came twice: {mails:?}");
        site.assert_no_secret_was_told();
    }
}

fn message_id(mail: &str) -> Option<&str> {
    mail.lines().find_map(|line| line.strip_prefix("Message-ID: "))
}
