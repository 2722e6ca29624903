//! The shapes of AWS's identifiers, made from handed-in bytes.

use outport_model::{ContainerInstanceId, DeploymentId, ServiceDeploymentId, TaskId};

use crate::host::Ids;

/// The length of the last part of a service deployment's ARN, as AWS's are.
const SERVICE_DEPLOYMENT_ID_LENGTH: usize = 21;
const LETTERS_AND_DIGITS: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `length` lower-case hexadecimal digits.
pub fn hex(ids: &dyn Ids, length: usize) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = vec![0; length.div_ceil(2)];
    ids.fill(&mut bytes);
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(length)
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// A random UUID (RFC 9562, version 4).
pub fn uuid(ids: &dyn Ids) -> String {
    let mut text = hex(ids, 32);
    text.replace_range(12..13, "4");
    // The variant's two bits, `10`, leave two free bits of that digit.
    let variant = match text.as_bytes()[16] % 4 {
        0 => "8",
        1 => "9",
        2 => "a",
        _ => "b",
    };
    text.replace_range(16..17, variant);
    for position in [8, 13, 18, 23] {
        text.insert(position, '-');
    }
    text
}

pub fn task_id(ids: &dyn Ids) -> TaskId {
    TaskId::new(hex(ids, 32))
}

pub fn container_instance_id(ids: &dyn Ids) -> ContainerInstanceId {
    ContainerInstanceId::new(hex(ids, 32))
}

/// 19 digits that begin with 1 to 9, as AWS's are.
pub fn deployment_id(ids: &dyn Ids) -> DeploymentId {
    const SMALLEST: u64 = 1_000_000_000_000_000_000;
    let mut bytes = [0; 8];
    ids.fill(&mut bytes);
    DeploymentId::new((SMALLEST + u64::from_le_bytes(bytes) % (9 * SMALLEST)).to_string())
}

/// 21 letters and digits.
pub fn service_deployment_id(ids: &dyn Ids) -> ServiceDeploymentId {
    let mut bytes = [0; SERVICE_DEPLOYMENT_ID_LENGTH];
    ids.fill(&mut bytes);
    let letter = |byte: u8| LETTERS_AND_DIGITS[usize::from(byte) % LETTERS_AND_DIGITS.len()];
    let text: String = bytes.into_iter().map(|byte| char::from(letter(byte))).collect();
    ServiceDeploymentId::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::SeededIds;

    #[test]
    fn ids_have_the_shapes_of_aws() {
        let ids = SeededIds::new(7);
        for _ in 0..500 {
            let uuid = uuid(&ids);
            assert_eq!(uuid.len(), 36);
            assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
            assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
            assert_eq!(task_id(&ids).as_str().len(), 32);
            assert_eq!(hex(&ids, 17).len(), 17);
            let deployment = deployment_id(&ids);
            assert_eq!(deployment.as_str().len(), 19, "{deployment}");
            assert_eq!(service_deployment_id(&ids).as_str().len(), 21);
        }
    }
}
