//! `volumes`, and the containers that mount them.
//!
//! Source: DescribeTaskDefinition answers of AWS; the texts as callers report them; botocore's documentation of
//! `EFSVolumeConfiguration`.

use std::collections::BTreeSet;

use outport_aws_ecs::{
    ContainerDefinition, EFSAuthorizationConfigIAM, EFSTransitEncryption, EFSVolumeConfiguration,
    HostVolumeProperties, TaskDefinition, Volume,
};

use crate::rejection::Rejection;

/// What AWS shows of an EFS volume that names no directory.
const EFS_ROOT: &str = "/";

/// Checks the volumes, and that every mount has one.
///
/// # Errors
/// `ClientException` with AWS's text.
pub fn check(
    definition: &TaskDefinition,
    containers: &[ContainerDefinition],
) -> Result<(), Rejection> {
    let volumes: BTreeSet<Option<&str>> =
        definition.volumes.iter().flatten().map(|volume| volume.name.as_deref()).collect();
    if volumes.contains(&None) || volumes.contains(&Some("")) {
        return Err(Rejection::client("Volume.name should not be null or empty."));
    }
    for volume in definition.volumes.iter().flatten() {
        volume.efs_volume_configuration.as_ref().map_or(Ok(()), check_efs)?;
    }
    for mount in containers.iter().flat_map(|definition| definition.mount_points.iter().flatten()) {
        let source = mount.source_volume.as_deref();
        if !volumes.contains(&source) {
            let text = format!("Unknown volume '{}'.", source.unwrap_or_default());
            return Err(Rejection::client(text));
        }
    }
    let names: BTreeSet<Option<&str>> =
        containers.iter().map(|definition| definition.name.as_deref()).collect();
    for from in containers.iter().flat_map(|definition| definition.volumes_from.iter().flatten()) {
        let source = from.source_container.as_deref();
        if !names.contains(&source) {
            let text = format!("Unknown container '{}'.", source.unwrap_or_default());
            return Err(Rejection::client(text));
        }
    }
    Ok(())
}

fn check_efs(efs: &EFSVolumeConfiguration) -> Result<(), Rejection> {
    let access = efs.authorization_config.as_ref();
    let has_point = access.is_some_and(|access| access.access_point_id.is_some());
    if has_point && efs.root_directory.as_deref().is_some_and(|root| root != EFS_ROOT) {
        return Err(Rejection::client(
            "When using an EFS access point, the root directory must either be set to \"/\" or be omitted",
        ));
    }
    let is_encrypted = efs.transit_encryption == Some(EFSTransitEncryption::Enabled);
    let uses_iam =
        access.is_some_and(|access| access.iam == Some(EFSAuthorizationConfigIAM::Enabled));
    if uses_iam && !is_encrypted {
        return Err(Rejection::client(
            "EFS IAM authorization requires TransitEncryption to be enabled",
        ));
    }
    Ok(())
}

/// A volume as AWS shows it. One that says nothing of its kind is a host volume without a path (`"host": {}`), and one
/// of EFS without a directory begins at the root.
pub fn normal(mut volume: Volume) -> Volume {
    let has_kind = volume.host.is_some()
        || volume.docker_volume_configuration.is_some()
        || volume.efs_volume_configuration.is_some()
        || volume.s3files_volume_configuration.is_some()
        || volume.fsx_windows_file_server_volume_configuration.is_some()
        || volume.configured_at_launch == Some(true);
    if !has_kind {
        volume.host = Some(HostVolumeProperties::default());
    }
    if let Some(efs) = &mut volume.efs_volume_configuration {
        efs.root_directory.get_or_insert_with(|| EFS_ROOT.to_owned());
    }
    volume
}
