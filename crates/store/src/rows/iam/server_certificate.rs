//! A server certificate.

use outport_model::iam::{NameKey, ServerCertificate};

use super::key::{KeyOf, account_key};
use crate::row::Row;
use crate::tables::Related;

account_key!(ServerCertificateKey { name: NameKey });

impl KeyOf for ServerCertificateKey {
    type Row = ServerCertificate;
}

impl Row for ServerCertificate {
    type Key = ServerCertificateKey;
    type Index = ();
    const TABLE: &'static str = "iam_server_certificate";
    fn key(&self) -> ServerCertificateKey {
        ServerCertificateKey::new(&self.account, &self.name)
    }
}

impl Related for ServerCertificate {}
