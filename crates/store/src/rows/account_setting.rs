//! An account setting.

use outport_model::account_setting::AccountSetting;

use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(
    /// The name comes before the principal, whose ARN may hold any character.
    AccountSettingKey { name: String, principal_arn: String }
);

impl Row for AccountSetting {
    type Key = AccountSettingKey;
    type Index = ();
    const TABLE: &'static str = "account_setting";
    fn key(&self) -> AccountSettingKey {
        AccountSettingKey::new(&self.scope, self.name.clone(), self.principal_arn.clone())
    }
}

impl Related for AccountSetting {}
