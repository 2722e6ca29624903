//! Random passwords.

use outport_aws_secretsmanager::{GetRandomPasswordRequest, GetRandomPasswordResponse};
use outport_identity::{Call, Question, Subject};

use crate::SecretsManagerService;
use crate::password::{Recipe, make};
use crate::rejection::Rejection;

pub async fn get_random_password(
    _: &SecretsManagerService,
    call: &Call,
    input: GetRandomPasswordRequest,
) -> Result<GetRandomPasswordResponse, Rejection> {
    let question = Question::without_resource("secretsmanager:GetRandomPassword");
    call.open(Subject::from(question))?;
    let password = make(&Recipe::parse(&input)?)?;
    Ok(GetRandomPasswordResponse { random_password: Some(password) })
}
