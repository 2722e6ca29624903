//! What a service is to the front door.

use std::pin::Pin;

use outport_aws_wire::{Exchange, ServiceModel, WireError};
use outport_identity::Call;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One AWS service: its model and its operations.
pub trait AwsService: Send + Sync {
    /// The generated model.
    fn model(&self) -> &'static ServiceModel;

    /// Performs an operation that the model has and that is implemented: reads the typed input from
    /// the exchange, asks `call.authorize`, and writes the output to the exchange.
    ///
    /// Runs to its end even when the client goes away. A panic becomes the caller's 500.
    ///
    /// # Errors
    /// Whatever the caller shall read.
    fn call<'a>(
        &'a self,
        call: &'a Call,
        operation: &'a str,
        exchange: &'a mut Exchange<'_>,
    ) -> BoxFuture<'a, Result<(), WireError>>;
}
