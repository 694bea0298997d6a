//! What a webhook of 3scale's names.
//!
//! # What this protects
//! A webhook is unsigned and anybody may have written it who knows its address. Nothing in it is believed but
//! which application to look at; whatever cannot be read is a hint all the same, to look at everything. Reading
//! takes no more than one pass: no entity is expanded, and nothing is kept but two short texts.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::drive::hint::Hint;
use crate::portal::records::ApplicationId;

/// Elements within elements beyond this are no webhook.
const DEPTH_MAX: usize = 32;
/// The fields in which older settings of the portal send the same XML as a form.
const FORM_FIELDS: [&str; 2] = ["params[xml]", "xml"];

/// What a body hints at.
pub(super) fn hint_of(body: &[u8]) -> Hint {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let xml = if text.starts_with('<') { Some(Cow::Borrowed(text)) } else { form_field(text) };
    xml.and_then(|xml| application(&xml)).map_or(Hint::Everything, Hint::Application)
}

fn form_field(text: &str) -> Option<Cow<'_, str>> {
    let mut fields = url::form_urlencoded::parse(text.as_bytes());
    fields.find(|(name, _)| FORM_FIELDS.contains(&name.as_ref())).map(|(_, xml)| xml)
}

/// The number of the application that an event is about.
fn application(xml: &str) -> Option<ApplicationId> {
    let mut reader = Reader::from_str(xml);
    let (mut path, mut is_application, mut number) = (Vec::new(), false, None);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                path.push(element.local_name().as_ref().to_owned());
                if path.len() > DEPTH_MAX {
                    return None;
                }
            }
            Ok(Event::End(_)) => {
                path.pop();
            }
            Ok(Event::Text(text)) => {
                let names: Vec<_> = path.iter().map(String::as_str).collect();
                match names.as_slice() {
                    ["event", "type"] => is_application = text.trim() == "application",
                    ["event", "object", "application", "id"] => number = text.trim().parse().ok(),
                    _ => {}
                }
            }
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(_) => return None,
        }
    }
    number.filter(|_| is_application && path.is_empty()).map(ApplicationId::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<event>\n <action>updated</action>\n \
        <type>application</type>\n <object><application><id>42</id><plan><id>7</id></plan>\
        <name>A &amp; B</name></application></object></event>";

    fn of(text: &str) -> Hint {
        hint_of(text.as_bytes())
    }

    #[test]
    fn an_application_is_named_in_xml_and_in_the_forms_of_older_settings() {
        let named = Hint::Application(ApplicationId::new(42));
        assert_eq!(of(EVENT), named);
        assert_eq!(of(&format!("\u{feff}\r\n{EVENT}")), named);
        for field in FORM_FIELDS {
            let form = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("a", "b")
                .append_pair(field, EVENT)
                .finish();
            assert_eq!(of(&form), named, "{field}");
        }
    }

    #[test]
    fn whatever_cannot_be_read_is_a_hint_to_look_at_everything() {
        let bomb = format!(
            "<!DOCTYPE x [<!ENTITY a \"{}\"><!ENTITY b \"&a;&a;&a;\">]><event><type>&b;</type></event>",
            "lol".repeat(1_000)
        );
        for text in [
            "",
            " ",
            "{}",
            "xml=",
            "xml=%FF%FE",
            "<",
            "<event>",
            "<event><type>application</type><object><application><id>42",
            "<event><type>application</type><object><application><id>-1</id></application></object></event>",
            "<event><type>application</type><object><application><id>99999999999999999999</id></application></object></event>",
            "<event><type>account</type><object><account><id>42</id></account></object></event>",
            "<event><type>account</type><object><application><id>42</id></application></object></event>",
            "<event><type>application</type><object><application><plan><id>42</id></plan></application></object></event>",
            &EVENT.replace("</event>", "</evnet>"),
            &format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)),
            &bomb,
        ] {
            assert_eq!(of(text), Hint::Everything, "{}", text.chars().take(80).collect::<String>());
        }
        assert_eq!(hint_of(&EVENT.as_bytes()[..EVENT.len() - 20]), Hint::Everything);
        assert_eq!(hint_of(&[0xff, 0xfe, b'<', 0]), Hint::Everything);
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            hint_of(&body);
        }

        #[test]
        fn no_damage_is_too_odd(place in 0..EVENT.len(), byte in any::<u8>()) {
            let mut body = EVENT.as_bytes().to_vec();
            body[place] = byte;
            hint_of(&body);
        }
    }
}
