//! A parameter, and its versions.

use std::sync::Arc;

use outport_model::Scope;
use outport_model::parameter::{Parameter, ParameterVersion};

use crate::cold::ColdTable;
use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(ParameterKey { name: String });
key!(
    /// A name may hold a slash, a version does not: no two keys have one text.
    ParameterVersionKey { parameter: String, version: u64 }
);

impl Row for Parameter {
    type Key = ParameterKey;
    type Index = ();
    const TABLE: &'static str = "parameter";
    fn key(&self) -> ParameterKey {
        ParameterKey::new(&self.scope, self.name.as_str())
    }
}

impl Related for Parameter {}

impl Row for ParameterVersion {
    type Key = ParameterVersionKey;
    type Index = ();
    const TABLE: &'static str = "parameter_version";
    fn key(&self) -> ParameterVersionKey {
        ParameterVersionKey::new(&self.scope, self.parameter.as_str(), self.version)
    }
}

impl Related for ParameterVersion {}

impl ColdTable<Parameter> {
    /// The parameters of a scope whose names begin with `prefix`, in the order of the names.
    pub fn beginning<'a>(
        &'a self,
        scope: &'a Scope,
        prefix: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Parameter>> {
        self.range(ParameterKey::new(scope, prefix)..)
            .take_while(move |row| row.scope == *scope && row.name.starts_with(prefix))
    }
}

impl ColdTable<ParameterVersion> {
    /// The versions of a parameter, the oldest first.
    pub fn of<'a>(
        &'a self,
        parameter: &Parameter,
    ) -> impl DoubleEndedIterator<Item = &'a Arc<ParameterVersion>> + use<'a> {
        let key =
            |version| ParameterVersionKey::new(&parameter.scope, parameter.name.as_str(), version);
        self.range(key(0)..=key(u64::MAX))
    }
}
