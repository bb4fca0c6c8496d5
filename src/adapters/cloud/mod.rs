//! AWS IoT Core through the AWS SDK: the registry of things, and their shadows.
//!
//! Each request waits for its API's turn, has a time limit, and is repeated by the SDK where that is safe.
//! CreateCertificateFromCsr is not: its reply may be lost after the effect, and a second request would make a second
//! certificate.

mod clock;
mod convert;
mod errors;
mod pace;
mod port;

use std::{future::Future, sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::sync::OnceCell;

use crate::{domain::site::Site, ports::cloud::CloudError};

/// Time limits of a request. An operation is a request with its repetitions.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
const OPERATION_LIMIT: Duration = Duration::from_secs(30);
/// How often a request is sent at most.
const ATTEMPTS: u32 = 4;

/// AWS IoT Core, with the technician's login. Cheap to clone; all clones share connections and pace.
#[derive(Debug, Clone)]
pub struct AwsCloud {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: SdkConfig,
    region: String,
    iot_endpoint: Option<String>,
    iot_port: Option<u16>,
    iot: aws_sdk_iot::Client,
    data: aws_sdk_iotdataplane::Client,
    sts: aws_sdk_sts::Client,
    pace: pace::Pace,
    /// The account's address does not change.
    data_address: OnceCell<String>,
}

impl AwsCloud {
    /// Reads the AWS configuration: what the site profile names, else what the environment and the AWS profile say
    /// (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL`, SSO…). Asks no service yet but the one that may know the
    /// region.
    ///
    /// # Errors
    /// [`CloudError::NoRegion`] when nothing names a region.
    pub async fn connect(site: &Site) -> Result<AwsCloud, CloudError> {
        Self::open(site, None).await
    }

    /// The same with a given access key instead of the technician's login, for clouds that come with one.
    ///
    /// # Errors
    /// [`CloudError::NoRegion`] when nothing names a region.
    pub async fn connect_with_key(
        site: &Site,
        access_key_id: &str,
        secret_access_key: &str,
    ) -> Result<AwsCloud, CloudError> {
        let key = Credentials::new(access_key_id, secret_access_key, None, None, "given");
        Self::open(site, Some(key)).await
    }

    async fn open(site: &Site, key: Option<Credentials>) -> Result<AwsCloud, CloudError> {
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .operation_attempt_timeout(ATTEMPT_LIMIT)
            .operation_timeout(OPERATION_LIMIT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(limits)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
        if !site.region.is_empty() {
            loader = loader.region(Region::new(site.region.clone()));
        }
        if !site.aws_profile.is_empty() {
            loader = loader.profile_name(&site.aws_profile);
        }
        if let Some(url) = &site.aws_endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(key) = key {
            loader = loader.credentials_provider(key);
        }
        let config = loader.load().await;
        let region = config.region().ok_or(CloudError::NoRegion)?.to_string();
        Ok(AwsCloud {
            inner: Arc::new(Inner {
                region,
                iot_endpoint: site.iot_endpoint.clone(),
                iot_port: site.iot_port,
                iot: aws_sdk_iot::Client::new(&config),
                data: aws_sdk_iotdataplane::Client::new(&config),
                sts: aws_sdk_sts::Client::new(&config),
                pace: pace::Pace::default(),
                data_address: OnceCell::new(),
                config,
            }),
        })
    }

    /// The region, such as `eu-central-1`.
    pub fn region(&self) -> &str {
        &self.inner.region
    }

    /// URL that replaces AWS's own, from the site profile or the environment.
    pub(super) fn endpoint_url(&self) -> Option<&str> {
        self.inner.config.endpoint_url()
    }

    /// The technician's credentials as they are now.
    pub(super) async fn credentials(&self) -> Result<Credentials, CloudError> {
        let provider = self.inner.config.credentials_provider().ok_or(CloudError::NoLogin)?;
        let found = tokio::time::timeout(OPERATION_LIMIT, provider.provide_credentials()).await;
        let operation = "GetCredentials";
        match found {
            Ok(found) => found.map_err(|error| errors::credentials_error(operation, &error)),
            Err(_) => Err(CloudError::Timeout { operation }),
        }
    }

    /// The account's own address for devices and WebSocket, `host` or `host:port` (DescribeEndpoint `iot:Data-ATS`).
    pub(super) async fn data_address(&self) -> Result<&str, CloudError> {
        self.inner.data_address.get_or_try_init(|| self.describe_endpoint()).await.map(String::as_str)
    }

    async fn describe_endpoint(&self) -> Result<String, CloudError> {
        let operation = "DescribeEndpoint";
        let request = self.inner.iot.describe_endpoint().endpoint_type("iot:Data-ATS");
        let answer = self.run(operation, request.send()).await?;
        let missing = || CloudError::Service { operation, why: "the answer names no address".to_owned() };
        answer.endpoint_address.ok_or_else(missing)
    }

    /// Sends a request when its API's turn has come.
    async fn run<T, E>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, CloudError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.inner.pace.wait(operation).await;
        request.await.map_err(|error| errors::cloud_error(operation, error))
    }
}

/// Takes "it does not exist" for `None`.
fn if_found<T>(answer: Result<T, CloudError>) -> Result<Option<T>, CloudError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(CloudError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes "it does not exist" for success, when it was to be removed.
fn gone<T>(answer: Result<T, CloudError>) -> Result<(), CloudError> {
    if_found(answer).map(drop)
}
