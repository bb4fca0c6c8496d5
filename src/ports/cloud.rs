//! The registry of things, certificates and policies, and their shadows.

use async_trait::async_trait;
use thiserror::Error;

use crate::domain::{
    CertificateId, GroupName, JobId, PolicyName, Problem, ThingName, ThingTypeName,
    certificate::{Certificate, CertificateSummary},
    shadow::Shadow,
    thing::{Endpoint, Login, NewGroup, NewPolicy, NewThingType, Thing},
};

/// AWS IoT Core, or something that speaks as it does. Every operation may be repeated: what is there already as wanted
/// is success, and so is deleting what is gone.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Who the technician is, and how far the clocks differ (STS GetCallerIdentity).
    async fn login(&self) -> Result<Login, CloudError>;
    /// Where devices connect (DescribeEndpoint `iot:Data-ATS`).
    async fn endpoint(&self) -> Result<Endpoint, CloudError>;

    /// Creates the type, or finds it. `true` when it was created now.
    async fn ensure_thing_type(&self, new: &NewThingType) -> Result<bool, CloudError>;
    /// A thing, or `None`.
    async fn thing(&self, name: &ThingName) -> Result<Option<Thing>, CloudError>;
    /// Creates a thing. One that exists with another configuration is a [`CloudError::Conflict`].
    async fn create_thing(&self, thing: &Thing) -> Result<(), CloudError>;
    /// Replaces the attributes of a thing.
    async fn set_attributes(&self, thing: &Thing) -> Result<(), CloudError>;
    /// Deletes a thing without principals.
    async fn delete_thing(&self, name: &ThingName) -> Result<(), CloudError>;
    /// Every thing that carries a job; all pages. With a job: only its.
    async fn things_of_jobs(&self, job: Option<&JobId>) -> Result<Vec<Thing>, CloudError>;

    /// Registers a certificate for a CSR, active. The same CSR twice makes two certificates.
    async fn create_certificate(&self, csr_pem: &str) -> Result<Certificate, CloudError>;
    /// A certificate, or `None`.
    async fn certificate(&self, id: &CertificateId) -> Result<Option<Certificate>, CloudError>;
    /// Every certificate of the account, all pages.
    async fn certificates(&self) -> Result<Vec<CertificateSummary>, CloudError>;
    /// Activates or deactivates.
    async fn set_active(&self, id: &CertificateId, active: bool) -> Result<(), CloudError>;
    /// Deletes a certificate that is inactive and detached.
    async fn delete_certificate(&self, id: &CertificateId) -> Result<(), CloudError>;

    /// Creates a policy, or finds it with this document. One with another document is a [`CloudError::Conflict`].
    async fn ensure_policy(&self, new: &NewPolicy) -> Result<(), CloudError>;
    /// Deletes a policy without targets.
    async fn delete_policy(&self, name: &PolicyName) -> Result<(), CloudError>;
    /// Whether the policy exists and this job made it, as its tag says.
    async fn made_policy(&self, job: &JobId, name: &PolicyName) -> Result<bool, CloudError>;
    /// Policies attached to a certificate.
    async fn policies_of(&self, certificate_arn: &str) -> Result<Vec<PolicyName>, CloudError>;
    /// Attaches a policy to a certificate.
    async fn attach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<(), CloudError>;
    /// Detaches it.
    async fn detach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<(), CloudError>;

    /// ARNs of the certificates attached to a thing.
    async fn principals_of(&self, thing: &ThingName) -> Result<Vec<String>, CloudError>;
    /// Things a certificate is attached to.
    async fn things_of(&self, certificate_arn: &str) -> Result<Vec<ThingName>, CloudError>;
    /// Attaches a certificate to a thing.
    async fn attach_principal(&self, thing: &ThingName, certificate_arn: &str) -> Result<(), CloudError>;
    /// Detaches it.
    async fn detach_principal(&self, thing: &ThingName, certificate_arn: &str) -> Result<(), CloudError>;

    /// Creates a group, or finds it.
    async fn ensure_group(&self, new: &NewGroup) -> Result<(), CloudError>;
    /// Whether the group exists and this job made it, as its tag says.
    async fn made_group(&self, job: &JobId, name: &GroupName) -> Result<bool, CloudError>;
    /// Groups of a thing.
    async fn groups_of(&self, thing: &ThingName) -> Result<Vec<GroupName>, CloudError>;
    /// Adds a thing to a group.
    async fn add_to_group(&self, thing: &ThingName, group: &GroupName) -> Result<(), CloudError>;
    /// Takes it out.
    async fn remove_from_group(&self, thing: &ThingName, group: &GroupName) -> Result<(), CloudError>;
    /// Deletes a group.
    async fn delete_group(&self, group: &GroupName) -> Result<(), CloudError>;
    /// Marks a type as no longer to be used; AWS lets it be deleted five minutes later.
    async fn deprecate_thing_type(&self, name: &ThingTypeName) -> Result<(), CloudError>;

    /// The classic shadow of a thing, or `None`.
    async fn shadow(&self, thing: &ThingName) -> Result<Option<Shadow>, CloudError>;
    /// Changes what is desired. With a version, only if the shadow still has it ([`CloudError::Conflict`] otherwise).
    async fn set_desired(
        &self,
        thing: &ThingName,
        desired: &serde_json::Value,
        version: Option<u64>,
    ) -> Result<Shadow, CloudError>;
    /// Deletes the classic shadow.
    async fn delete_shadow(&self, thing: &ThingName) -> Result<(), CloudError>;
}

/// What went wrong with the cloud. `operation` is the API's name, such as `CreateThing`.
#[derive(Debug, Error)]
pub enum CloudError {
    /// There are no credentials.
    #[error("You are not signed in to the cloud")]
    NoLogin,
    /// The login has ended, or the key is not valid.
    #[error("Your cloud login has expired or is not valid")]
    LoginExpired,
    /// This computer's clock is wrong, so that signatures are refused.
    #[error("The clock of this computer is wrong, so the cloud refuses its requests")]
    Clock,
    /// No region is set.
    #[error("No cloud region is set")]
    NoRegion,
    /// The technician may not do this.
    #[error("Your cloud login may not do {operation}")]
    Denied {
        /// The API's name.
        operation: &'static str,
    },
    /// Not reachable.
    #[error("The cloud cannot be reached ({operation})")]
    Unreachable {
        /// The API's name.
        operation: &'static str,
        /// Why, for support.
        why: String,
    },
    /// No answer in time: the effect is unknown.
    #[error("The cloud did not answer {operation} in time")]
    Timeout {
        /// The API's name.
        operation: &'static str,
    },
    /// Too many requests, also after waiting.
    #[error("The cloud is throttling {operation}")]
    Throttled {
        /// The API's name.
        operation: &'static str,
    },
    /// It exists with another configuration, or has changed meanwhile.
    #[error("{operation}: it exists already, but differs ({why})")]
    Conflict {
        /// The API's name.
        operation: &'static str,
        /// What the service says.
        why: String,
    },
    /// What the operation is about does not exist.
    #[error("{operation}: it does not exist ({why})")]
    NotFound {
        /// The API's name.
        operation: &'static str,
        /// What the service says.
        why: String,
    },
    /// A quota of the account is reached.
    #[error("{operation}: a limit of the account is reached ({why})")]
    Limit {
        /// The API's name.
        operation: &'static str,
        /// What the service says.
        why: String,
    },
    /// The service calls the request invalid.
    #[error("{operation}: the cloud refuses the request ({why})")]
    Invalid {
        /// The API's name.
        operation: &'static str,
        /// What the service says.
        why: String,
    },
    /// Any other failure of the service.
    #[error("{operation} failed in the cloud ({why})")]
    Service {
        /// The API's name.
        operation: &'static str,
        /// What the service says.
        why: String,
    },
}

impl From<CloudError> for Problem {
    fn from(error: CloudError) -> Self {
        let (code, advice) = match &error {
            CloudError::NoLogin => ("cloud.no-login", "Sign in with `aws sso login`, or set AWS_PROFILE"),
            CloudError::LoginExpired => {
                ("cloud.login-expired", "Sign in again with `aws sso login`, then resume the job")
            }
            CloudError::Clock => ("cloud.clock", "Set the computer's clock to network time, then resume the job"),
            CloudError::NoRegion => ("cloud.no-region", "Set `region` in the site profile, or AWS_REGION"),
            CloudError::Denied { .. } => {
                ("cloud.denied", "Ask the account's owner for the policy in assets/cloud/technician-policy.json")
            }
            CloudError::Unreachable { .. } => {
                ("cloud.unreachable", "Check the network connection and proxy, then resume the job")
            }
            CloudError::Timeout { .. } => ("cloud.timeout", "Check the network connection, then resume the job"),
            CloudError::Throttled { .. } => ("cloud.throttled", "Wait a minute, then resume the job"),
            CloudError::Conflict { .. } => ("cloud.conflict", "Choose another name, or retire the old one first"),
            CloudError::NotFound { .. } => ("cloud.not-found", "Check the name and the region of the site profile"),
            CloudError::Limit { .. } => {
                ("cloud.limit", "Ask the account's owner to raise the limit, or sweep leftovers")
            }
            CloudError::Invalid { .. } => ("cloud.invalid", "Check names and attributes in the site profile"),
            CloudError::Service { .. } => ("cloud.service", "Try again in a minute; the code helps support"),
        };
        Problem::new(code, error.to_string(), advice)
    }
}
