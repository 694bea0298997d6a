use super::super::error::RequestError;
use super::super::period::Period;
use super::super::query::Query;
use super::super::report::{Form, Hierarchy, Report};
use super::super::usage::Amount;
use super::{TestBackend, metrics};

/// The answer at once, and then what came of the transactions: `app hits+1 code 200 at …`.
fn report(backend: &TestBackend, form: &str, hierarchy: Hierarchy) -> Result<String, RequestError> {
    let query = Query::parse(form.as_bytes())?;
    let report = Report::read(backend, &query)?;
    let metrics = metrics();
    let transactions = report.transactions(backend, hierarchy, backend.now);
    let transactions = match transactions {
        Ok(transactions) => transactions,
        Err(error) => return Ok(format!("{}: {error}", error.code())),
    };
    let shown = transactions.iter().map(|transaction| {
        let amounts = transaction.usage.iter().map(|(metric, amount)| {
            let sign = if matches!(amount, Amount::Set(_)) { '=' } else { '+' };
            format!("{}{sign}{}", metrics.metric(metric).name, amount.value())
        });
        let code = transaction.response_code.map(|code| format!(" code {code}"));
        let at = if transaction.at == backend.now {
            String::new()
        } else {
            format!(" at {}", transaction.at.readable())
        };
        let amounts = amounts.collect::<Vec<_>>().join(",");
        format!("{} {amounts}{}{at}", transaction.application.id, code.unwrap_or_default())
    });
    Ok(shown.collect::<Vec<_>>().join("; "))
}

fn reported(form: &str) -> String {
    let form = format!("provider_key=pk&{form}");
    report(&TestBackend::new(), &form, Hierarchy::Add).unwrap()
}

fn refused(form: &str) -> (u16, &'static str) {
    let error = report(&TestBackend::new(), form, Hierarchy::Add).unwrap_err();
    (error.status(), error.code())
}

#[test]
fn transactions_become_amounts_of_applications() {
    let form = "transactions[0][app_id]=app&transactions[0][usage][deep]=2\
                &transactions[0][log][code]=404&transactions[1][user_key]=uk\
                &transactions[1][usage][hits]=%235&transactions[1][timestamp]=2026-11-24+05:00:00";
    assert_eq!(
        reported(form),
        "app deep+2,search+2,hits+2 code 404; app hits=5 at 2026-11-24 05:00:00 UTC"
    );
    let backend = TestBackend::new();
    let form = "service_token=token&service_id=2&transactions[a][app_id]=app&transactions[a][usage][deep]=1";
    assert_eq!(report(&backend, form, Hierarchy::Flat).unwrap(), "app deep+1");
}

#[test]
fn what_uses_nothing_is_left_out() {
    for (transaction, result) in [
        ("[app_id]=app&transactions[0][usage][hits]=0", ""),
        ("[app_id]=nobody&transactions[0][usage][hits]=0", ""),
        ("[app_id]=app", ""),
        ("[app_id]=nobody", "application_not_found: application with id=\"nobody\" was not found"),
        (
            "[app_id]=app&transactions[0][usage][none]=0&transactions[0][usage][hits]=1",
            "app hits+1",
        ),
        ("[app_id]=app&transactions[0][log][code]=200", ""),
    ] {
        assert_eq!(reported(&format!("transactions[0]{transaction}")), result, "{transaction}");
    }
}

#[test]
fn a_form_that_is_none_is_refused_at_once() {
    for (form, status, code) in [
        ("", 403, "provider_key_or_service_token_required"),
        ("a=%ff", 403, "provider_key_or_service_token_required"),
        ("provider_key=pk&a=%ff", 422, "not_valid_data"),
        ("provider_key=pk&transactions[%ff][app_id]=x", 422, "not_valid_data"),
        ("provider_key=pk", 400, "transactions_is_blank"),
        ("provider_key=pk&transactions=", 400, "transactions_is_blank"),
        ("provider_key=pk&transactions=text", 400, "transactions_format_invalid"),
        ("provider_key=pk&transactions[][app_id]=app", 400, "transactions_format_invalid"),
        (
            "provider_key=pk&transactions[0][app_id]=a&transactions[1]",
            400,
            "transactions_has_nil_transaction",
        ),
        ("provider_key=pk&transactions[0]=text", 400, "transactions_format_invalid"),
        ("provider_key=pk&transactions[0][]=text", 400, "transactions_format_invalid"),
        ("provider_key=pk&transactions[0][usage]=1", 400, "transactions_format_invalid"),
        ("provider_key=pk&transactions[0][user_id]=1", 400, "end_users_no_longer_supported"),
        ("provider_key=wrong&transactions[0]=text", 400, "transactions_format_invalid"),
        (
            "provider_key=wrong&transactions[0][app_id]=app",
            403,
            "provider_key_invalid_or_service_missing",
        ),
        ("provider_key=pk&service_id=9&transactions[0][app_id]=app", 403, "service_id_invalid"),
        ("provider_key=pk&transactions[0]=%", 400, "bad_request"),
        ("provider_key=pk&transactions[]=1&transactions[0]=1", 400, "bad_request"),
    ] {
        assert_eq!(refused(form), (status, code), "{form}");
    }
}

#[test]
fn one_transaction_in_error_voids_the_report() {
    let good = "transactions[0][app_id]=app&transactions[0][usage][hits]=1&transactions[1]";
    for (bad, error) in [
        ("[app_id]=boo", r#"application_not_found: application with id="boo" was not found"#),
        ("[user_key]=boo", r#"user_key_invalid: user key "boo" is invalid"#),
        ("[usage][hits]=1", "application_not_found: application id is missing"),
        (
            "[app_id]=app&transactions[1][user_key]=uk",
            "authentication_error: either app_id or user_key is allowed, not both",
        ),
        (
            "[app_id]=app&transactions[1][usage][nukes]=1",
            r#"metric_invalid: metric "nukes" is invalid"#,
        ),
        (
            "[app_id]=app&transactions[1][usage][hits]=tons!",
            r#"usage_value_invalid: usage value "tons!" for metric "hits" is invalid"#,
        ),
        (
            "[app_id]=app&transactions[1][usage][hits]=1&transactions[1][timestamp]=0",
            "transaction_timestamp_too_old: reporting transactions older than 86400 seconds is not allowed",
        ),
    ] {
        assert_eq!(reported(&format!("{good}{bad}")), error, "{bad}");
    }
}

#[test]
fn a_transaction_is_at_most_a_day_old_and_an_hour_early() {
    for (timestamp, result) in [
        ("2026-11-23T05:30:23", "app hits+1 at 2026-11-23 05:30:23 UTC"),
        ("2026-11-24T06:30:23", "app hits+1 at 2026-11-24 06:30:23 UTC"),
        ("", "app hits+1"),
        ("garbage", "app hits+1"),
    ] {
        let form = format!(
            "transactions[0][app_id]=app&transactions[0][usage][hits]=1&transactions[0][timestamp]={timestamp}"
        );
        assert_eq!(reported(&form), result, "{timestamp}");
    }
    for (timestamp, code) in [
        ("2026-11-23T05:30:22", "transaction_timestamp_too_old"),
        ("2026-11-24T06:30:24", "transaction_timestamp_too_new"),
        ("9223372036854775807", "transaction_timestamp_too_new"),
        ("9223372036854775808", "transaction_timestamp_too_new"),
        ("-9223372036854775809", "transaction_timestamp_too_old"),
    ] {
        let form = format!(
            "transactions[0][app_id]=app&transactions[0][usage][hits]=1&transactions[0][timestamp]={timestamp}"
        );
        assert!(reported(&form).starts_with(code), "{timestamp}");
    }
}

#[test]
fn states_and_limits_do_not_matter_to_what_was_done() {
    let mut backend = TestBackend::with_limits(&[("hits", Period::Day, 0)]);
    backend.application().state = super::super::catalog::State::Suspended;
    backend.add_key("2", "good", None);
    let form = "provider_key=pk&transactions[0][app_id]=app&transactions[0][usage][hits]=1";
    assert_eq!(report(&backend, form, Hierarchy::Add).unwrap(), "app hits+1");
}

#[test]
fn only_forms_are_reports() {
    for (header, form) in [
        (None, Form::UrlEncoded),
        (Some(""), Form::UrlEncoded),
        (Some("Application/x-www-form-urlencoded; charset=utf-8"), Form::UrlEncoded),
        (Some("multipart/form-data; boundary=x"), Form::Multipart),
    ] {
        assert_eq!(Form::of_content_type(header), Ok(form));
    }
    let error = Form::of_content_type(Some("application/JSON; x")).unwrap_err();
    assert_eq!(error.to_string(), "invalid Content-Type: application/json");
}
