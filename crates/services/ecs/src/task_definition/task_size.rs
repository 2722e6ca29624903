//! The `cpu` and `memory` of a task: how AWS reads the text, and which sizes Fargate has.
//!
//! Sources: "Task size" in the Amazon ECS Developer Guide; "Troubleshoot Amazon ECS task definition invalid CPU
//! or memory errors"; botocore's documentation of `RegisterTaskDefinitionRequest.cpu` and `.memory`.

use crate::rejection::Rejection;

/// Fewest CPU units a task off Fargate can ask for.
const TASK_CPU_UNITS_MIN: u32 = 128;
/// Most CPU units a task off Fargate can ask for (192 vCPUs).
const TASK_CPU_UNITS_MAX: u32 = 196_608;
/// Least memory that a container can have, in MiB.
pub const CONTAINER_MEMORY_MIB_MIN: i32 = 6;

/// Memory of one Fargate CPU size, in MiB: from `least` to `most` in steps of `step`.
struct FargateSize {
    cpu_units: u32,
    least: u32,
    most: u32,
    step: u32,
}

const FARGATE_SIZES: [FargateSize; 8] = [
    FargateSize { cpu_units: 256, least: 512, most: 512, step: 512 },
    FargateSize { cpu_units: 256, least: 1024, most: 2048, step: 1024 },
    FargateSize { cpu_units: 512, least: 1024, most: 4096, step: 1024 },
    FargateSize { cpu_units: 1024, least: 2048, most: 8192, step: 1024 },
    FargateSize { cpu_units: 2048, least: 4096, most: 16_384, step: 1024 },
    FargateSize { cpu_units: 4096, least: 8192, most: 30_720, step: 1024 },
    FargateSize { cpu_units: 8192, least: 16_384, most: 61_440, step: 4096 },
    FargateSize { cpu_units: 16_384, least: 32_768, most: 122_880, step: 8192 },
];

/// What a task asks for as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskSize {
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
}

impl TaskSize {
    /// Reads `cpu` (`1024`, `1 vCPU`, `.5 vcpu`) and `memory` (`1024`, `1GB`, `0.5 GB`).
    ///
    /// # Errors
    /// `ClientException` when a text is no such number.
    pub fn parse(cpu: Option<&str>, memory: Option<&str>) -> Result<Self, Rejection> {
        let cpu_units =
            cpu.map(|text| units(text, "vcpu").ok_or_else(|| invalid("cpu"))).transpose()?;
        let memory_mib =
            memory.map(|text| units(text, "gb").ok_or_else(|| invalid("memory"))).transpose()?;
        Ok(Self { cpu_units, memory_mib })
    }

    /// Checks the sizes that hold for every launch type but Fargate.
    ///
    /// # Errors
    /// `ClientException` when the CPU lies outside of 128 to 196,608 units.
    pub fn check_bounds(self) -> Result<(), Rejection> {
        match self.cpu_units {
            Some(units) if !(TASK_CPU_UNITS_MIN..=TASK_CPU_UNITS_MAX).contains(&units) => {
                Err(invalid("cpu"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that Fargate has this size.
    ///
    /// # Errors
    /// `ClientException` when one of the two is missing or the pair does not exist.
    pub fn check_fargate(self) -> Result<(), Rejection> {
        let missing = |name: &str| {
            Rejection::client(format!(
                "Fargate requires that '{name}' be defined at the task level."
            ))
        };
        let cpu_units = self.cpu_units.ok_or_else(|| missing("cpu"))?;
        let memory_mib = self.memory_mib.ok_or_else(|| missing("memory"))?;
        if is_fargate_size(cpu_units, memory_mib) {
            return Ok(());
        }
        Err(Rejection::client(format!(
            "No Fargate configuration exists for given values: {cpu_units} CPU, {memory_mib} memory. \
             See the Amazon ECS documentation for the valid values."
        )))
    }
}

fn is_fargate_size(cpu_units: u32, memory_mib: u32) -> bool {
    FARGATE_SIZES.iter().any(|size| {
        size.cpu_units == cpu_units
            && (size.least..=size.most).contains(&memory_mib)
            && (memory_mib - size.least).is_multiple_of(size.step)
    })
}

fn invalid(name: &str) -> Rejection {
    Rejection::client(format!(
        "Invalid '{name}' setting for task. For more information, see the Troubleshooting section of the \
         Amazon ECS Developer Guide."
    ))
}

/// Reads whole units, or a decimal number of `suffix`, each of which is 1,024 units.
fn units(text: &str, suffix: &str) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    if let Ok(units) = text.parse::<u32>() {
        return (units > 0).then_some(units);
    }
    let number = text.strip_suffix(suffix).map(str::trim_end)?;
    let is_decimal = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let units = number.parse::<f64>().ok().filter(|_| is_decimal)? * 1024.0;
    let is_whole = units.fract() == 0.0 && units >= 1.0 && units <= f64::from(u32::MAX);
    is_whole.then_some(units as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cpu` and `memory` as given, and what comes of them: `units MiB`, or the refusal on Fargate.
    #[track_caller]
    fn check(cpu: &str, memory: &str, expected: &str) {
        let given = |text: &'static str| (!text.is_empty()).then_some(text);
        let cpu: &'static str = cpu.to_owned().leak();
        let memory: &'static str = memory.to_owned().leak();
        let outcome = TaskSize::parse(given(cpu), given(memory)).and_then(|size| {
            size.check_fargate()?;
            Ok(format!("{} {}", size.cpu_units.unwrap_or(0), size.memory_mib.unwrap_or(0)))
        });
        let actual = outcome.unwrap_or_else(|rejection| rejection.to_string());
        assert!(actual.starts_with(expected), "{cpu} {memory}: {actual}");
    }

    #[test]
    fn reads_units_and_names_of_units() {
        check("256", "512", "256 512");
        check("1024", "2048", "1024 2048");
        check("1 vCPU", "2 GB", "1024 2048");
        check("1vcpu", "2gb", "1024 2048");
        check(".25 vCPU", "0.5GB", "256 512");
        check("0.5 vCPU", "1 GB", "512 1024");
    }

    #[test]
    fn refuses_other_texts() {
        for text in
            ["", " ", "0", "-1", "1.5", "one", "1 GB vCPU", "inf vcpu", "1e3 vcpu", "0.0001 vcpu"]
        {
            if text.is_empty() {
                check("", "512", "Fargate requires that 'cpu' be defined at the task level.");
            } else {
                check(text, "512", "Invalid 'cpu' setting for task.");
            }
        }
        check("256", "", "Fargate requires that 'memory' be defined at the task level.");
        check("256", "512MB", "Invalid 'memory' setting for task.");
    }

    #[test]
    fn fargate_has_a_fixed_set_of_sizes() {
        for (cpu, sizes) in [
            ("256", "512 1024 2048"),
            ("512", "1024 2048 3072 4096"),
            ("1024", "2048 8192"),
            ("2048", "4096 16384"),
            ("4096", "8192 30720"),
            ("8192", "16384 20480 61440"),
            ("16384", "32768 40960 122880"),
        ] {
            for memory in sizes.split(' ') {
                check(cpu, memory, &format!("{cpu} {memory}"));
            }
        }
        let refused = "No Fargate configuration exists for given values: ";
        for (cpu, memory) in [
            ("256", "1536"),
            ("256", "4096"),
            ("512", "512"),
            ("1024", "1024"),
            ("1024", "9216"),
            ("8192", "17408"),
            ("16384", "36864"),
            ("300", "512"),
        ] {
            let text = format!(
                "{refused}{cpu} CPU, {memory} memory. See the Amazon ECS documentation for the valid values."
            );
            check(cpu, memory, &text);
        }
    }

    #[test]
    fn bounds_off_fargate() {
        let of = |units: u32| {
            TaskSize { cpu_units: Some(units), memory_mib: None }.check_bounds().is_ok()
        };
        assert_eq!([127, 128, 196_608, 196_609].map(of), [false, true, true, false]);
    }
}
