//! How many connections there may be, in all and from one address.

use keystile_proxy::settings::GateSettings;
use tokio::net::TcpSocket;

use crate::harness::{Caller, TestGate, Upstream, api, eventually, plan, settings};

fn gate(upstream: &Upstream, settings: GateSettings) -> TestGate {
    TestGate::open(vec![api(&[upstream.origin()])], vec![plan("open", &["100 per day"])], settings)
}

async fn open_ones(gate: &TestGate, count: usize) -> Vec<Caller> {
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(gate.caller().await);
    }
    eventually("all connections", async || gate.gate.as_ref().unwrap().connections() == count)
        .await;
    open
}

#[tokio::test]
async fn a_connection_beyond_the_cap_is_told_why_and_there_is_room_again() {
    let upstream = Upstream::ok().await;
    let mut settings = settings();
    settings.connections_max = 5;
    let gate = gate(&upstream, settings);
    let key = gate.key("open").await;
    let open = open_ones(&gate, 5).await;
    let answer = gate.caller().await.answer().await.unwrap();
    assert_eq!(answer.refusal(), (503, "connections_exceeded".to_owned()));
    assert_eq!(answer.field("retry-after"), Some("1"));
    drop(open);
    eventually("room", async || gate.gate.as_ref().unwrap().connections() == 0).await;
    assert_eq!(gate.call("GET", "/x", &key, b"").await.status, 200);
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let upstream = Upstream::ok().await;
    let mut settings = settings();
    settings.connections_per_address = 3;
    let gate = gate(&upstream, settings);
    let key = gate.key("open").await;
    let mut open = open_ones(&gate, 3).await;
    assert_eq!(
        gate.caller().await.answer().await.unwrap().refusal(),
        (503, "connections_exceeded".to_owned())
    );
    assert_eq!(open[0].call("GET", "/x", &key, b"").await.status, 200, "open ones are served");
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut neighbor = Caller::over(socket.connect(gate.address).await.unwrap());
    assert_eq!(
        neighbor.call("GET", "/x", &key, b"").await.status,
        200,
        "and so is another address"
    );
}

#[tokio::test]
async fn a_flood_of_connections_leaves_the_gate_serving() {
    let upstream = Upstream::ok().await;
    let mut settings = settings();
    settings.connections_max = 50;
    let gate = gate(&upstream, settings);
    let key = gate.key("open").await;
    for _ in 0..5 {
        let mut flood = Vec::new();
        for _ in 0..200 {
            flood.push(gate.caller().await);
        }
        assert!(gate.gate.as_ref().unwrap().connections() <= 50);
    }
    // Some of the flood may still wait to be accepted.
    eventually("room", async || gate.call("GET", "/x", &key, b"").await.status == 200).await;
    assert_eq!(gate.call("DELETE", "/x", &key, b"").await.status, 200);
}
