//! What the SDK's errors mean to a technician.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::ports::cloud::CloudError;

/// Turns an error of the SDK into one of the port.
pub(super) fn cloud_error<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(missing) = source_of::<CredentialsError>(&error) {
        return credentials_error(operation, missing);
    }
    match &error {
        SdkError::TimeoutError(_) => CloudError::Timeout { operation },
        SdkError::DispatchFailure(failure) if never_left(&error) || failure.is_user() => {
            CloudError::Unreachable { operation, why: chain(&error) }
        }
        // The connection stood, so the request may have been carried out.
        SdkError::DispatchFailure(_) => CloudError::Timeout { operation },
        SdkError::ServiceError(refusal) => refused(
            operation,
            refusal.raw().status().as_u16(),
            refusal.err().code().unwrap_or_default(),
            refusal.err().message().unwrap_or_default(),
        ),
        SdkError::ConstructionFailure(_) => CloudError::Invalid { operation, why: chain(&error) },
        _ => CloudError::Service { operation, why: chain(&error) },
    }
}

/// What a failure to find credentials means.
pub(super) fn credentials_error(operation: &'static str, error: &CredentialsError) -> CloudError {
    match error {
        CredentialsError::ProviderTimedOut(_) => CloudError::Timeout { operation },
        // The provider exists but gives nothing: mostly an SSO session that has ended.
        CredentialsError::ProviderError(_) => CloudError::LoginExpired,
        _ => CloudError::NoLogin,
    }
}

/// Whether the request certainly never reached the service: the connection was not made.
pub(super) fn never_left<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    let connecting = source_of::<hyper_util::client::legacy::Error>(error).is_some_and(|error| error.is_connect());
    matches!(error, SdkError::DispatchFailure(_)) && connecting
}

/// What a refusal by the service means. The code is what the service names the error; AWS IoT answers some with a bare
/// status.
fn refused(operation: &'static str, status: u16, code: &str, message: &str) -> CloudError {
    let why = match (code, message) {
        ("", "") => format!("HTTP {status}"),
        ("", text) | (text, "") => text.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    let clock_in_message = ["Signature expired", "Signature not yet current"].iter().any(|part| message.contains(part));
    match code {
        _ if clock_in_message => CloudError::Clock,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => CloudError::Clock,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => CloudError::LoginExpired,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedException"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "ForbiddenException" => CloudError::Denied { operation },
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "SlowDown" => CloudError::Throttled { operation },
        "LimitExceededException" | "VersionsLimitExceededException" => CloudError::Limit { operation, why },
        "ResourceNotFoundException" => CloudError::NotFound { operation, why },
        "ResourceAlreadyExistsException"
        | "VersionConflictException"
        | "DeleteConflictException"
        | "ConflictException"
        | "ConflictingResourceUpdateException"
        | "CertificateConflictException"
        | "CertificateStateException" => CloudError::Conflict { operation, why },
        _ => match status {
            401 | 403 => CloudError::Denied { operation },
            404 => CloudError::NotFound { operation, why },
            406 | 409 => CloudError::Conflict { operation, why },
            410 => CloudError::Limit { operation, why },
            429 => CloudError::Throttled { operation },
            400..500 => CloudError::Invalid { operation, why },
            _ => CloudError::Service { operation, why },
        },
    }
}

/// The first error of a kind in a chain of causes.
fn source_of<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// All causes in one line, for support.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Problem;

    fn code_of(status: u16, code: &str, message: &str) -> String {
        Problem::from(refused("CreateThing", status, code, message)).code.into_owned()
    }

    #[test]
    fn refusals_are_told_apart() {
        for (status, code, expected) in [
            (400, "ThrottlingException", "cloud.throttled"),
            (429, "", "cloud.throttled"),
            (403, "ExpiredTokenException", "cloud.login-expired"),
            (403, "UnrecognizedClientException", "cloud.login-expired"),
            (403, "InvalidClientTokenId", "cloud.login-expired"),
            (403, "AccessDeniedException", "cloud.denied"),
            (401, "UnauthorizedException", "cloud.denied"),
            (403, "", "cloud.denied"),
            (403, "RequestTimeTooSkewed", "cloud.clock"),
            (404, "ResourceNotFoundException", "cloud.not-found"),
            (406, "CertificateStateException", "cloud.conflict"),
            (409, "ResourceAlreadyExistsException", "cloud.conflict"),
            (409, "", "cloud.conflict"),
            (409, "VersionsLimitExceededException", "cloud.limit"),
            (410, "LimitExceededException", "cloud.limit"),
            (400, "InvalidRequestException", "cloud.invalid"),
            (400, "MalformedPolicyException", "cloud.invalid"),
            (413, "RequestEntityTooLargeException", "cloud.invalid"),
            (500, "InternalFailureException", "cloud.service"),
            (503, "", "cloud.service"),
        ] {
            assert_eq!(code_of(status, code, ""), expected, "{status} {code}");
        }
    }

    #[test]
    fn an_old_signature_is_a_wrong_clock_not_a_wrong_key() {
        let message = "Signature expired: 20260101T000000Z is now earlier than 20260101T005500Z";
        assert_eq!(code_of(403, "InvalidSignatureException", message), "cloud.clock");
        assert_eq!(code_of(403, "SignatureDoesNotMatch", message), "cloud.clock");
        assert_eq!(code_of(403, "InvalidSignatureException", "it does not match"), "cloud.login-expired");
    }

    #[test]
    fn missing_credentials_are_no_login_and_ended_ones_expired() {
        let code = |error: &CredentialsError| Problem::from(credentials_error("GetCallerIdentity", error)).code;
        assert_eq!(code(&CredentialsError::not_loaded("none")), "cloud.no-login");
        assert_eq!(code(&CredentialsError::provider_error("the SSO session has expired")), "cloud.login-expired");
    }

    #[test]
    fn the_service_is_quoted() {
        let problem = Problem::from(refused("DeletePolicy", 409, "DeleteConflictException", "it has targets"));
        assert!(problem.sentence.contains("DeleteConflictException: it has targets"), "{problem}");
    }
}
