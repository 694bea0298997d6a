//! nginx with a guard in Lua; writes are counted in shared memory or in Redis.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Count, Kind, Running, Setting};
use crate::process::{PROXY_CORE, Process};
use crate::scratch::{Scratch, free_port};
use crate::upstream::NGINX_MODULES;
use crate::{Outcome, http};

pub(super) async fn start(kind: Kind, setting: &Setting<'_>) -> Outcome<Running> {
    let scratch = Scratch::new()?;
    let (port, admin) = (free_port()?, free_port()?);
    let mut processes = Vec::new();
    let redis = if kind == Kind::NginxLuaRedis {
        let redis = free_port()?;
        processes.push(start_redis(&scratch, redis).await?);
        Some(redis)
    } else {
        None
    };
    setting.keys.write_maps(&scratch)?;
    let dict_mib = 16 + setting.keys.open.len() * 400 / (1 << 20);
    let values = [
        ("PORT", port.to_string()),
        ("ADMIN", admin.to_string()),
        ("UPSTREAM", setting.upstream.to_string()),
        ("MODULES", NGINX_MODULES.to_owned()),
        ("DICT", dict_mib.to_string()),
        ("REDIS", redis.unwrap_or(0).to_string()),
    ];
    let conf = scratch.fill("nginx.conf", include_str!("../../templates/nginx.conf"), &values)?;
    scratch.fill("gate.lua", include_str!("../../templates/gate.lua"), &values)?;
    let conf = conf.display().to_string();
    let log = scratch.path().join("nginx.log");
    let mut nginx = Process::start(PROXY_CORE, "nginx", &["-c", &conf], &log)?;
    nginx.accepts(port).await?;
    processes.push(nginx);
    let count = redis.map_or(Count::NginxPage(admin), Count::Redis);
    Ok(Running { kind, port, processes, count, _scratch: scratch })
}

/// Redis without persistence: the fast and usual way to count.
async fn start_redis(scratch: &Scratch, port: u16) -> Outcome<Process> {
    let dir = scratch.path().display().to_string();
    let port_text = port.to_string();
    let args = [
        "--port",
        &port_text,
        "--bind",
        "127.0.0.1",
        "--dir",
        &dir,
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
    ];
    let log = scratch.path().join("redis.log");
    let mut process = Process::start(PROXY_CORE, "redis-server", &args, &log)?;
    process.accepts(port).await?;
    Ok(process)
}

pub(super) async fn writes_counted(admin: u16) -> Outcome<u64> {
    let answer = http::ask(admin, "GET", "/", None, b"").await?;
    Ok(answer.body.trim().parse()?)
}

pub(super) async fn writes_counted_by_redis(port: u16) -> Outcome<u64> {
    const SUM: &str = "local sum = 0 for _, name in ipairs(redis.call('keys', 'w:*')) do \
                       sum = sum + redis.call('get', name) end return sum";
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("*3\r\n$4\r\nEVAL\r\n${}\r\n{SUM}\r\n$1\r\n0\r\n", SUM.len());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 256];
    let length = stream.read(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    let count = text.trim_end().strip_prefix(':').ok_or_else(|| format!("redis says {text}"))?;
    Ok(count.parse()?)
}
