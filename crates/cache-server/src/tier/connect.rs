//! From an address and the provider's variables to a store.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, RetryConfig};
use speech_flow_model_hub::Secret;
use url::Url;

use super::http::Connector;

/// Longest time over which one request is retried.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// The store at an address, and the place in it under which the objects are.
pub(super) fn connect(
    url: &Url,
    variables: &[(&'static str, Secret)],
    client: reqwest::Client,
    retries: usize,
) -> Result<(Arc<dyn ObjectStore>, Path), Error> {
    let retry = RetryConfig { max_retries: retries, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let connector = Connector::new(client);
    let objects: Arc<dyn ObjectStore> = match url.scheme() {
        "s3" => {
            let builder = AmazonS3Builder::new().with_url(url.as_str());
            let builder =
                settings(variables, "AWS_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
        }
        "az" => {
            let builder = MicrosoftAzureBuilder::new().with_url(url.as_str());
            let builder =
                settings(variables, "AZURE_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::new().with_url(url.as_str());
            let builder =
                settings(variables, "GOOGLE_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
        }
        // The configuration takes no other scheme.
        _ => Arc::new(LocalFileSystem::new()),
    };
    Ok((objects, Path::from_url_path(url.path())?))
}

/// The variables of a provider that its client knows.
fn settings<'a, Key: FromStr>(
    variables: &'a [(&'static str, Secret)],
    prefix: &'a str,
) -> impl Iterator<Item = (Key, &'a str)> {
    let own = variables.iter().filter(move |(name, _)| name.starts_with(prefix));
    own.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, variables: &[(&'static str, &str)], shown: &str, prefix: &str) {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (*name, Secret::from_text(value).expect("not empty"))).collect();
        let client =
            speech_flow_model_hub::http_client(&speech_flow_model_hub::HubConfig::default()).expect("a client");
        let (store, found) = connect(&url.parse().expect("an address"), &variables, client, 1).expect("connects");
        assert_eq!((store.to_string().as_str(), found.as_ref()), (shown, prefix));
        let secrets = variables.iter().filter(|(name, _)| name.ends_with("_KEY"));
        let debug = format!("{store:?} {variables:?}");
        for (name, secret) in secrets {
            assert!(!debug.contains(secret.expose()), "{name} is shown");
        }
    }

    #[test]
    fn addresses_of_all_providers_are_understood() {
        let aws =
            [("AWS_ACCESS_KEY_ID", "some-id"), ("AWS_SECRET_ACCESS_KEY", "some-secret"), ("AZURE_CLIENT_ID", "x")];
        check("s3://bucket/some/prefix", &aws, "AmazonS3(bucket)", "some/prefix");
        let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "us"), ("AZURE_STORAGE_ACCOUNT_KEY", "c29tZS1rZXk=")];
        check("az://models", &azure, "MicrosoftAzure { account: us, container: models }", "");
        check("gs://bucket/p", &[], "GoogleCloudStorage(bucket)", "p");
        check("file:///srv/models%20x", &[], "LocalFileSystem(file:///)", "srv/models x");
    }
}
