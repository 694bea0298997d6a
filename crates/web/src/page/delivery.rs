//! Deliveries: what was sent to whom, every attempt, and whether the channels work.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use keystile_core::notifications::delivery::{DeliveryId, DeliveryState};
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::notifications::delivery::{
    ChannelView, DeliveryDetails, DeliveryFilter, DeliveryView, ListChannels, ListDeliveries,
    ResendDelivery, ShowDelivery, TestChannel,
};
use keystile_engine::notifications::stop_digests::ResumeDigests;
use serde::{Deserialize, Serialize};

use super::{Frame, PageResult, Screen, clock, failure_page, filled, page, redirect};
use crate::flash::Flash;
use crate::format::filters;
use crate::format::when::Clock;
use crate::sign_in::session::SignedIn;
use crate::web::Web;

const PAGE: u32 = 50;

/// What the filter form asks for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DeliveriesQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    frame: Frame,
    clock: Clock,
    query: DeliveriesQuery,
    is_filtered: bool,
    channels: Vec<ChannelView>,
    deliveries: Vec<DeliveryView>,
    states: [DeliveryState; 4],
    mistake: Option<String>,
    next: Option<String>,
}

pub(crate) async fn deliveries(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(query): Query<DeliveriesQuery>,
) -> PageResult {
    let query = DeliveriesQuery {
        channel: filled(query.channel),
        state: filled(query.state),
        before: filled(query.before),
    };
    let principal = owner.principal();
    let channels = web.engine.execute(&principal, ListChannels).await;
    let channels = channels.map_err(failure_page(&web, &owner))?;
    let found = match filter(&query) {
        Ok(filter) => web.engine.execute(&principal, ListDeliveries { filter }).await,
        Err(failure) => Err(failure),
    };
    let (deliveries, mistake) = match found {
        Ok(deliveries) => (deliveries, None),
        Err(failure) => (Vec::new(), Some(failure.message)),
    };
    let end = deliveries.last().filter(|_| deliveries.len() == PAGE as usize);
    let next = end.map(|end| {
        let further = DeliveriesQuery { before: Some(end.id.to_string()), ..query.clone() };
        format!("/deliveries?{}", crate::form::encoded(&further))
    });
    Ok(page(&DeliveriesPage {
        frame: Frame::of(&web, &owner, Screen::Deliveries, "Deliveries"),
        clock: clock(&web),
        is_filtered: query.channel.is_some() || query.state.is_some(),
        query,
        channels,
        deliveries,
        states: DeliveryState::ALL,
        mistake,
        next,
    }))
}

fn filter(query: &DeliveriesQuery) -> Result<DeliveryFilter, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure {
        kind: FailureKind::Invalid,
        message: error.to_string(),
        help: None,
    };
    let state = query.state.as_deref().map(str::parse).transpose();
    let before = query.before.as_deref().map(str::parse::<DeliveryId>).transpose();
    Ok(DeliveryFilter {
        state: state.map_err(|error| wrong(&error))?,
        channel: query.channel.clone(),
        event: None,
        before: before.map_err(|error| wrong(&error))?,
        limit: PAGE,
    })
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    frame: Frame,
    clock: Clock,
    found: DeliveryDetails,
    can_resend: bool,
}

pub(crate) async fn delivery(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
) -> PageResult {
    let Ok(id) = id.parse::<DeliveryId>() else {
        return Ok(redirect("/deliveries"));
    };
    let command = ShowDelivery { delivery: id };
    let found = web.engine.execute(&owner.principal(), command).await;
    let found = found.map_err(failure_page(&web, &owner))?;
    Ok(page(&DeliveryPage {
        frame: Frame::of(&web, &owner, Screen::Deliveries, "A delivery"),
        clock: clock(&web),
        can_resend: found.delivery.state == DeliveryState::Failed,
        found,
    }))
}

pub(crate) async fn resend(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let back = format!("/deliveries/{id}");
    let Ok(id) = id.parse::<DeliveryId>() else {
        return redirect("/deliveries");
    };
    let command = ResendDelivery { delivery: id };
    let flash = match web.engine.execute(&owner.principal(), command).await {
        Ok(_) => Flash::done("It is tried again now."),
        Err(failure) => Flash::failed(&failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect(&back)
}

pub(crate) async fn resume_digests(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(channel): Path<String>,
) -> Response {
    let command = ResumeDigests { channel };
    let flash = match web.engine.execute(&owner.principal(), command).await {
        Ok(done) => Flash::done(&done.0),
        Err(failure) => Flash::failed(&failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect("/deliveries")
}

pub(crate) async fn test(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(name): Path<String>,
) -> Response {
    let command = TestChannel { channel: name.clone() };
    let (flash, back) = match web.engine.execute(&owner.principal(), command).await {
        Ok(sent) => {
            let back = match sent.as_slice() {
                [one] => format!("/deliveries/{}", one.id),
                _ => format!("/deliveries?channel={}", crate::form::path_segment(&name)),
            };
            let text = "A real message is on its way; below is what the other side answers. Look again in a moment.";
            (Flash::done(text), back)
        }
        Err(failure) => (Flash::failed(&failure), "/deliveries".to_owned()),
    };
    web.flashes.put(owner.session(), flash);
    redirect(&back)
}
