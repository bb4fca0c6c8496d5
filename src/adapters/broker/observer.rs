//! A certificate for the tool itself, for brokers that it cannot reach over WebSocket. It lives as long as an
//! observation, its key is in memory alone, and its policy allows what is observed and nothing else.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use ulid::Ulid;

use crate::{
    adapters::{cloud::AwsCloud, host_key::HostKey, tls::ClientIdentity},
    domain::{
        JobId, PolicyName, Problem, Subject,
        certificate::Certificate,
        thing::{Login, NewPolicy},
    },
    ports::cloud::{Cloud, CloudError},
};

/// Common name of the certificate. The organizational unit is that of a job of its own, so that leftovers are found.
const COMMON_NAME: &str = "coldbench-observer";
/// AWS IoT may refuse to delete a policy shortly after it was detached.
const DELETE_TRIES: u32 = 3;
const DELETE_WAIT: Duration = Duration::from_secs(2);

/// A registered certificate of the tool.
pub(super) struct Observer {
    cloud: AwsCloud,
    policy: PolicyName,
    key: HostKey,
    certificate: Option<Certificate>,
}

impl Observer {
    /// Registers a certificate with which this client id may observe these topics. What was made before a failure is
    /// retired.
    pub(super) async fn register(cloud: &AwsCloud, client_id: &str, topics: &[String]) -> Result<Self, Problem> {
        let job = JobId::from(Ulid::new());
        let policy: PolicyName = format!("{COMMON_NAME}-{job}").parse()?;
        let mut observer = Observer { cloud: cloud.clone(), policy, key: HostKey::generate()?, certificate: None };
        match observer.make(&job, client_id, topics).await {
            Ok(()) => Ok(observer),
            Err(problem) => {
                observer.retire().await;
                Err(problem)
            }
        }
    }

    async fn make(&mut self, job: &JobId, client_id: &str, topics: &[String]) -> Result<(), Problem> {
        let login = self.cloud.login().await?;
        let document = policy_document(&login, self.cloud.region(), client_id, topics);
        let policy = NewPolicy { name: self.policy.clone(), document, job: job.clone() };
        self.cloud.ensure_policy(&policy).await?;
        let unit = job.organizational_unit();
        let csr = self.key.csr_pem(&Subject { common_name: COMMON_NAME.to_owned(), organizational_unit: unit })?;
        let certificate = self.certificate.insert(self.cloud.create_certificate(&csr).await?);
        self.cloud.attach_policy(&self.policy, &certificate.arn).await?;
        Ok(())
    }

    /// The certificate and key as TLS takes them.
    pub(super) fn identity(&self) -> Option<ClientIdentity> {
        let pem = &self.certificate.as_ref()?.pem;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        Some(ClientIdentity { certificate, key: self.key.private_key_der() })
    }

    /// Takes everything out of the cloud again. What cannot be taken out is named in the log; a sweep finds it.
    pub(super) async fn retire(self) {
        if let Some(certificate) = &self.certificate {
            let retired = async {
                self.cloud.detach_policy(&self.policy, &certificate.arn).await?;
                self.cloud.set_active(&certificate.id, false).await?;
                self.cloud.delete_certificate(&certificate.id).await
            };
            if let Err(error) = retired.await {
                tracing::warn!(certificate = %certificate.id, %error, "the observer's certificate is left in the cloud");
            }
        }
        if let Err(error) = self.delete_policy().await {
            tracing::warn!(policy = %self.policy, %error, "the observer's policy is left in the cloud");
        }
    }

    async fn delete_policy(&self) -> Result<(), CloudError> {
        for _ in 1..DELETE_TRIES {
            match self.cloud.delete_policy(&self.policy).await {
                Err(CloudError::Conflict { .. }) => tokio::time::sleep(DELETE_WAIT).await,
                deleted => return deleted,
            }
        }
        self.cloud.delete_policy(&self.policy).await
    }
}

/// Allows one client id to connect, and to subscribe to and receive these topics.
fn policy_document(login: &Login, region: &str, client_id: &str, topics: &[String]) -> String {
    let partition = login.arn.split(':').nth(1).unwrap_or("aws");
    let arn = |what: &str, name: &str| format!("arn:{partition}:iot:{region}:{}:{what}/{name}", login.account);
    let filters: Vec<String> = topics.iter().map(|topic| arn("topicfilter", topic)).collect();
    // In a topic's ARN the wildcard of policies stands where a filter has those of MQTT.
    let received: Vec<String> = topics.iter().map(|topic| arn("topic", &topic.replace(['+', '#'], "*"))).collect();
    json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "iot:Connect", "Resource": arn("client", client_id) },
            { "Effect": "Allow", "Action": "iot:Subscribe", "Resource": filters },
            { "Effect": "Allow", "Action": "iot:Receive", "Resource": received },
        ],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_what_is_observed_and_nothing_else() {
        let login = Login {
            account: "123456789012".to_owned(),
            arn: "arn:aws-cn:iam::123456789012:user/bench".to_owned(),
            clock_skew_secs: None,
            expires: None,
        };
        let topics = ["dt/coldchain/t1/readings".to_owned(), "$aws/things/t1/shadow/update/#".to_owned()];
        let document = policy_document(&login, "cn-north-1", "coldbench-x", &topics);
        for arn in [
            "arn:aws-cn:iot:cn-north-1:123456789012:client/coldbench-x",
            "arn:aws-cn:iot:cn-north-1:123456789012:topicfilter/$aws/things/t1/shadow/update/#",
            "arn:aws-cn:iot:cn-north-1:123456789012:topic/$aws/things/t1/shadow/update/*",
        ] {
            assert!(document.contains(arn), "{arn} is missing in {document}");
        }
        assert!(!document.contains("iot:Publish"));
    }
}
