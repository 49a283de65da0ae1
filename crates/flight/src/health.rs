//! `grpc.health.v1.Health`: whether calls are taken. Nobody logs in for it, and it tells nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use portcullis_gateway::{Gateway, Ready};
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::service::FlightSql;

/// What is asked about: a service by its name, or, without one, all of them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthCheckRequest {
    /// The service's name.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// The answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthCheckResponse {
    /// 1 is serving, 2 is not serving.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// The service over a gateway.
#[derive(Clone)]
pub(crate) struct Health {
    gateway: Arc<Gateway>,
}

impl Health {
    /// The health of this gateway.
    pub(crate) fn new(gateway: Arc<Gateway>) -> Health {
        Health { gateway }
    }

    fn check(&self, service: &str) -> Result<Response<HealthCheckResponse>, Status> {
        if !["", FlightServiceServer::<FlightSql>::NAME].contains(&service) {
            return Err(Status::not_found("there is no such service here"));
        }
        let status = if self.gateway.ready() == Ready::Yes { SERVING } else { NOT_SERVING };
        Ok(Response::new(HealthCheckResponse { status }))
    }
}

/// How clients write the question and read the answer.
pub fn codec() -> ProstCodec<HealthCheckRequest, HealthCheckResponse> {
    ProstCodec::default()
}

impl NamedService for Health {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl UnaryService<HealthCheckRequest> for Health {
    type Response = HealthCheckResponse;
    type Future = std::future::Ready<Result<Response<HealthCheckResponse>, Status>>;

    fn call(&mut self, request: Request<HealthCheckRequest>) -> Self::Future {
        std::future::ready(self.check(&request.get_ref().service))
    }
}

impl<B> Service<http::Request<B>> for Health
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let health = self.clone();
        Box::pin(async move {
            if request.uri().path() != CHECK {
                return Ok(Status::unimplemented("health is told to who asks with `Check`").into_http());
            }
            let codec = ProstCodec::<HealthCheckResponse, HealthCheckRequest>::default();
            Ok(Grpc::new(codec).max_decoding_message_size(4 << 10).unary(health, request).await)
        })
    }
}
