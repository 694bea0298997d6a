//! 3scale's backend in a server: its applications are Keystile's, also after the server was killed.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{Caller, Dice, TestServer, free_port, pause, wait_until};

const PASSWORD: &str = "a password of the portal";
/// `portal` and the password, as HTTP Basic has them.
const CREDENTIALS: &str = "cG9ydGFsOmEgcGFzc3dvcmQgb2YgdGhlIHBvcnRhbA==";

struct Site {
    server: TestServer,
    backend: SocketAddr,
}

/// Sends a request; status and body of the answer.
fn exchange(address: SocketAddr, request: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

fn internal(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<u16> {
    let length = body.len();
    let head = format!(
        "{method} /internal{path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\nauthorization: Basic \
         {CREDENTIALS}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    exchange(address, &format!("{head}{body}")).map(|(status, _)| status)
}

fn site() -> Site {
    let port = free_port();
    let mut server = TestServer::new(&format!(
        "key_header = \"X-API-Key\"\n[plan.open]\nallow = \"bookmarks: *\"\nwrite_budget = \"3 per day\"\n\
         [threescale_backend]\nlisten = \"127.0.0.1:{port}\"\nplans = {{ Basic = \"open\" }}\n\
         internal = {{ user = \"portal\", password_file = \"password\" }}\n"
    ));
    std::fs::write(server.path("password"), PASSWORD).unwrap();
    server.start();
    let site = Site { server, backend: SocketAddr::from(([127, 0, 0, 1], port)) };
    let service = "{\"service\":{\"id\":\"7\",\"provider_key\":\"pk\",\"backend_version\":\"1\",\"state\":\"active\"}}";
    site.put("/services/7", service);
    site.put("/services/7/metrics/1", "{\"metric\":{\"name\":\"hits\"}}");
    site
}

fn application(state: &str) -> String {
    format!(
        "{{\"application\":{{\"state\":\"{state}\",\"plan_id\":\"3\",\"plan_name\":\"Basic\"}}}}"
    )
}

impl Site {
    fn put(&self, path: &str, body: &str) {
        assert_eq!(internal(self.backend, "PUT", path, body).unwrap(), 200, "{path}");
    }

    fn authrep(&self) -> u16 {
        let path = "/transactions/authrep.xml?provider_key=pk&service_id=7&user_key=USERKEY123&usage[hits]=1";
        let request = format!("GET {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n");
        exchange(self.backend, &request).unwrap().0
    }

    /// How many keys each application has.
    fn keys(&self) -> BTreeMap<String, u64> {
        let listed = self.server.json(&["application", "list"]);
        let one = |application: &serde_json::Value| {
            let name = application["name"].as_str().unwrap().to_owned();
            (name, application["keys"].as_u64().unwrap())
        };
        listed.as_array().unwrap().iter().map(one).collect()
    }
}

#[test]
fn an_application_of_the_backend_is_locked_and_suspended_like_any_other() {
    let mut site = site();
    site.put("/services/7/applications/reader", &application("active"));
    site.put("/services/7/applications/reader/key/USERKEY123", "{}");
    let key = site.server.json(&["key", "list"])[0].clone();
    assert_eq!((key["application"].as_str(), key["plan"].as_str()), (Some("reader"), Some("open")));
    assert_eq!(key["origin"].as_str(), Some("3scale backend"));
    let caller = Caller::new(site.server.gate, Some("USERKEY123"));
    assert_eq!((caller.get("/a").status, site.authrep()), (200, 200));
    let statuses: Vec<_> = (0..4).map(|_| caller.post("/a").status).collect();
    assert_eq!((statuses, site.authrep()), (vec![200, 200, 200, 403], 409));
    site.server.kill();
    site.server.start();
    assert_eq!(site.authrep(), 409);
    let id = key["id"].as_str().unwrap();
    site.server.run(&["key", "unlock", id, "--reset-budget"]).good();
    assert_eq!(site.authrep(), 200);
    site.server.run(&["application", "suspend", "reader"]).good();
    assert_eq!((caller.get("/a").status, site.authrep()), (403, 409));
    site.server.run(&["application", "resume", "reader"]).good();
    site.put("/services/7/applications/reader", &application("suspended"));
    assert_eq!((caller.get("/a").status, site.authrep()), (403, 409));
    site.put("/services/7/applications/reader", &application("active"));
    assert_eq!((caller.get("/a").status, site.authrep()), (200, 200));
    let told = site.server.json(&["audit", "list", "--kind", "source_application_changed"]);
    assert_eq!(told.as_array().unwrap().len(), 4);
    assert!(told[0]["actor"].to_string().contains("3scale backend, portal"), "{told}");
    site.server.run(&["audit", "verify"]).good();
    let said =
        format!("{}{}", site.server.log(), site.server.run(&["audit", "list"]).good().stdout);
    assert!(!said.contains("USERKEY123") && !said.contains(PASSWORD), "{said}");
}

/// Sends a request over TLS; the answer.
fn over_tls(address: SocketAddr, certificate: &[u8], request: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.to_vec().into()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(session, TcpStream::connect(address).unwrap());
    // A certificate that is not trusted is told here.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    // The end may come without TLS's own.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn the_backend_speaks_tls_and_takes_another_certificate_while_it_serves() {
    let port = free_port();
    let pair = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut server = TestServer::new(&format!(
        "[plan.open]\nallow = \"bookmarks: *\"\n[threescale_backend]\nlisten = \"127.0.0.1:{port}\"\n\
         tls = {{ certificate = \"cert.pem\", key = \"key.pem\" }}\n"
    ));
    let write = |pair: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        std::fs::write(server.path("cert.pem"), pair.cert.pem()).unwrap();
        std::fs::write(server.path("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    };
    let first = pair();
    write(&first);
    let second = pair();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let request = "GET /check.txt HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    server.start();
    let answer = over_tls(address, first.cert.der(), request);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok"), "{answer}");
    assert!(exchange(address, request).is_err(), "nothing is said in the clear");
    std::fs::write(server.path("cert.pem"), second.cert.pem()).unwrap();
    std::fs::write(server.path("key.pem"), second.signing_key.serialize_pem()).unwrap();
    wait_until("the other certificate is there", || {
        over_tls(address, second.cert.der(), request).ends_with("ok")
    });
}

#[test]
fn what_the_portal_was_told_is_here_however_often_the_server_is_killed() {
    let mut site = site();
    let (mut dice, mut made) = (Dice(7), 0_u32);
    for round in 0..4 {
        let backend = site.backend;
        let filling = std::thread::spawn(move || {
            let mut number = made;
            loop {
                let path = format!("/services/7/applications/app{number}");
                let is_made = internal(backend, "PUT", &path, &application("active"));
                let key = format!("{path}/key/key-number-{number}");
                match is_made.and_then(|_| internal(backend, "PUT", &key, "{}")) {
                    Ok(200) => number += 1,
                    Ok(status) => panic!("{status}"),
                    Err(_) => return number,
                }
            }
        });
        pause(150 + dice.roll(350));
        site.server.kill();
        made = filling.join().unwrap();
        site.server.start();
        let keys = site.keys();
        for number in 0..made {
            assert_eq!(keys.get(&format!("app{number}")), Some(&1), "round {round}, {made} made");
        }
        assert!(keys.len() <= made as usize + 1, "{} for {made}", keys.len());
    }
    assert!(made > 10, "{made}");
    site.server.run(&["audit", "verify"]).good();
}
