//! Addresses by which a client puts a file on the store: signed for that file and its size, for a
//! quarter of an hour, and for as long as the file is not there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningParams,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use chrono::SubsecRound;
use model::id::{TenantId, UploadId};
use model::time::Moment;
use object_store::path::Path as ObjectPath;
use object_store::signer::{Method, Signer};
use objects::S3;

use crate::{Error, Files};

/// How long an address is good for.
const GOOD_FOR: Duration = Duration::from_mins(15);

/// An address and what has to be sent to it.
#[derive(Clone)]
pub struct Presigned {
    /// The address. Whoever has it may put the file there.
    pub url: String,
    /// The headers that the request has to have.
    pub headers: BTreeMap<&'static str, String>,
    /// Until when the request has to begin.
    pub expires_at: Moment,
}

impl fmt::Debug for Presigned {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("Presigned")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Files {
    /// An address to which a file of so many bytes can be put once.
    pub async fn presign(
        &self,
        tenant: &TenantId,
        upload: UploadId,
        size: u64,
        now: Moment,
    ) -> Result<Presigned, Error> {
        let now = now.trunc_subsecs(0);
        let expires_at = now + GOOD_FOR;
        let url = match (self.0.place.s3(), &self.0.door) {
            (Some(bucket), _) => address(bucket, &self.key(tenant, upload), size, now).await?,
            (None, Some(door)) => door.address(tenant, upload, size, expires_at),
            (None, None) => return Err(Error::Closed),
        };
        let headers = [
            ("Content-Length", size.to_string()),
            ("If-None-Match", "*".to_owned()),
        ];
        Ok(Presigned {
            url,
            headers: headers.into(),
            expires_at,
        })
    }
}

/// An address in a bucket. The store's client signs addresses too, but none that are bound to a
/// size.
async fn address(bucket: &S3, key: &ObjectPath, size: u64, now: Moment) -> Result<String, Error> {
    let credentials = bucket.client.credentials().get_credential().await?;
    // Where the client itself would go.
    let mut url = bucket.client.signed_url(Method::PUT, key, GOOD_FOR).await?;
    url.set_query(None);

    let identity = Credentials::new(
        &credentials.key_id,
        &credentials.secret_key,
        credentials.token.clone(),
        None,
        "store",
    )
    .into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(GOOD_FOR);
    // S3 takes a path as it is sent.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let params: SigningParams = v4::SigningParams::builder()
        .identity(&identity)
        .region(&bucket.region)
        .name("s3")
        .time(SystemTime::from(now))
        .settings(settings)
        .build()
        .map_err(unsigned)?
        .into();
    let size = size.to_string();
    let headers = [("content-length", size.as_str()), ("if-none-match", "*")];
    let request = SignableRequest::new(
        Method::PUT.as_str(),
        url.as_str(),
        headers.into_iter(),
        SignableBody::UnsignedPayload,
    )
    .map_err(unsigned)?;
    let signed = sign(request, &params).map_err(unsigned)?;
    url.query_pairs_mut().extend_pairs(signed.output().params());
    Ok(url.into())
}

fn unsigned(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Signing(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::aws::AmazonS3Builder;
    use object_store::signer::Url;

    const KEY: &str = "uploads/t_acme/019cc9f0-7a00-7000-8000-000000000001";

    fn bucket(endpoint: Option<&str>, token: Option<&str>) -> S3 {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name("portal-uploads")
            .with_region("eu-central-1")
            .with_access_key_id("test-key-id")
            .with_secret_access_key("test-secret-access-key");
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(true);
        }
        if let Some(token) = token {
            builder = builder.with_token(token);
        }
        S3 {
            client: builder.build().unwrap(),
            region: "eu-central-1".to_owned(),
        }
    }

    /// The address without its query, and what the query says.
    fn parts(address: &str) -> (String, BTreeMap<String, String>) {
        let mut url = Url::parse(address).unwrap();
        let query = url.query_pairs().into_owned().collect();
        url.set_query(None);
        (url.into(), query)
    }

    /// The expected signatures are botocore's.
    #[tokio::test]
    async fn an_address_is_signed_as_botocore_signs_it() {
        for (endpoint, token, place, signature) in [
            (
                None,
                None,
                "https://s3.eu-central-1.amazonaws.com",
                "905286923876a7ff1fa32ee878a140e428e78f59a44c27ec593916f212a7b316",
            ),
            (
                Some("http://127.0.0.1:5100"),
                Some("test+session/token=="),
                "http://127.0.0.1:5100",
                "8a231d2c8c06fb4e4de5c98e47e5ccd4e1b5840b7a823fa18c59c6986d9d6998",
            ),
        ] {
            let now = "2026-03-08T12:00:00Z".parse().unwrap();
            let bucket = bucket(endpoint, token);
            let signed = address(&bucket, &ObjectPath::from(KEY), 1 << 30, now).await;
            let (address, query) = parts(&signed.unwrap());
            assert_eq!(address, format!("{place}/portal-uploads/{KEY}"));
            let mut expected = BTreeMap::from([
                ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
                (
                    "X-Amz-Credential",
                    "test-key-id/20260308/eu-central-1/s3/aws4_request",
                ),
                ("X-Amz-Date", "20260308T120000Z"),
                ("X-Amz-Expires", "900"),
                ("X-Amz-SignedHeaders", "content-length;host;if-none-match"),
                ("X-Amz-Signature", signature),
            ]);
            if let Some(token) = token {
                expected.insert("X-Amz-Security-Token", token);
            }
            let said = query
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            assert_eq!(said.collect::<BTreeMap<_, _>>(), expected);
        }
    }

    #[test]
    fn an_address_is_not_printed() {
        let presigned = Presigned {
            url: "https://example.com/secret".to_owned(),
            headers: BTreeMap::new(),
            expires_at: "2026-03-08T12:00:00Z".parse().unwrap(),
        };
        assert!(!format!("{presigned:?}").contains("secret"));
    }
}
