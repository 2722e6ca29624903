//! `DescribeRegions`: the regions that this installation serves.

use outport_aws_ec2::{DescribeRegionsRequest, DescribeRegionsResult, Ec2Error, Region};
use outport_identity::Call;
use outport_model::Tags;

use crate::Ec2Service;
use crate::filter::Filters;

const FILTERS: [&str; 3] = ["endpoint", "opt-in-status", "region-name"];
/// Nobody has to ask for one: also not for those that AWS gives to who asks.
const OPT_IN: &str = "opt-in-not-required";

pub fn describe_regions(
    service: &Ec2Service,
    call: &Call,
    input: DescribeRegionsRequest,
) -> Result<DescribeRegionsResult, Ec2Error> {
    let filters = Filters::parse(input.filters, false, |name| FILTERS.contains(&name))?;
    service.read(call, "ec2:DescribeRegions", input.dry_run)?;
    let wanted = input.region_names.unwrap_or_default();
    if let Some(name) = wanted.iter().find(|name| service.regions.named(name).is_none()) {
        return Err(Ec2Error::invalid_parameter_value(format!("Invalid region names: [{name}]")));
    }
    let names = service.regions.iter().map(outport_model::Region::as_str);
    let shown = names
        .filter(|name| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name))
        .map(view)
        .filter(|region| filters.pass(&Tags::new(), |filter| value(region, filter)));
    Ok(DescribeRegionsResult { regions: Some(shown.collect()) })
}

fn view(name: &str) -> Region {
    Region {
        opt_in_status: Some(OPT_IN.to_owned()),
        region_name: Some(name.to_owned()),
        endpoint: Some(format!("ec2.{name}.amazonaws.com")),
        ..Region::default()
    }
}

fn value(region: &Region, filter: &str) -> Vec<String> {
    let value = match filter {
        "endpoint" => &region.endpoint,
        "opt-in-status" => &region.opt_in_status,
        _ => &region.region_name,
    };
    value.iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[tokio::test]
    async fn the_regions_of_the_installation() {
        let world = World::new();
        let answer = world.call("Action=DescribeRegions").await;
        for region in ["us-east-1", "eu-west-1"] {
            let shown = format!("<regionName>{region}</regionName>");
            assert!(answer.contains(&shown), "{answer}");
        }
        let answer = world.call("Action=DescribeRegions&RegionName.1=eu-west-1").await;
        assert!(!answer.contains("us-east-1") && answer.contains("eu-west-1"), "{answer}");
        let filter = "Filter.1.Name=endpoint&Filter.1.Value.1=ec2.us-*";
        let answer = world.call(&format!("Action=DescribeRegions&{filter}")).await;
        assert!(answer.contains("us-east-1") && !answer.contains("eu-west-1"), "{answer}");
        let answer = world.call("Action=DescribeRegions&RegionName.1=mars-1").await;
        assert!(answer.contains("Invalid region names: [mars-1]"), "{answer}");
    }
}
