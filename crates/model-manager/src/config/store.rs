//! What the cache server takes from the configuration for its object store.

use std::time::Duration;

use speech_flow_model_hub::Secret;
use url::Url;

use super::layers::Layers;
use super::origin::Setting;
use super::{ConfigError, options};

/// The object store that the cache servers of all clusters share.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where it is, such as `s3://bucket/prefix`; none when `None`.
    pub url: Setting<Option<Url>>,
    /// How long a caller's file waits for the store before the hub is asked.
    pub patience: Setting<Duration>,
    /// Whether files are put into it.
    pub uploads: Setting<bool>,
    /// Whether files of private and gated repositories are put into it, too.
    pub private: Setting<bool>,
    /// The provider's own variables that are set, with their values.
    pub variables: Vec<(&'static str, Secret)>,
}

const DEFAULT_PATIENCE: Duration = Duration::from_secs(2);

/// Variables by which programs are told how to reach an object store. They are the provider's, not ours, so they
/// are read as they are. Source: the documentation of the command lines of AWS, Azure and Google Cloud.
const VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_REQUEST_PAYER",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_MSI_ENDPOINT",
    "AZURE_ENDPOINT",
    "AZURE_ALLOW_HTTP",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];

pub(super) fn load_store(layers: &mut Layers<'_>) -> Result<StoreSettings, ConfigError> {
    let env = layers.sources.env;
    let value = |name: &&'static str| {
        let text = env(name)?.into_string().ok()?;
        Some((*name, Secret::from_text(&text)?))
    };
    Ok(StoreSettings {
        url: layers.optional(&options::STORE)?,
        patience: layers.setting(&options::STORE_PATIENCE, || Ok(DEFAULT_PATIENCE))?,
        uploads: layers.setting(&options::STORE_UPLOADS, || Ok(true))?,
        private: layers.setting(&options::STORE_PRIVATE, || Ok(false))?,
        variables: VARIABLES.iter().filter_map(value).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values;

    #[track_caller]
    fn check(text: &str, is_taken: bool) {
        assert_eq!(values::store(text, &Layers::nowhere()).is_ok(), is_taken, "{text}");
    }

    #[test]
    fn an_address_names_a_bucket_or_a_folder_and_no_credentials() {
        for text in ["s3://bucket", "s3://bucket/some/prefix/", " az://container ", "gs://b/p", "file:///srv/models"] {
            check(text, true);
        }
        for text in ["", "bucket", "s3://", "s3:bucket", "https://bucket.example", "file://host/x"] {
            check(text, false);
        }
        for text in ["s3://id:secret@bucket/p", "az://c/p?sig=secret", "s3://bucket:80/p", "gs://b/p#x"] {
            check(text, false);
        }
    }
}
