//! `DescribeAvailabilityZones`: the zones of the region that is asked.

use outport_aws_ec2::{
    AvailabilityZone, AvailabilityZoneOptInStatus, AvailabilityZoneState,
    DescribeAvailabilityZonesRequest, DescribeAvailabilityZonesResult, Ec2Error,
};
use outport_identity::Call;
use outport_model::Tags;

use crate::Ec2Service;
use crate::filter::Filters;
use crate::zones::{self, Zone};

const FILTERS: [&str; 10] = [
    "group-long-name",
    "group-name",
    "opt-in-status",
    "parent-zone-id",
    "parent-zone-name",
    "region-name",
    "state",
    "zone-id",
    "zone-name",
    "zone-type",
];

pub fn describe_availability_zones(
    service: &Ec2Service,
    call: &Call,
    input: DescribeAvailabilityZonesRequest,
) -> Result<DescribeAvailabilityZonesResult, Ec2Error> {
    let filters = Filters::parse(input.filters, false, |name| FILTERS.contains(&name))?;
    service.read(call, "ec2:DescribeAvailabilityZones", input.dry_run)?;
    let zones = zones::of(&call.region);
    let names = input.zone_names.unwrap_or_default();
    let ids = input.zone_ids.unwrap_or_default();
    check(&names, |name| zones.iter().any(|zone| zone.name == name), "availability zone")?;
    check(&ids, |id| zones.iter().any(|zone| zone.id == id), "availability zone-id")?;
    let region = call.region.as_str();
    let shown = zones
        .iter()
        .filter(|zone| names.is_empty() || names.contains(&zone.name))
        .filter(|zone| ids.is_empty() || ids.contains(&zone.id))
        .filter(|zone| filters.pass(&Tags::new(), |name| values(zone, region, name)))
        .map(|zone| view(zone, region))
        .collect();
    Ok(DescribeAvailabilityZonesResult { availability_zones: Some(shown) })
}

fn check(wanted: &[String], exists: impl Fn(&str) -> bool, noun: &str) -> Result<(), Ec2Error> {
    match wanted.iter().find(|name| !exists(name)) {
        Some(name) => Err(Ec2Error::invalid_parameter_value(format!("Invalid {noun}: [{name}]"))),
        None => Ok(()),
    }
}

/// The group of a zone: `us-east-1-zg-1`.
fn group(region: &str) -> String {
    format!("{region}-zg-1")
}

fn values(zone: &Zone, region: &str, name: &str) -> Vec<String> {
    vec![match name {
        "group-name" => group(region),
        "opt-in-status" => "opt-in-not-required".to_owned(),
        "region-name" => region.to_owned(),
        "state" => "available".to_owned(),
        "zone-id" => zone.id.clone(),
        "zone-name" => zone.name.clone(),
        "zone-type" => "availability-zone".to_owned(),
        _ => return Vec::new(),
    }]
}

fn view(zone: &Zone, region: &str) -> AvailabilityZone {
    AvailabilityZone {
        opt_in_status: Some(AvailabilityZoneOptInStatus::OptInNotRequired),
        messages: Some(Vec::new()),
        region_name: Some(region.to_owned()),
        zone_name: Some(zone.name.clone()),
        zone_id: Some(zone.id.clone()),
        group_name: Some(group(region)),
        network_border_group: Some(region.to_owned()),
        zone_type: Some("availability-zone".to_owned()),
        state: Some(AvailabilityZoneState::Available),
        ..AvailabilityZone::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[tokio::test]
    async fn the_zones_of_the_region() {
        let world = World::new();
        let answer = world
            .call("Action=DescribeAvailabilityZones&Filter.1.Name=state&Filter.1.Value.1=available")
            .await;
        assert_eq!(answer.matches("<zoneName>").count(), 6, "{answer}");
        let answer = world.call("Action=DescribeAvailabilityZones&ZoneName.1=us-east-1c").await;
        assert!(answer.contains("<zoneId>use1-az3</zoneId>"), "{answer}");
        let answer = world.call("Action=DescribeAvailabilityZones&ZoneName.1=mars-1a").await;
        assert!(answer.contains("Invalid availability zone: [mars-1a]"), "{answer}");
    }
}
