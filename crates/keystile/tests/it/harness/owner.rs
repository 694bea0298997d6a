//! An owner at the console, with a password and the cookie of a session.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::{Answer, TestServer};

/// Somebody who became an owner, and is signed in.
#[derive(Debug)]
pub(crate) struct Owner {
    host: String,
    cookie: String,
}

impl Owner {
    /// Becomes an owner of a server that runs.
    pub(crate) fn claim(server: &TestServer) -> Self {
        let link = server.run(&["owner", "link"]).good().stdout.trim().to_owned();
        let host = format!("localhost:{}", server.console.port());
        let owner = Self { host, cookie: String::new() };
        let claimed = owner.post(owner.path_of(&link), "name=ada&password=correct+horse+battery");
        assert_eq!(claimed.status, 303, "{claimed:?}");
        let cookie = claimed.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then_some(value.split(';').next()?)
        });
        let cookie = cookie.expect("who claims is signed in").to_owned();
        Self { cookie, ..owner }
    }

    /// The path of a link into this console.
    pub(crate) fn path_of<'a>(&self, link: &'a str) -> &'a str {
        link.strip_prefix(&format!("http://{}", self.host)).expect("the link leads to this console")
    }

    /// Opens a page.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// Sends a form from a page of the console.
    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        self.ask("POST", path, form)
    }

    fn ask(&self, method: &str, path: &str, form: &str) -> Answer {
        let Self { host, cookie } = self;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\ncookie: {cookie}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{form}",
            form.len()
        );
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head[9..12].parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}
