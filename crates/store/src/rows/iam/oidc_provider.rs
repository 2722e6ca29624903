//! An OIDC provider.

use outport_model::iam::OidcProvider;

use super::key::{KeyOf, account_key};
use crate::row::Row;
use crate::tables::Related;

account_key!(OidcProviderKey { issuer: String });

impl KeyOf for OidcProviderKey {
    type Row = OidcProvider;
}

impl Row for OidcProvider {
    type Key = OidcProviderKey;
    type Index = ();
    const TABLE: &'static str = "iam_oidc_provider";
    fn key(&self) -> OidcProviderKey {
        OidcProviderKey::new(&self.account, self.issuer.clone())
    }
}

impl Related for OidcProvider {}
