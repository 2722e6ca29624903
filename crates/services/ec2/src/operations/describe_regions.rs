//! `DescribeRegions`: the one region of this installation.

use outport_aws_ec2::{DescribeRegionsRequest, DescribeRegionsResult, Ec2Error, Region};
use outport_identity::Call;
use outport_model::Tags;

use crate::Ec2Service;
use crate::filter::Filters;

const FILTERS: [&str; 3] = ["endpoint", "opt-in-status", "region-name"];

pub fn describe_regions(
    service: &Ec2Service,
    call: &Call,
    input: DescribeRegionsRequest,
) -> Result<DescribeRegionsResult, Ec2Error> {
    let filters = Filters::parse(input.filters, false, |name| FILTERS.contains(&name))?;
    service.read(call, "ec2:DescribeRegions", input.dry_run)?;
    let region = call.region.as_str();
    let wanted = input.region_names.unwrap_or_default();
    if let Some(name) = wanted.iter().find(|name| name.as_str() != region) {
        return Err(Ec2Error::invalid_parameter_value(format!("Invalid region names: [{name}]")));
    }
    let endpoint = format!("ec2.{region}.amazonaws.com");
    let is_shown = filters.pass(&Tags::new(), |name| {
        vec![match name {
            "endpoint" => endpoint.clone(),
            "opt-in-status" => "opt-in-not-required".to_owned(),
            _ => region.to_owned(),
        }]
    });
    let shown = Region {
        opt_in_status: Some("opt-in-not-required".to_owned()),
        region_name: Some(region.to_owned()),
        endpoint: Some(endpoint),
        ..Region::default()
    };
    Ok(DescribeRegionsResult { regions: Some(if is_shown { vec![shown] } else { Vec::new() }) })
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[tokio::test]
    async fn the_region_of_the_installation() {
        let world = World::new();
        let answer = world.call("Action=DescribeRegions").await;
        assert!(answer.contains("<regionName>us-east-1</regionName>"), "{answer}");
        let answer = world.call("Action=DescribeRegions&RegionName.1=mars-1").await;
        assert!(answer.contains("Invalid region names: [mars-1]"), "{answer}");
    }
}
