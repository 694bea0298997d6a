//! The stand-in's web hooks arrive as the portal sends them.

use keystile_threescale_standin::tenant::State;
use keystile_threescale_standin::webhook::{Action, event, send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::setup::tenant;

#[tokio::test]
async fn a_hook_is_unsigned_xml_that_names_the_application() {
    let (mut tenant, ids) = tenant();
    tenant.application_mut(ids.application).state = State::Suspended;
    tenant.application_mut(ids.application).name = "Q&A <1>".to_owned();
    let body = event(&tenant, ids.application, Action::Suspended);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/s3cret?a=b", listener.local_addr().unwrap());
    let url = url.parse().unwrap();
    let receiver = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        while !request.ends_with("</event>") {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).await.unwrap();
            request.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        request
    };
    let (status, request) = tokio::join!(send(&url, &body), receiver);
    assert_eq!(status.unwrap(), 204);
    assert!(request.starts_with("POST /hooks/s3cret?a=b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nContent-Type: application/xml\r\n"), "{request}");
    let sent = request.split_once("\r\n\r\n").unwrap().1;
    assert!(sent.contains("<event><action>suspended</action><type>application</type>"), "{sent}");
    assert!(sent.contains("<state>suspended</state>"), "{sent}");
    assert!(sent.contains("<name>Q&amp;A &lt;1&gt;</name></application>"), "{sent}");
}
