//! Who a call is from and whom it is for: provider, service, application, in the reference's order.

use super::call::{Call, Provider};
use super::catalog::{Application, BackendVersion, Directory, Service};
use super::error::{RequestError, unless_blank};

/// What a provider showed.
pub(super) enum Access<'c, 'p> {
    /// A key, of which nobody knows yet whose it is.
    ProviderKey(&'p str),
    /// A token that belongs to the service.
    Service(&'c Service),
}

/// Looks at what the provider shows.
///
/// Fails when there is neither a key nor a token with a service's id, and when the token is not the service's.
pub(super) fn authenticate<'c, 'p>(
    directory: &'c impl Directory,
    provider: &Provider<'p>,
) -> Result<Access<'c, 'p>, RequestError> {
    if let Some(key) = provider.key {
        return Ok(Access::ProviderKey(key));
    }
    let token = provider.service_token.ok_or(RequestError::ProviderKeyOrServiceTokenRequired)?;
    let id = provider.service_id.ok_or(RequestError::ServiceIdMissing)?;
    // Not by the part behind a dash: a token is good for the one id that it was made for.
    let service = directory.service(id);
    let service = service.filter(|service| directory.is_service_token(service, token));
    service.map(Access::Service).ok_or_else(|| RequestError::ServiceTokenInvalid {
        token: token.to_owned(),
        service_id: id.to_owned(),
    })
}

/// Finds the service that a provider means.
///
/// Fails when there is none, or it is another provider's.
pub(super) fn service<'c>(
    directory: &'c impl Directory,
    access: &Access<'c, '_>,
    service_id: Option<&str>,
) -> Result<&'c Service, RequestError> {
    let key = match access {
        Access::Service(service) => return Ok(service),
        Access::ProviderKey(key) => *key,
    };
    let default = || directory.default_service(key);
    let Some(id) = service_id else {
        return default()
            .ok_or_else(|| RequestError::ProviderKeyInvalidOrServiceMissing(key.to_owned()));
    };
    let short = id.trim_end_matches('-').rsplit('-').next().and_then(|id| directory.service(id));
    let service = short.or_else(|| directory.service(id));
    match service {
        Some(service) if directory.is_provider_key(service, key) => Ok(service),
        // That the key is wrong is said only where it is no provider's key at all.
        Some(_) if default().is_none() => Err(RequestError::ProviderKeyInvalid(key.to_owned())),
        _ => Err(RequestError::ServiceIdInvalid(id.to_owned())),
    }
}

/// Finds the application that an authorization is about.
///
/// Fails when it is not named as the service's version wants, and when there is none.
pub(super) fn application<'c>(
    directory: &'c impl Directory,
    service: &Service,
    call: &Call<'_>,
) -> Result<&'c Application, RequestError> {
    if call.operation.is_oauth() && call.app_id.is_none() {
        return Err(RequestError::ApplicationNotFound(None));
    }
    if call.app_id.is_some() && call.user_key.is_some() {
        return Err(RequestError::AuthenticationError);
    }
    match service.backend_version {
        BackendVersion::One => with_user_key(directory, service, call.user_key),
        BackendVersion::Two | BackendVersion::Oauth => with_id(directory, service, call.app_id),
    }
}

/// Finds the application that a reported transaction is about, by whichever of both it names.
///
/// Fails when it names both or none, and when there is no such application.
pub(super) fn reported_application<'c>(
    directory: &'c impl Directory,
    service: &Service,
    app_id: Option<&str>,
    user_key: Option<&str>,
) -> Result<&'c Application, RequestError> {
    match (app_id, user_key) {
        (Some(_), Some(_)) => Err(RequestError::AuthenticationError),
        (None, Some(_)) => with_user_key(directory, service, user_key),
        (_, None) => with_id(directory, service, app_id),
    }
}

fn with_user_key<'c>(
    directory: &'c impl Directory,
    service: &Service,
    key: Option<&str>,
) -> Result<&'c Application, RequestError> {
    let found = key.and_then(|key| directory.application_with_user_key(service, key));
    found.ok_or_else(|| RequestError::UserKeyInvalid(key.and_then(unless_blank)))
}

fn with_id<'c>(
    directory: &'c impl Directory,
    service: &Service,
    id: Option<&str>,
) -> Result<&'c Application, RequestError> {
    let found = id.and_then(|id| directory.application(service, id));
    found.ok_or_else(|| RequestError::ApplicationNotFound(id.and_then(unless_blank)))
}
