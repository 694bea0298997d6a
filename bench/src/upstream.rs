//! The API behind every peer: nginx that answers from memory, on the load generator's core.

use std::fs::{self, File};

use crate::Outcome;
use crate::process::{LOAD_CORE, Process};
use crate::scratch::{Scratch, free_port};

/// Where Debian puts nginx's modules.
pub const NGINX_MODULES: &str = "/usr/lib/nginx/modules";

/// A running upstream.
pub struct Upstream {
    pub port: u16,
    _process: Process,
    scratch: Scratch,
}

impl Upstream {
    /// Starts it and waits until it answers.
    pub async fn start() -> Outcome<Self> {
        let scratch = Scratch::new()?;
        let port = free_port()?;
        let conf = scratch.fill(
            "upstream.conf",
            include_str!("../templates/upstream.conf"),
            &[("PORT", port.to_string()), ("MODULES", NGINX_MODULES.to_owned())],
        )?;
        let log = scratch.path().join("upstream.log");
        let conf = conf.display().to_string();
        let mut process = Process::start(LOAD_CORE, "nginx", &["-c", &conf], &log)?;
        process.answers(port, "/items/1").await?;
        Ok(Self { port, _process: process, scratch })
    }

    /// Makes the file that `GET /items/blob-<bytes>` sends; it is sparse, so it takes no disk.
    pub fn offer_blob(&self, bytes: u64) -> Outcome<String> {
        let folder = self.scratch.path().join("blobs/items");
        fs::create_dir_all(&folder)?;
        let name = format!("blob-{bytes}");
        File::create(folder.join(&name))?.set_len(bytes)?;
        Ok(format!("/items/{name}"))
    }
}
