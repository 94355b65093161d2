//! Webhook deliveries, signed as GitHub signs them.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{GitHub, WEBHOOK_SECRET};

/// A webhook delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `X-GitHub-Delivery`; a redelivery has the same ID.
    pub id: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The body.
    pub payload: Value,
}

/// How a delivery is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// With this secret.
    By(String),
    /// Not at all.
    None,
}

impl Signature {
    /// With the secret that the reporter has.
    #[must_use]
    pub fn right() -> Self {
        Self::By(WEBHOOK_SECRET.to_owned())
    }
}

impl GitHub {
    /// Sends a delivery to a URL and returns the status of the response. The client must trust the URL's certificate.
    pub async fn deliver(&self, client: &reqwest::Client, url: &str, delivery: &Delivery, signature: Signature) -> u16 {
        let body = serde_json::to_vec(&delivery.payload).unwrap();
        let mut request = client
            .post(url)
            .header("content-type", "application/json")
            .header("user-agent", "GitHub-Hookshot/double")
            .header("x-github-event", &delivery.event)
            .header("x-github-delivery", &delivery.id);
        if let Signature::By(secret) = signature {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(&body);
            let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
            request = request.header("x-hub-signature-256", format!("sha256={signature}"));
        }
        let status = request.body(body).send().await.unwrap().status().as_u16();
        let mut state = self.state.lock();
        let id = state.new_id();
        state.deliveries.push(json!({
            "id": id, "guid": delivery.id, "event": delivery.event, "action": delivery.payload["action"],
            "status_code": status, "redelivery": false,
        }));
        status
    }
}
