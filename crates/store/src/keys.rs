//! The keys of the tables. Each begins with the account and region that its row belongs to, but for
//! nodes, which serve every account of an installation.

use outport_model::{
    ClusterName, ContainerInstanceId, DeploymentId, Family, Revision, Scope, ServiceName, TaskId,
};

macro_rules! key {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub scope: Scope,
            $(pub $field: $type,)+
        }

        impl $name {
            pub fn new(scope: &Scope, $($field: impl Into<$type>),+) -> Self {
                Self { scope: scope.clone(), $($field: $field.into()),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}/{}", self.scope.account, self.scope.region)?;
                $(write!(f, "/{}", self.$field)?;)+
                Ok(())
            }
        }
    };
}

key!(ClusterKey { cluster: ClusterName });
key!(TaskDefinitionKey { family: Family, revision: Revision });
key!(FamilyKey { family: Family });
key!(ServiceKey { cluster: ClusterName, service: ServiceName });
key!(ServiceDeploymentKey { cluster: ClusterName, service: ServiceName, id: String });
key!(ServiceRevisionKey { cluster: ClusterName, service: ServiceName, id: DeploymentId });
key!(TaskKey { cluster: ClusterName, task: TaskId });
key!(ContainerInstanceKey { cluster: ClusterName, id: ContainerInstanceId });
key!(VpcKey { id: String });
key!(SubnetKey { id: String });
key!(SecurityGroupKey { id: String });
key!(NetworkInterfaceKey { id: String });
key!(
    /// The name comes before the principal, whose ARN may hold any character.
    AccountSettingKey { name: String, principal_arn: String }
);
key!(
    /// The token comes last: it may hold any character.
    IdempotencyTokenKey { operation: String, token: String }
);

impl ServiceKey {
    pub fn cluster_key(&self) -> ClusterKey {
        ClusterKey::new(&self.scope, self.cluster.clone())
    }
}

impl TaskKey {
    pub fn cluster_key(&self) -> ClusterKey {
        ClusterKey::new(&self.scope, self.cluster.clone())
    }
}
